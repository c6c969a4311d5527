"""Commands run one after another into one folder; none that is done is ever done again, whatever stops the whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.arguments import checked_arguments, locate
from worldmodel.files import exclusive_lock, read_json, remove_temporaries, write_json

MARKERS = "stages"
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """One command: a name, the config of its function (with `_target_`), and what to expect, in words.

    late: what of the config is known only when the stage begins, because it depends on the stages before.
    """

    name: str
    config: Config
    about: str
    late: Callable[[], Config] | None = None


@contextmanager
def claimed(run: Path, what: str) -> Iterator[None]:
    """The folder `run`, made if need be, for this process alone, and rid of what a killed one left half-written."""
    run.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(
        run / ".lock", f"Another process is running {what} in {run}: wait for it, or stop it."
    ):
        for folder in (run, run / MARKERS):
            remove_temporaries(folder)
        yield


def run_stages(run: Path, stages: Sequence[Stage], what: str) -> None:
    """Run the stages whose results are not in `run` yet, in order; `what` is what they make up, in words."""
    start = time.monotonic()
    for number, stage in enumerate(stages, start=1):
        _run_stage(run, stage, f"[{number}/{len(stages)}] {stage.name}", start)
    say(f"{what} is complete after {duration(time.monotonic() - start)}")


def _run_stage(run: Path, stage: Stage, heading: str, whole_start: float) -> None:
    marker = run / MARKERS / f"{stage.name}.json"
    if marker.exists():
        say(f"{heading}: done before, in {duration(read_json(marker)['seconds'])}")
        return
    say(f"{heading}: {stage.about}")
    start = time.monotonic()
    config = {**stage.config, **(stage.late() if stage.late else {})}
    target = locate(config["_target_"])
    target(**checked_arguments(target, config))
    seconds = time.monotonic() - start
    write_json(marker, {"stage": stage.name, "seconds": seconds, "settings": config})
    say(f"{heading}: done in {duration(seconds)}, {duration(time.monotonic() - whole_start)} in all")


def seconds_of(run: Path, name: str) -> float:
    """How long the finished stage `name` took in the call that finished it."""
    return float(read_json(run / MARKERS / f"{name}.json")["seconds"])


def duration(seconds: float) -> str:
    """Minutes and seconds, as on a clock."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def say(line: str) -> None:
    """To stderr, at once."""
    print(line, file=sys.stderr, flush=True)
