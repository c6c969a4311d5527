"""Real sockets: who shares the model, and that nobody can disturb the others."""

import asyncio
import gc
import json
import random
import socket
import time
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import psutil
import pytest
from play_house import PlayHouse, TestClient
from tiny_world import tiny_world_model
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from worldmodel.play.protocol import COMMANDS
from worldmodel.play.server import FULL, IDLE, TAKEN_OVER
from worldmodel.play.simulator import Simulator
from worldmodel.play.tab import MOST_MESSAGES


@pytest.fixture(scope="module")
def house() -> Iterator[PlayHouse]:
    with PlayHouse(sessions=64) as made:
        yield made


def actions(seed: int, count: int) -> list[list[float]]:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 2)).tolist()


def driven(client: TestClient, seed: int, count: int) -> np.ndarray:
    """The dream's frames under these actions."""
    frames = []
    for values in actions(seed, count):
        client.step(values)
        frames.append(client.pictures[0])
    return np.stack(frames)


def test_places_are_limited() -> None:
    with PlayHouse(sessions=1) as house:
        first = house.client()
        with connect(house.socket_url) as second:
            assert "places are taken" in json.loads(second.recv(30))["message"]
        first.step()
        first.close()
        while house.look(lambda: any(tab.socket for tab in house.server.tabs.values())):
            time.sleep(0.01)
        second_one = house.client()  # takes the place of the tab that was closed
        assert second_one.header["t"] == 0 and len(house.server.tabs) == 1
        second_one.close()


# One model, many drivers.


def test_eight_sessions_share_one_batched_model(house: PlayHouse) -> None:
    clients = [house.client() for _ in range(8)]
    sizes: list[int] = []
    model = house.model_thread.batch.model
    real_step = model.step

    def step(state, action, passes=None):  # type: ignore[no-untyped-def]
        sizes.append(len(state))
        return real_step(state, action, passes)

    with patch.object(model, "step", step):
        for client in clients:
            client.send("run", on=True)
        for client in clients:
            client.wait(lambda content: content.get("t", 0) >= 12)
        for client in clients:
            client.send("run", on=False)
    assert max(sizes) == 8, sizes
    assert sum(sizes) / len(sizes) > 3, sizes
    for client in clients:
        client.close()


def test_sessions_are_what_they_are_alone(house: PlayHouse) -> None:
    """Interleaved with another that does other things; paused steps are batches of one, so bit for bit."""
    one, other, third = house.client(), house.client(), house.client()
    expected = driven(third, 1, 6)
    for k, values in enumerate(actions(1, 6)):
        one.step(values)
        assert np.array_equal(one.pictures[0], expected[k])
        other.step(actions(2, 6)[k])
        assert not np.array_equal(other.pictures[0], expected[k])
        if k == 3:
            other.send("reset", seed=9)
            other.frame()
    for client in (one, other, third):
        client.close()


def test_keys_are_heard_and_acknowledged(house: PlayHouse) -> None:
    client = house.client()
    client.send("speed", factor=0.05)  # a frame every two seconds: what comes sooner came for the key
    client.send("run", on=True)
    client.wait(lambda content: content.get("t", 0) >= 1)
    waited = []
    for seq in (5, 6, 7):  # the best of three: other processes may have the cores
        time.sleep(0.05)
        begun = time.monotonic()
        client.send("action", values=[1.0, 0.0], seq=seq, edge=True)
        client.wait(lambda content, seq=seq: content.get("seq") == seq)
        waited.append(time.monotonic() - begun)
    assert min(waited) < 1.0, waited
    client.close()


def test_a_socket_that_comes_back_goes_on(house: PlayHouse) -> None:
    client = house.client()
    driven(client, 3, 5)
    identity, before = client.world["session"], client.pictures[0]
    client.socket.socket.shutdown(socket.SHUT_RDWR)  # no good-bye
    back = house.client(identity)
    assert back.world["session"] == identity and back.header["t"] == 5
    assert np.array_equal(back.pictures[0], before)
    fresh = house.client()
    expected = driven(fresh, 3, 6)[-1]
    back.step(actions(3, 6)[5])
    assert np.array_equal(back.pictures[0], expected)
    assert house.client("nobody-knows-this").header["t"] == 0


def test_the_newer_tab_takes_a_session_over(house: PlayHouse) -> None:
    client = house.client()
    client.step()
    newer = house.client(client.world["session"])
    with pytest.raises(ConnectionClosed):
        while True:
            client.read()
    assert client.socket.close_code == TAKEN_OVER
    newer.step()
    assert newer.header["t"] == 2


def test_sessions_that_nobody_touches_are_freed() -> None:
    with PlayHouse(idle_minutes=0.01) as house:
        client = house.client()
        client.step()
        with pytest.raises(ConnectionClosed):
            while True:
                client.read()
        assert client.socket.close_code == IDLE
        assert house.look(lambda: len(house.server.tabs)) == 0
        assert house.client(client.world["session"]).header["t"] == 0


def test_a_slow_reader_drops_frames_and_holds_nobody_up() -> None:
    """One never reads; the other gets its frames, as fast as the model makes them."""
    model = tiny_world_model(max_episode_steps=None, size=32)
    with PlayHouse(model, speed=0.0, real=False) as house:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the system would read for it
        deaf.connect(("127.0.0.1", int(house.host.rpartition(":")[2])))
        slow, quick = house.client(max_queue=1, sock=deaf), house.client()
        slow.send("run", on=True)
        tab = house.server.tabs[slow.world["session"]]
        deadline = time.monotonic() + 30
        while (box := tab.outbox) is None or box.dropped < 20:
            assert time.monotonic() < deadline, "nothing was dropped"
            time.sleep(0.05)
        quick.send("run", on=True)
        quick.wait(lambda content: content.get("t", 0) >= 50)
        assert len(box._messages) <= MOST_MESSAGES
        quick.close()
        slow.close()


# Rubbish.


KINDS = [*COMMANDS, "", "type", "__class__"]
KEYS = sorted({name for known in COMMANDS.values() for name in known})
VALUES = json.loads(
    '[0, 1, -1, 3, 1e9, 1180591620717411303424, 0.5, true, null, "x", "mp4", [], [0, 0], [1, -1], {}, [[1]]]'
)


def rubbish(rng: random.Random) -> str | bytes:
    """Anything: noise, broken JSON, commands with wrong, huge and odd values, and valid ones in any order."""
    match rng.randrange(5):
        case 0:
            return rng.randbytes(rng.randrange(40))
        case 1:
            return "".join(chr(rng.randrange(32, 300)) for _ in range(rng.randrange(60)))
        case 2:
            return json.dumps({"type": rng.choice(KINDS)})[: rng.randrange(1, 30)]
    values = [*VALUES, "\ud800", "9" * 99]
    chosen = {key: rng.choice(values) for key in rng.sample(KEYS, rng.randrange(3))}
    return json.dumps({"type": rng.choice(KINDS), **chosen})


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_messages_of_rubbish_harm_nobody(count: int) -> None:
    with PlayHouse(sessions=4) as house:
        calm, loud, expected = house.client(), house.client(), house.client()
        frames = driven(expected, 1, 10)
        expected.close()
        rng, process = random.Random(0), psutil.Process()
        memory: list[int] = []
        for part in range(10):
            for _ in range(count // 10):
                loud.socket.send(rubbish(rng))
            loud.send("speed", factor=1.0)
            loud.send("run", on=False)
            loud.send("ping", number=part)
            calm.step(actions(1, 10)[part])  # bit-equal to a session that had the house to itself
            assert np.array_equal(calm.pictures[0], frames[part])
            loud.wait(lambda content, part=part: content.get("number") == part)
            gc.collect()
            memory.append(process.memory_info().rss)
        loud.socket.send("{")
        assert "not JSON" in loud.error()
        loud.send("reset", seed=0)
        loud.wait(lambda content: content["type"] == "frame" and content["t"] == 0)
        loud.step()
        assert house.look(lambda: len(asyncio.all_tasks())) < 30
        assert house.look(lambda: len(house.server.tabs)) == 3
        assert memory[-1] - memory[4] < 40e6, memory


def test_errors_are_sentences(house: PlayHouse) -> None:
    client = house.client()
    for kind, content, words in (
        ("seek", {"t": 99}, "no moment 99"),
        ("switch", {"future": 4}, "no future 4"),
        ("drop", {"future": 0}, "only future"),
        ("reset", {"context": 77}, "no recorded start 77"),
        ("record", {"on": False}, "Nothing is being recorded"),
        ("save", {}, "nothing to save"),
    ):
        client.send(kind, **content)
        assert words in client.error(), kind
    client.socket.send(b"no picture")
    assert "no picture" in client.error()
    client.close()


def broken_policy(action_space: object, rng: object) -> object:
    class Broken:
        def reset(self) -> None: ...

        def act(self, observation: object) -> object:
            raise KeyError("qpos")

    return Broken()


def test_an_agent_that_fails_hands_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import play_house

    monkeypatch.setattr(play_house, "broken_policy", broken_policy, raising=False)
    with PlayHouse(policy={"_target_": "play_house.broken_policy"}) as house:
        client = house.client()
        client.send("agent", on=True)
        client.send("run", on=True)
        assert client.error() == "The agent failed ('qpos'). You drive again."
        client.wait(lambda content: content["type"] == "frame" and not content["agent"])
        client.send("run", on=False)
        client.step()


# Failures.


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("it broke.")


def test_a_failure_befalls_its_own_session_alone() -> None:
    with PlayHouse(sessions=8) as house:
        client, other = house.client(), house.client()
        for _ in range(3):
            client.step()
            other.step()
        with patch.object(Simulator, "restore", broken):
            client.send("seek", t=1)
            client.send("run", on=True)
            client.wait(lambda content: "The simulator failed (it broke)" in content.get("real_note", ""))
        client.send("run", on=False)
        client.wait(lambda content: content["type"] == "frame" and not content["running"])
        with patch.object(house.model_thread.batch.model, "step", broken):
            client.send("run", on=True)
            assert client.error() == "The dream failed (it broke): Go (Space) tries again."
            client.wait(lambda content: content["type"] == "frame" and not content["running"])
        client.step()
        other.step()
        with patch.object(Simulator, "close", broken):
            client.close()
            house.wait_for(house.server._free(house.server.tabs[client.world["session"]]))
        other.step()
        other.close()


def test_a_simulator_that_does_not_begin_leaves_the_dream_alone() -> None:
    with PlayHouse() as house, patch.object(Simulator, "begin", broken):
        client = house.client()
        assert "The simulator failed (it broke)" in client.header["real_note"]
        client.step()
        client.close()


def test_where_no_session_begins_the_socket_says_why() -> None:
    with (
        PlayHouse() as house,
        patch.object(house.model_thread.batch, "begin", broken),
        connect(house.socket_url) as socket,
    ):
        assert json.loads(socket.recv(30))["message"] == "No session begins (it broke)."
        with pytest.raises(ConnectionClosed, match=str(FULL)):
            socket.recv(30)
