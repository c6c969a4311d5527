"""`worldmodel data benchmark`: how fast this machine collects, and how fast it draws training windows."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from worldmodel.data.build import at_least, plain
from worldmodel.data.collect import describe
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.recorder import Recorder
from worldmodel.data.saving import describe_episodes, save_episodes
from worldmodel.data.windows import ClipSampler
from worldmodel.data.workers import ShardJob, write_shards
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError
from worldmodel.files import write_json
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import space_from_json

FORMAT, VERSION = "worldmodel-data-benchmark", 1


@dataclass(frozen=True)
class CollectRate:
    """Frames a second by `workers` processes (0: none but this one), once all are at work and until the first has
    nothing left to do. per_cpu_second: frames per second of processor time of those processes, which says the same of a
    machine that is busy with other things."""

    env: str
    size: int
    workers: int
    frames_per_second: float
    per_cpu_second: float


@dataclass(frozen=True)
class WindowRate:
    """Random windows of `frames` frames a second, by one process, from files that the system has in memory."""

    frames: int
    size: int
    windows_per_second: float


def benchmark(
    env: Mapping[str, Any],
    policy: Mapping[str, Any],
    ids: Sequence[str] = (),
    workers: Sequence[int] = (0, 1, 2),
    episodes: int = 24,
    max_steps: int = 200,
    window_frames: int = 16,
    window_size: int = 64,
    seconds: float = 3.0,
    out: str | Path | None = None,
) -> Path | None:
    """Measure and print; nothing that is collected is kept.

    env: fields of EnvConfig; ids: Gymnasium ids to measure with these fields, none for env.id alone; episodes: for each
    measurement, at least four for each worker; seconds: of drawing windows, 0 for none. Returns the path of the JSON
    file `out`, if one is asked for.
    """
    most = max(workers, default=0)
    if at_least(1, "episodes", episodes) < 4 * max(1, most):
        raise DatasetError(f"{episodes} episodes are too few for {most} workers: give at least {4 * most}.")
    rates = [
        collect_rate(EnvConfig.from_json({**env, "id": name}), policy, count, episodes, max_steps)
        for name in ids or [env.get("id", "")]
        for count in workers
    ]
    windows = [window_rate(window_frames, window_size, seconds)] if seconds > 0 else []
    print("\n".join([*map(_collected, rates), *map(_drawn, windows)]))
    if out is None:
        return None
    content = {"format": FORMAT, "version": VERSION, "cores": os.cpu_count(), "busy": psutil.getloadavg()[0]}
    measured = {"collect": [asdict(rate) for rate in rates], "windows": [asdict(rate) for rate in windows]}
    write_json(out, {**content, **measured})
    return Path(out)


def collect_rate(
    env: EnvConfig, policy: Mapping[str, Any], workers: int, episodes: int, max_steps: int
) -> CollectRate:
    """Collect `episodes` episodes into a folder that is thrown away."""
    requested = plain(
        env=env.to_json(),
        policy=dict(policy),
        seed=0,
        episodes=episodes,
        episodes_per_shard=1,
        max_steps=max_steps,
        ignore_info=[],
    )
    watch = _Stopwatch(max(1, workers), episodes)
    with tempfile.TemporaryDirectory() as folder:
        job = ShardJob(Path(folder), describe(env, requested), Recorder)
        with progress(total=episodes, desc=f"{env.id}, {workers} workers", unit="episode") as bar:

            def report(frames: int) -> None:
                watch.report(frames)
                bar.update()

            write_shards(job, list(range(episodes)), workers, report)
    return CollectRate(env.id, env.size, workers, *watch.rates())


def window_rate(frames: int, size: int, seconds: float) -> WindowRate:
    """Draw windows from 64 episodes of 100 steps of noise."""
    rng = np.random.default_rng(0)
    space = space_from_json({"type": "Discrete", "n": 4, "start": 0})
    ends = np.arange(100) == 99
    episodes = [
        Episode(
            frames=rng.integers(0, 256, (101, size, size, 3), np.uint8),
            actions=rng.integers(0, 4, 100),
            rewards=np.zeros(100, np.float32),
            terminated=np.zeros(100, bool),
            truncated=ends,
            seed=seed,
        )
        for seed in range(64)
    ]
    with tempfile.TemporaryDirectory() as folder:
        about = describe_episodes(episodes, EnvConfig("recorded/noise", size), space, 10.0, {})
        dataset: EpisodeDataset = save_episodes(Path(folder) / "data", episodes, about)
        sampler = ClipSampler(dataset, np.arange(64), length=frames - 1, batch_size=64, seed=0)
        for step in range(50):  # brings the files into memory
            sampler.batch(step)
        start, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < seconds:
            sampler.batch(count)
            count += 1
    return WindowRate(frames, size, 64 * count / passed)


class _Stopwatch:
    """Runs from when every worker has finished an episode until no episodes are waiting to be played."""

    def __init__(self, workers: int, episodes: int) -> None:
        self._first, self._last = workers, episodes - workers
        self._reports = self._frames = 0
        self._marks: list[tuple[float, float]] = []

    def report(self, frames: int) -> None:
        """An episode is finished."""
        self._reports += 1
        if self._first < self._reports <= self._last:
            self._frames += frames
        if self._reports in (self._first, self._last):
            self._marks.append((time.perf_counter(), _cpu_seconds()))

    def rates(self) -> tuple[float, float]:
        """Frames per second, and per second of processor time."""
        (start, cpu_start), (end, cpu_end) = self._marks
        return self._frames / (end - start), self._frames / max(cpu_end - cpu_start, 1e-9)


def _cpu_seconds() -> float:
    """Of this process and those it started."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [me, *me.children(recursive=True)])


def _collected(rate: CollectRate) -> str:
    who = f"{rate.workers} workers" if rate.workers else "no workers"
    return (
        f"{rate.env:<28} {rate.size:>4} px  {who:<11} {rate.frames_per_second:>9,.0f} frames/s "
        f"{rate.per_cpu_second:>9,.0f} per processor second"
    )


def _drawn(rate: WindowRate) -> str:
    return f"windows of {rate.frames} frames, {rate.size} px: {rate.windows_per_second:,.0f} a second"
