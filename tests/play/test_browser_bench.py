"""What the benchmark measures in a real browser."""

import pytest
from play_house import PlayHouse
from tiny_world import tiny_world_model

from worldmodel.play.browser import Browser, find_chromium

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no playwright, or no chromium on the path: pip install playwright, apt install chromium",
)


def test_frames_are_counted_past_the_ends_of_episodes() -> None:
    """An episode at full speed is over before the measurement begins."""
    model = tiny_world_model(max_episode_steps=10, size=16)
    with PlayHouse(model, sessions=2) as house, Browser(CHROMIUM, house.address) as page:
        assert page.frames_per_second(1.5) > 10 / 1.5
