"""The clock of a session: the world's frame rate, at once for a key, never faster and never catching up."""

import pytest
from play_sessions import engine_of, session_of

from worldmodel.play.conductor import Player
from worldmodel.play.outbox import Outbox


@pytest.fixture
def player() -> Player:
    """Ten frames a second, watched and running, first stepped at 100 s."""
    made = Player(session_of(engine_of()))
    made.watch(Outbox())
    made.session.run(True)
    made.stepped(100.0)
    return made


def test_frames_are_due_at_the_worlds_rate(player: Player) -> None:
    first = player.when()
    assert first == pytest.approx(100.05)  # the first slot begins half a period before
    for k in range(5):
        assert player.when() == pytest.approx(first + 0.1 * k)
        player.stepped(player.when())


def test_who_is_paused_or_unwatched_is_never_due(player: Player) -> None:
    player.session.run(False)
    assert player.when() is None
    player.session.run(True)
    player.watch(None)
    assert player.when() is None


def test_a_key_is_served_at_once_and_uses_up_its_place(player: Player) -> None:
    due = player.when()
    player.hurry()
    assert player.when() == pytest.approx(due - 0.1), "a period early"
    player.stepped(due - 0.05)
    assert player.when() == pytest.approx(due + 0.1), "the average rate stays"
    player.hurry()
    assert player.when() == pytest.approx(due), "the second of two quick keys waits for the first one's place"


def test_what_was_missed_is_not_made_up_for(player: Player) -> None:
    player.stepped(200.0)
    assert 200.0 < player.when() <= 200.1


@pytest.mark.parametrize(("speed", "period"), [(1.0, 0.1), (4.0, 0.025), (0.5, 0.2), (0.0, 0.0)])
def test_speed_is_times_the_worlds_rate(player: Player, speed: float, period: float) -> None:
    player.session.speed = speed
    assert player.period == pytest.approx(period)


def test_only_what_has_changed_is_told(player: Player) -> None:
    assert player.news().history is not None
    assert player.news().history is None
    player.session.seek(0)
    assert player.news().history is not None
    player.watch(Outbox())
    assert player.news().history is not None, "a new socket knows nothing"
