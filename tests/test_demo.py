"""The demo does every stage once, whatever happens to it on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from worldmodel import demo as demo_module
from worldmodel import stages as stages_module
from worldmodel.demo import demo
from worldmodel.errors import WorldModelError
from worldmodel.stages import duration

NAMES = ("collect", "train", "calibrate", "dream", "reality", "evaluate")
CALLS: list[tuple[str, dict[str, Any]]] = []
FAIL_IN: list[str] = []


def fake_stage(name: str, out: str, frames: int | None = None, size: int = 1) -> None:
    """Notes that it was called; leaves what the demo's end reads; is stopped where FAIL_IN says so."""
    CALLS.append((name, {"frames": frames, "size": size}))
    if name in FAIL_IN:
        raise KeyboardInterrupt
    headline = [{"number": "30 dB", "meaning": "of something"}]
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / "report.json").write_text(json.dumps({"headline": headline}))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No calls yet, and stages that are found here."""
    CALLS.clear()
    FAIL_IN.clear()
    monkeypatch.setattr(stages_module, "locate", lambda target: fake_stage)

    class Collected:
        transitions = 123

        def __init__(self, path: str, verify: bool) -> None:
            assert path.endswith("/collect")

    monkeypatch.setattr(demo_module, "EpisodeDataset", Collected)


def settings(out: Path, **sizes: int) -> dict[str, Any]:
    config = {name: {"_target_": "fake", "name": name, "out": str(out / name)} for name in NAMES}
    for name, size in sizes.items():
        config[name] |= {"size": size}
    config["reality"] |= {"frames": None}
    return {"out": str(out), **config}


def called() -> list[str]:
    return [name for name, _ in CALLS]


def test_every_stage_runs_once_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(**settings(tmp_path)) == tmp_path / "evaluate" / "report.html"
    assert called() == list(NAMES)
    shown = capsys.readouterr()
    assert "[2/6] train: done in 0:00, 0:00 in all" in shown.err
    assert (
        "30 dB  of something" in shown.out and f"report: {tmp_path / 'evaluate' / 'report.html'}" in shown.out
    )


def test_a_finished_demo_does_nothing_again_and_still_tells_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(**settings(tmp_path))
    CALLS.clear()
    demo(**settings(tmp_path))
    assert called() == []
    shown = capsys.readouterr()
    assert "[6/6] evaluate: done before, in 0:00" in shown.err and shown.out.count("30 dB") == 2


@pytest.mark.parametrize("name", NAMES)
def test_stopped_in_any_stage_it_goes_on_with_that_stage(tmp_path: Path, name: str) -> None:
    FAIL_IN.append(name)
    with pytest.raises(KeyboardInterrupt):
        demo(**settings(tmp_path))
    FAIL_IN.clear()
    CALLS.clear()
    demo(**settings(tmp_path))
    assert called() == list(NAMES[NAMES.index(name) :])


def test_the_agent_in_reality_gets_as_many_frames_as_were_collected(tmp_path: Path) -> None:
    demo(**settings(tmp_path))
    assert dict(CALLS)["reality"]["frames"] == 123
    fixed = settings(tmp_path / "fixed")
    fixed["reality"] |= {"frames": 7}
    demo(**fixed)
    assert CALLS[-2] == ("reality", {"frames": 7, "size": 1})


def test_other_settings_are_one_sentence_and_touch_nothing(tmp_path: Path) -> None:
    demo(**settings(tmp_path))
    CALLS.clear()
    with pytest.raises(
        WorldModelError, match=r"started with train\.size=unset, not 2: give that again, or choose"
    ):
        demo(**settings(tmp_path, train=2))
    assert called() == []


def test_a_truncated_marker_is_named(tmp_path: Path) -> None:
    demo(**settings(tmp_path))
    (tmp_path / "stages" / "train.json").write_text('{"stage": "tr')
    with pytest.raises(WorldModelError, match=r"stages/train\.json is truncated or not JSON"):
        demo(**settings(tmp_path))


def test_durations_read_like_a_clock() -> None:
    assert [duration(0.4), duration(65.0), duration(600.0)] == ["0:00", "1:05", "10:00"]


def run_demo(out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "worldmodel", "demo", "scale=debug", f"out={out}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)  # type: ignore[call-overload,no-any-return]


def kill_when(process: "subprocess.Popen[str]", path: Path) -> None:
    """SIGKILL as soon as `path` exists."""
    deadline = time.monotonic() + 600
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_whole_demo_survives_kills_and_repeats_nothing(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    kill_when(run_demo(out), out / "stages" / "collect.json")
    recorded = {path: path.stat().st_mtime_ns for path in (out / "data").rglob("*.npy")}
    kill_when(run_demo(out), out / "stages" / "dream.json")
    learned = (out / "stages" / "train.json").read_bytes()
    process = run_demo(out)
    shown, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    for number, name in enumerate(("collect", "train", "calibrate", "dream"), start=1):
        assert f"[{number}/6] {name}: done before" in said
    assert "[6/6] evaluate: done in" in said and "report.html" in shown
    assert recorded == {path: path.stat().st_mtime_ns for path in (out / "data").rglob("*.npy")}
    assert learned == (out / "stages" / "train.json").read_bytes()
    numbers = json.loads((out / "report.json").read_text())
    assert list(numbers["agents"]) == ["dream-trained agent", "random actions", "real-trained agent"]
    collected = numbers["agents"]["real-trained agent"]["frames"]
    transitions = sum(
        sum(json.loads(path.read_text())["lengths"]) for path in (out / "data").rglob("shard.json")
    )
    assert transitions - 4 < collected <= transitions, "as many real frames, in whole steps of 4 worlds"
    assert not list(out.rglob("*.tmp-*")), "nothing half-written is left"
