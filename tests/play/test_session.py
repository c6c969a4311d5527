"""One driver's state, without any socket: dream and simulator, rewinding, futures, ends, agents."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from play_sessions import ACTIONS, batch_of, dreamt, drive, real, session_of

from worldmodel.errors import WorldModelError
from worldmodel.play.batch import DreamBatch
from worldmodel.play.protocol import read_picture
from worldmodel.play.session import ENDED, MOST_FUTURES, TIME_LIMIT, Session
from worldmodel.play.simulator import Reality, Simulator


@pytest.fixture(scope="module")
def batch() -> DreamBatch:
    return batch_of()


@pytest.fixture
def session(batch: DreamBatch) -> Session:
    return session_of(batch)


def test_dream_and_simulator_begin_at_one_moment_and_go_on_under_the_same_actions(session: Session) -> None:
    first = session.now.now
    assert np.array_equal(first.frame, first.real)
    drive(session, ACTIONS[:6])
    alone = Simulator(session.world)
    alone.begin(0, session.world.num_context_frames)
    for moment, action in zip(session.now.moments[1:], ACTIONS, strict=False):
        step = alone.step(np.array(action, np.float32))
        assert np.array_equal(moment.real, step.frame) and moment.real_reward == step.reward
        assert moment.psnr is not None and np.allclose(moment.action, action)


@pytest.mark.parametrize("back", [0, 1, 3, 7, 19])
def test_what_is_rewound_is_bit_for_bit_what_it_was_and_goes_on_as_it_did(
    session: Session, back: int
) -> None:
    drive(session, ACTIONS[:20])
    before, simulated = dreamt(session), real(session)
    session.seek(back)
    assert np.array_equal(session.now.now.frame, before[back])
    drive(session, ACTIONS[back:20])
    assert np.array_equal(dreamt(session), before)
    assert np.array_equal(real(session), simulated)


def test_a_branch_differs_by_its_actions_alone_and_the_first_future_stays(session: Session) -> None:
    drive(session, ACTIONS[:12])
    before, simulated = dreamt(session), real(session)
    session.seek(5)
    session.branch()
    drive(session, ACTIONS[5:8])
    assert np.array_equal(dreamt(session), before[:9]), "the same actions"
    session.seek(5)
    drive(session, [[-a, -b] for a, b in ACTIONS[5:12]])
    assert not np.array_equal(dreamt(session)[6:], before[6:])
    assert not np.array_equal(real(session)[6:], simulated[6:])
    session.switch(0)
    assert session.now.at == 12
    assert np.array_equal(dreamt(session), before)
    drive(session, ACTIONS[12:14])
    whole = session_of(session._batch)
    drive(whole, ACTIONS[:14])
    assert np.array_equal(dreamt(session), dreamt(whole)) and np.array_equal(real(session), real(whole))


def test_futures_are_few_and_the_last_one_stays(session: Session) -> None:
    drive(session, ACTIONS[:2])
    for _ in range(MOST_FUTURES - 1):
        session.branch()
    with pytest.raises(WorldModelError, match="futures already"):
        session.branch()
    assert [future.name for future in session.futures] == list("ABCDEF")
    session.switch(2)
    session.drop(0)
    assert session.now.name == "C"
    session.drop(session.driven)
    assert session.now.name == "D"
    while len(session.futures) > 1:
        session.drop(0)
    with pytest.raises(WorldModelError, match="only future"):
        session.drop(0)
    with pytest.raises(WorldModelError, match="no future 3"):
        session.switch(3)


def test_only_so_much_is_kept_and_what_is_kept_is_exact(batch: DreamBatch) -> None:
    session = session_of(batch, history=12)
    drive(session, ACTIONS * 3)
    before = dreamt(session)
    future = session.now
    assert (len(future.moments), future.first, future.last) == (120, 61, 180)
    with pytest.raises(WorldModelError, match=f"back to moment {future.earliest}"):
        session.seek(future.earliest - 1)
    with pytest.raises(WorldModelError, match="no moment 3"):
        session.seek(3)
    assert 180 - future.earliest >= 8
    session.seek(future.earliest)
    drive(session, (ACTIONS * 3)[future.earliest :])
    assert np.array_equal(dreamt(session), before)


def test_an_end_pauses_and_one_can_go_on_anyway() -> None:
    session = session_of(batch_of(ends=True))
    session.run(True)
    drive(session, ACTIONS[:1])
    assert (session.ended, session.running) == (ENDED, False)
    session.run(True)
    drive(session, ACTIONS[1:3])
    assert (session.ended, session.running) == ("", True)
    session.begin()
    session.run(True)
    drive(session, ACTIONS[:1])
    assert session.ended == ENDED


def test_the_time_limit_pauses() -> None:
    session = session_of(batch_of(max_episode_steps=3))
    session.run(True)
    drive(session, ACTIONS[:3])
    assert (session.ended, session.running, session.now.at) == (TIME_LIMIT, False, 3)


def test_resets_take_seeds_recorded_starts_and_pictures(session: Session) -> None:
    session.begin(seed=7)
    seventh = session.now.now.real
    session.begin()
    assert session.seed == 8 and not np.array_equal(session.now.now.real, seventh)
    session.begin(context=2)
    model = session.model
    assert np.array_equal(session.now.now.frame, model.contexts.frames[2, -1].numpy())
    assert session.now.now.real is None and "recorded start" in session.reality.note
    drive(session, ACTIONS[:2])
    with pytest.raises(WorldModelError, match="no recorded start 5"):
        session.begin(context=5)
    picture = Image.new("RGB", (40, 20), (200, 10, 10))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    session.begin_from(read_picture(buffer.getvalue(), session.world.frame_shape))
    assert np.array_equal(session.now.now.frame, np.full((8, 8, 3), (200, 10, 10)))
    drive(session, ACTIONS[:3])
    for rubbish in (b"", b"no picture", buffer.getvalue()[:50]):
        with pytest.raises(WorldModelError, match="no picture"):
            read_picture(rubbish, session.world.frame_shape)
    session.begin(seed=7)
    assert np.array_equal(session.now.now.real, seventh) and session.reality.note == ""


def test_an_agent_drives_and_hands_back(session: Session) -> None:
    session.let_agent_drive(True)
    drive(session, [[0.0, 0.0]] * 12)
    taken = np.stack([moment.action for moment in session.now.moments[1:]])
    assert np.ptp(taken) > 0.5
    session.let_agent_drive(False)
    drive(session, [[0.25, 0.5]])
    assert np.allclose(session.now.now.action, [0.25, 0.5])
    with pytest.raises(WorldModelError, match="no agent"):
        Session(session._batch, Reality(None)).let_agent_drive(True)


def test_without_a_simulator_the_dream_is_alone_and_says_why(batch: DreamBatch) -> None:
    session = Session(batch, Reality(None, "It is not installed."))
    drive(session, ACTIONS[:3])
    assert session.now.now.real is None and session.reality.note == "It is not installed."


def test_an_environment_without_states_is_replayed() -> None:
    """DotEnv has a state for set_state or none; brought back either way."""
    import dot_env

    for state in (True, False):
        batch = batch_of(size=dot_env.SIZE, env_id="dot_env:Dot-v0")
        batch.model.world.env.kwargs["state"] = state  # type: ignore[index]
        session = session_of(batch)
        drive(session, ACTIONS[:10])
        simulated = real(session)
        session.seek(4)
        drive(session, ACTIONS[4:10])
        assert np.array_equal(real(session), simulated) and session.reality.note == ""


def test_a_simulator_that_cannot_come_back_leaves_the_dream_alone() -> None:
    import dot_env

    batch = batch_of(size=dot_env.SIZE, env_id="dot_env:Dot-v0")
    batch.model.world.env.kwargs.update(state=False, replays=False)  # type: ignore[attr-defined]
    session = session_of(batch)
    drive(session, [[0.0, 0.0]] * 4)
    session.seek(2)
    drive(session, ACTIONS[:2])
    assert "does not come back" in session.reality.note and session.now.now.real is None


def test_the_real_end_stays_on_the_screen() -> None:
    import dot_env

    batch = batch_of(size=dot_env.SIZE, env_id="dot_env:Dot-v0")
    batch.model.world.env.kwargs["ends"] = True  # type: ignore[index]
    session = session_of(batch)
    drive(session, [[1.0, 0.0]] * 10)
    last = session.now.now
    assert last.real_ended and last.real_reward is None and last.psnr is None and last.real is not None
    session.seek(1)
    drive(session, [[0.0, 0.0]])
    assert not session.now.now.real_ended and session.now.now.psnr is not None


def test_own_pictures_are_turned_as_the_camera_says_and_may_be_tiny() -> None:
    picture, data = Image.new("RGB", (40, 20), "red"), io.BytesIO()
    picture.paste("blue", (0, 0, 20, 20))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter, clockwise
    picture.save(data, "PNG", exif=turned)
    frame = read_picture(data.getvalue(), (16, 16, 3))
    assert (frame[0] == (0, 0, 255)).all() and (frame[-1] == (255, 0, 0)).all()
    for size in ((1, 1), (1, 2), (2, 1), (1, 5)):
        data = io.BytesIO()
        Image.new("RGB", size, "red").save(data, "PNG")
        assert (read_picture(data.getvalue(), (16, 16, 3)) == (255, 0, 0)).all()


def test_a_step_that_failed_half_way_never_was(session: Session) -> None:
    drive(session, ACTIONS[:6])
    whole = dreamt(session), real(session)
    session.seek(3)
    session._batch.step([session.request()])  # and nobody took the frame
    session.halt()
    drive(session, ACTIONS[3:6])
    assert np.array_equal(dreamt(session), whole[0]) and np.array_equal(real(session), whole[1])


class InformedAgent:
    """Counts its resets and keeps the infos that it is given."""

    def __init__(self) -> None:
        self.infos: list[Any] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def inform(self, info: Any) -> None:
        self.infos.append(info)

    def act(self, _: np.ndarray) -> np.ndarray:
        return np.full(2, 0.25, np.float32)


def test_an_agent_is_informed_of_the_moment_that_is_shown_and_forgets_the_other_past(
    session: Session,
) -> None:
    drive(session, ACTIONS[:6])
    states = [moment.real_info["state"] for moment in session.now.moments]
    agent = session.agent = InformedAgent()
    session.seek(2)
    assert agent.resets == 1
    drive(session, ACTIONS[:1])
    assert np.array_equal(agent.infos[-1]["state"], states[2])
    drive(session, ACTIONS[:1])
    assert np.array_equal(agent.infos[-1]["state"], session.now.moments[3].real_info["state"])


def test_sums_of_rewards_are_of_the_future_that_is_driven(session: Session) -> None:
    drive(session, ACTIONS[:8])
    session.seek(4)
    drive(session, ACTIONS[10:12])
    steps = session.now.moments[1:]
    assert session.now.now.total == pytest.approx(sum(step.reward for step in steps))
    assert session.now.now.real_total == pytest.approx(sum(step.real_reward for step in steps))
