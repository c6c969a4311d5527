"""Who may ask a server for what: the token, hosts and origins of real requests."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from play_house import TOKEN, PlayHouse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


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
    for address in (
        f"http://{house.host}/",
        f"http://{house.host}/?token=wrong",
        f"http://{house.host}/?token=",
    ):
        status, words = get(address)
        assert status == 403 and "token" in words
    for name in ("main.js", "style.css"):
        assert get(f"http://{house.host}/{name}")[0] == 200
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{house.host}/socket?token=wrong"):
        pass


@pytest.mark.parametrize(
    "path", ["nothing", "../play.py", "%2e%2e/play.py", "page/index.html", "download/abc"]
)
def test_nothing_else_is_served(house: PlayHouse, path: str) -> None:
    assert get(f"http://{house.host}/{path}?token={TOKEN}")[0] == 404


def test_another_sites_page_cannot_connect(house: PlayHouse) -> None:
    url = f"ws://{house.host}/socket?token={TOKEN}"
    for origin in ("http://evil.example", "http://localhost:1", "null"):
        with pytest.raises(InvalidStatus, match="403"), connect(url, origin=origin):  # type: ignore[arg-type]
            pass
    with connect(url, origin=f"http://{house.host}") as allowed:  # type: ignore[arg-type]
        assert json.loads(allowed.recv(30))["type"] == "world"


def test_a_name_that_only_resolves_to_this_machine_is_refused(house: PlayHouse) -> None:
    """DNS rebinding: the page of evil.example asks 127.0.0.1 under its own name, and is of the same origin then."""
    status, words = get(house.address, Host="evil.example")
    assert status == 403 and "this machine alone" in words
    assert get(house.address, Host=f"localhost:{house.host.rpartition(':')[2]}")[0] == 200
