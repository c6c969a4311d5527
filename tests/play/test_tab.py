"""A tab's clock: the world's frame rate, at once for a key, never faster and never catching up; and what it is sent."""

import asyncio
import json
from pathlib import Path

import pytest
from play_sessions import batch_of, session_of

from worldmodel.play.tab import MOST_MESSAGES, Outbox, Tab


@pytest.fixture
def tab() -> Tab:
    """Ten frames a second, watched and running, first stepped at 100 s."""
    made = Tab("a", session_of(batch_of()), Path("nowhere"))
    made.attach(None, Outbox())
    made.session.run(True)
    made.stepped(100.0)
    return made


def test_frames_are_due_at_the_worlds_rate(tab: Tab) -> None:
    first = tab.due()
    assert first == pytest.approx(100.05)  # the first slot begins half a period before
    for k in range(5):
        assert tab.due() == pytest.approx(first + 0.1 * k)
        tab.stepped(tab.due())
    tab.stepped(200.0)
    assert 200.0 < tab.due() <= 200.1, "what was missed is not made up for"


def test_who_is_paused_or_unwatched_or_changed_is_not_due(tab: Tab) -> None:
    tab.session.run(False)
    assert tab.due() is None
    tab.session.run(True)
    tab.attach(None, None)
    assert tab.due() is None
    tab.attach(None, Outbox())

    async def change() -> None:
        async with tab.lock:
            assert tab.due() is None, "its agent would be asked of a moment that is gone"
        assert tab.due() is not None

    asyncio.run(change())


def test_a_key_is_served_at_once_and_uses_up_its_place(tab: Tab) -> None:
    due = tab.due()
    tab.hurry()
    assert tab.due() == pytest.approx(due - 0.1), "a period early"
    tab.stepped(due - 0.05)
    assert tab.due() == pytest.approx(due + 0.1), "the average rate stays"
    tab.hurry()
    assert tab.due() == pytest.approx(due), "the second of two quick keys waits for the first one's place"


def test_curves_are_sent_only_after_a_jump_and_to_a_new_socket(tab: Tab) -> None:
    assert tab.update().curves is not None
    assert tab.update().curves is None
    tab.session.seek(0)
    assert tab.update().curves is not None
    tab.attach(None, Outbox())
    assert tab.update().curves is not None


def sent(box: Outbox) -> list[str | bytes]:
    """All up to the first frame."""

    async def read() -> list[str | bytes]:
        found: list[str | bytes] = []
        async for message in box.messages():
            found.append(message)
            if isinstance(message, bytes):
                break
        return found

    return asyncio.run(read())


def test_an_outbox_holds_the_newest_frame_and_curves_and_a_few_messages() -> None:
    box = Outbox()
    for k in range(1000):
        box.show(bytes([k % 256]), f"curves {k}")
        box.add(str(k))
    box.show(b"last")
    assert box.dropped == 1000
    assert sent(box) == [*map(str, range(MOST_MESSAGES)), "curves 999", b"last"]


def test_a_file_that_is_written_while_no_socket_is_there_is_told_to_the_next(tab: Tab) -> None:
    tab.attach(None, None)
    tab.deliver(type="saved", url="/download/x", name="x.mp4")
    box = Outbox()
    tab.attach(None, box)
    tab.say_undelivered()
    tab.say_undelivered()
    box.show(b"frame")
    message, _ = sent(box)
    assert json.loads(message)["name"] == "x.mp4"
