"""What fails is told in words, to the session that it befell, and the others go on."""

import asyncio
import json
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from play_house import TOKEN, PlayHouse
from play_sessions import ACTIONS, dreamt, drive, engine_of, real, session_of
from websockets.sync.client import connect

from worldmodel.play.conductor import Player
from worldmodel.play.outbox import Outbox
from worldmodel.play.reality import Reality
from worldmodel.play.server import FULL
from worldmodel.play.session import Session
from worldmodel.play.visitor import Visitor


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("it broke.")


class Remembering:
    """An agent that counts since its reset, and notes what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def inform(self, info: Any) -> None:
        self.told.append(info)

    def act(self, _: np.ndarray) -> np.ndarray:
        return np.full(2, 0.25, np.float32)


def test_a_failure_befalls_its_own_session_alone() -> None:
    with PlayHouse(sessions=8) as house:
        client, other = house.client(), house.client()
        for _ in range(3):
            client.step()
            other.step()
        with patch.object(Reality, "bring_back", broken):
            client.send("seek", t=1)
            client.send("run", on=True)
            client.wait(lambda content: "The simulator failed (it broke)" in content.get("real_note", ""))
        client.send("run", on=False)
        client.wait(lambda content: content["type"] == "frame" and not content["running"])
        with patch.object(type(house.engine.model), "step", broken):
            client.send("run", on=True)
            assert client.error() == "The dream failed (it broke): Go (Space) tries again."
            client.wait(lambda content: content["type"] == "frame" and not content["running"])
        client.step()
        other.step()
        with patch.object(Reality, "close", broken):
            client.close()
            client.socket.close()
            visitor = house.server.visitors[client.world["session"]]
            asyncio.run_coroutine_threadsafe(house.server._free(visitor), house.loop).result(30)
        other.step()
        other.close()


def test_a_simulator_that_does_not_begin_leaves_the_dream_alone() -> None:
    with PlayHouse() as house, patch.object(Reality, "begin", broken):
        client = house.client()
        assert "The simulator failed (it broke)" in client.header["real_note"]
        client.step()
        client.close()


def test_where_no_session_begins_the_socket_says_why() -> None:
    with (
        PlayHouse() as house,
        patch.object(house.engine, "begin", broken),
        connect(f"ws://{house.host}/socket?token={TOKEN}") as socket,
    ):
        assert json.loads(socket.recv(30))["message"] == "No session begins (it broke)."
        with pytest.raises(Exception, match=str(FULL)):
            socket.recv(30)


def test_a_step_that_failed_half_way_never_was() -> None:
    session = session_of(engine_of())
    drive(session, ACTIONS[:6])
    whole = dreamt(session), real(session)
    session.seek(3)
    session._engine.step([session.due()])  # and nobody took the frame
    session.halt()
    drive(session, ACTIONS[3:6])
    assert np.array_equal(dreamt(session), whole[0]) and np.array_equal(real(session), whole[1])


def agent_of(session: Session) -> Remembering:
    session.agent = Remembering()
    return session.agent


def test_an_agent_is_told_of_the_moment_that_is_shown_and_forgets_the_other_past() -> None:
    session = session_of(engine_of())
    drive(session, ACTIONS[:6])
    states = [moment.real_info["state"] for moment in session.now.moments]
    agent = agent_of(session)
    session.seek(2)
    assert agent.resets == 1
    drive(session, ACTIONS[:1])
    assert np.array_equal(agent.told[-1]["state"], states[2])
    drive(session, ACTIONS[:1])
    assert np.array_equal(agent.told[-1]["state"], session.now.moments[3].real_info["state"])


def test_sums_of_rewards_are_of_the_future_that_is_driven() -> None:
    session = session_of(engine_of())
    drive(session, ACTIONS[:8])
    session.seek(4)
    drive(session, ACTIONS[10:12])
    steps = session.now.moments[1:]
    assert session.now.now.total == pytest.approx(sum(step.reward for step in steps))
    assert session.now.now.real_total == pytest.approx(sum(step.real_reward for step in steps))


def test_no_agent_is_asked_while_its_session_is_changed() -> None:
    player = Player(session_of(engine_of()))
    player.watch(Outbox())
    player.session.run(True)

    async def change() -> None:
        assert player.when() is not None
        async with player.changing():
            assert player.when() is None
        assert player.when() is not None

    asyncio.run(change())


def test_what_could_not_be_said_waits_for_the_next_socket(tmp_path: Any) -> None:
    player = Player(session_of(engine_of()))
    visitor = Visitor("a", player, tmp_path)
    visitor.say({"type": "saved", "url": "/download/x", "name": "x.mp4"})
    player.watch(Outbox())
    visitor.say_what_waits()
    visitor.say_what_waits()
    assert player.outbox is not None
    assert [json.loads(words)["name"] for words in player.outbox._words] == ["x.mp4"]


def test_curves_that_nobody_read_are_replaced_by_the_newer_ones() -> None:
    box = Outbox()
    for k in range(1000):
        box.show(bytes([k % 256]), str(k))
    box.show(b"last")

    async def first_two() -> list[str | bytes]:
        messages = box.messages()
        return [await anext(messages), await anext(messages)]

    assert asyncio.run(first_two()) == ["999", b"last"]
