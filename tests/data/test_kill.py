"""Killed at any moment, a collection leaves a readable prefix and goes on to the identical end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from counting_data import HELD, content_hash, counting

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError

ENV = counting(delay=0.005)
EPISODES, PER_SHARD = 60, 3
SCRIPT = f"""
from worldmodel.data.collect import collect
if __name__ == "__main__":
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    collect({ENV!r}, {HELD!r}, sys.argv[1], {EPISODES}, workers=2, episodes_per_shard={PER_SHARD})
"""


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("unkilled") / "data"
    return collect(ENV, HELD, out, EPISODES, workers=0, episodes_per_shard=PER_SHARD)


def interrupt(tmp_path: Path, which: signal.Signals, seconds: float) -> None:
    """Collect in a process of its own and send it a signal `seconds` after its first shard appeared."""
    script = tmp_path / "collect_counting.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent.parent / "fakes"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "data")],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and not list(tmp_path.glob("data/shards/[0-9]*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(which)
    process.wait(timeout=30)


def assert_prefix(folder: Path, whole: EpisodeDataset) -> None:
    """What is there opens, and is what an unkilled run has at the same place."""
    try:
        prefix = EpisodeDataset(folder, incomplete=True)
    except DatasetError as error:
        assert "has no finished shard yet" in str(error)  # shard 1 may be finished before shard 0
        return
    for index in range(prefix.episodes):
        np.testing.assert_array_equal(prefix.episode(index).frames, whole.episode(index).frames)
        np.testing.assert_array_equal(prefix.episode(index).actions, whole.episode(index).actions)


def finish(folder: Path) -> EpisodeDataset:
    return collect(ENV, HELD, folder, EPISODES, workers=0, episodes_per_shard=PER_SHARD)


@pytest.mark.parametrize("which", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_stopped_and_resumed(tmp_path: Path, unkilled: EpisodeDataset, which: signal.Signals) -> None:
    interrupt(tmp_path, which, 0.1)
    finished = list((tmp_path / "data" / "shards").glob("[0-9]*"))
    assert 1 <= len(finished) < EPISODES // PER_SHARD
    with pytest.raises(DatasetError, match="run collect again to finish it"):
        EpisodeDataset(tmp_path / "data")
    assert_prefix(tmp_path / "data", unkilled)
    finish(tmp_path / "data")
    assert content_hash(tmp_path / "data") == content_hash(unkilled.path)
    assert not list((tmp_path / "data" / "shards").glob(".*"))


@pytest.mark.slow
def test_killed_while_growing(tmp_path: Path, unkilled: EpisodeDataset) -> None:
    """All the time until the last new episode is written, it is the whole, undamaged dataset that it was."""
    moments = random.Random(1)
    for attempt in range(6):
        folder = tmp_path / str(attempt)
        collect(ENV, HELD, folder / "data", 31, workers=0, episodes_per_shard=PER_SHARD)
        interrupt(folder, signal.SIGKILL, moments.uniform(0.5, 3.0))
        dataset = EpisodeDataset(folder / "data")
        assert dataset.episodes in (31, EPISODES)
        assert_prefix(folder / "data", unkilled)
        finish(folder / "data")
        assert content_hash(folder / "data") == content_hash(unkilled.path)


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path: Path, unkilled: EpisodeDataset) -> None:
    moments = random.Random(0)
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        interrupt(folder, signal.SIGKILL, moments.uniform(0.0, 0.8))
        assert_prefix(folder / "data", unkilled)
        finish(folder / "data")
        assert content_hash(folder / "data") == content_hash(unkilled.path)
