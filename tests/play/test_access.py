"""Who may ask a server for what, how many at once, and how slowly."""

import json
import socket
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from play_house import TOKEN, PlayHouse
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from worldmodel.play import access, server


@pytest.fixture(scope="module")
def house() -> Iterator[PlayHouse]:
    with PlayHouse() as made:
        yield made


def get(address: str, **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(address, headers=headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_and_the_socket_need_the_token(house: PlayHouse) -> None:
    status, page = get(house.address)
    assert status == 200 and "<canvas" in page
    for query in ("", "?token=wrong", "?token=", "?token=%ff%00"):
        status, words = get(f"http://{house.host}/{query}")
        assert status == 403 and "token" in words
    for name in ("main.js", "style.css"):
        assert get(f"http://{house.host}/{name}")[0] == 200
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{house.host}/socket?token=wrong"):
        pass


def test_every_answer_keeps_to_itself(house: PlayHouse) -> None:
    """Modules are refused by a browser where nosniff meets another type; a refusal has the headers, too."""
    with urlopen(f"http://{house.host}/main.js") as script, pytest.raises(HTTPError) as refused:
        assert script.headers.get_content_type() == "text/javascript"
        urlopen(f"http://{house.host}/")
    for headers in (script.headers, refused.value.headers):
        assert {name: headers[name] for name in access.HEADERS} == access.HEADERS
        assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["nothing", "../play.py", "%2e%2e/play.py", "..%5cplay.py", "page/index.html", "download/abc"]
)
def test_nothing_else_is_served(house: PlayHouse, path: str) -> None:
    assert get(f"http://{house.host}/{path}?token={TOKEN}")[0] == 404


def test_another_sites_page_cannot_connect(house: PlayHouse) -> None:
    for origin in ("http://evil.example", "http://localhost:1", "null"):
        with pytest.raises(InvalidStatus, match="403"), connect(house.socket_url, origin=origin):  # type: ignore[arg-type]
            pass
    with connect(house.socket_url, origin=f"http://{house.host}") as allowed:  # type: ignore[arg-type]
        assert json.loads(allowed.recv(30))["type"] == "world"


def test_a_name_that_only_resolves_to_this_machine_is_refused(house: PlayHouse) -> None:
    """DNS rebinding: the page of evil.example asks 127.0.0.1 under its own name, and is of the same origin then."""
    status, words = get(house.address, Host="evil.example")
    assert status == 403 and "this machine alone" in words
    assert get(house.address, Host=f"localhost:{house.host.rpartition(':')[2]}")[0] == 200


# How many, how large, how slowly.


def opened(house: PlayHouse) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(house.host.rpartition(":")[2])), timeout=30)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes it before the timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_connections_that_ask_for_nothing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REQUEST_SECONDS", 0.3)
    with PlayHouse() as house:
        silent, slow, client = opened(house), opened(house), house.client()
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert is_closed(silent) and is_closed(slow)
        time.sleep(0.4)
        client.step()  # a socket is not meant
        client.close()


def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SPARE_CONNECTIONS", 2)
    with PlayHouse(sessions=1) as house:
        first = [opened(house) for _ in range(4)]
        time.sleep(0.2)
        surplus = opened(house)
        assert is_closed(surplus)
        for connection in first:
            connection.close()
        time.sleep(0.2)
        client = house.client()
        client.step()
        client.close()


@pytest.mark.parametrize("message", [bytes(5 << 20), [bytes(1 << 20)] * 5], ids=["whole", "in fragments"])
def test_a_message_that_is_too_large_ends_its_socket_alone(
    house: PlayHouse, message: bytes | list[bytes]
) -> None:
    client, other = house.client(), house.client()
    with pytest.raises(ConnectionClosed):
        client.socket.send(message)
        while True:
            client.read()
    other.step()
    assert house.client(client.world["session"]).header["t"] == 0
    other.close()


def test_who_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "STALL_SECONDS", 0.5)
    with PlayHouse(speed=0.0, real=False) as house:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the system would read for it
        deaf.connect(("127.0.0.1", int(house.host.rpartition(":")[2])))
        client = house.client(max_queue=1, sock=deaf)
        client.send("run", on=True)
        tab = house.server.tabs[client.world["session"]]
        deadline = time.monotonic() + 60
        while tab.socket is not None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
