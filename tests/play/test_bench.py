"""What the benchmark measures, over a socket and in a real browser."""

import json
from pathlib import Path

import pytest
from play_house import PlayHouse
from tiny_world import tiny_world_model

from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import save_world_model
from worldmodel.play.bench import bench, find_chromium, page_frames_per_second, page_in

CHROMIUM = find_chromium()


@pytest.mark.skipif(
    CHROMIUM is None, reason="no playwright, or no chromium on the path: apt install chromium"
)
def test_frames_are_counted_past_the_ends_of_episodes() -> None:
    """An episode at full speed is over before the measurement begins."""
    model = tiny_world_model(max_episode_steps=10, size=16)
    with PlayHouse(model, sessions=2) as house, page_in(CHROMIUM, house.address) as page:
        assert page_frames_per_second(page, 1.5) > 10 / 1.5


@pytest.mark.slow
def test_the_bench_measures_a_real_server(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "tiny") as folder:
        save_world_model(tiny_world_model(max_episode_steps=None), folder)
    path = bench(
        str(tmp_path / "tiny"), str(tmp_path / "bench"), seconds=0.3, keys=3, tabs=2, browser=False, threads=1
    )
    found = json.loads(path.read_text())["results"]
    assert set(found) == {"dream alone", "dream and simulator"}
    for row in found.values():
        assert row["frames_per_second"] > 0 and row["frames_per_second_each_of_2"] > 0
        assert 0 < row["key_to_picture_ms"]["median"] <= row["key_to_picture_ms"]["p95"]
