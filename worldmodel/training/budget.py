"""budget.json of a run: what its training has cost so far, call by call."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from worldmodel.files import read_json, write_json
from worldmodel.machine import this_machine

BUDGET = "budget.json"


@dataclass(frozen=True)
class Call:
    """One call of the command: it trained from one step to another, in so many minutes of wall-clock time."""

    command: str
    machine: str
    began: str
    from_step: int
    to_step: int
    minutes: float


class Budget:
    """Counts the call that begins now, at step `start` of the run in `folder`, beside the earlier ones."""

    def __init__(self, folder: Path, start: int) -> None:
        self._path, self._start = folder / BUDGET, start
        self._before = read_budget(folder)
        self._clock, self._began = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        self._command = " ".join(["worldmodel", *sys.argv[1:]])
        self._machine = this_machine().summary()

    def reached(self, step: int) -> None:
        """Write down that this call has come to `step`: with every checkpoint, so that a kill loses no more than it."""
        minutes = (time.monotonic() - self._clock) / 60
        call = Call(self._command, self._machine, self._began, self._start, step, round(minutes, 3))
        write_json(self._path, {"calls": [asdict(one) for one in [*self._before, call]]})


def read_budget(folder: Path) -> list[Call]:
    """The calls so far, oldest first; none for a run that has not saved a checkpoint."""
    path = folder / BUDGET
    return [Call(**call) for call in read_json(path)["calls"]] if path.exists() else []
