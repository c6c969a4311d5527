"""The benchmark measures what it says; how much is left to the machine."""

import json
from pathlib import Path

import pytest
from counting_data import HELD, counting

from worldmodel.data.benchmark import _Stopwatch, benchmark
from worldmodel.errors import DatasetError


def test_rates_are_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The counting environment takes 10 ms for each step, which bounds the rate of one process."""
    benchmark(
        counting(delay=0.01),
        HELD,
        workers=[0, 1],
        episodes=6,
        seconds=0.05,
        window_size=8,
        out=tmp_path / "r.json",
    )
    content = json.loads((tmp_path / "r.json").read_text())
    assert [rate["workers"] for rate in content["collect"]] == [0, 1]
    for rate in content["collect"]:
        assert 0 < rate["frames_per_second"] < 130  # 100 steps, and a frame more for each episode of 4 to 12
        assert rate["per_cpu_second"] > 0
    assert content["windows"][0]["windows_per_second"] > 0
    text = capsys.readouterr().out
    assert "no workers" in text and "1 workers" in text and "windows of 16 frames, 8 px" in text


def test_only_the_time_when_all_are_at_work_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 20.0])
    monkeypatch.setattr("worldmodel.data.benchmark.time.perf_counter", lambda: next(clock))
    cpu = iter([1.0, 6.0])
    monkeypatch.setattr("worldmodel.data.benchmark._cpu_seconds", lambda: next(cpu))
    watch = _Stopwatch(workers=2, episodes=8)
    for frames in (900, 900, 10, 20, 30, 40, 900, 900):
        watch.report(frames)
    assert watch.rates() == (10.0, 20.0)


def test_too_few_episodes() -> None:
    with pytest.raises(DatasetError, match="8 episodes are too few for 4 workers: give at least 16"):
        benchmark(counting(), HELD, workers=[4], episodes=8)
