"""Does a step cost the same after ten steps and after ten thousand?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.benchmark.dream import begin
from worldmodel.benchmark.memory import resident_bytes
from worldmodel.benchmark.timing import seconds_of
from worldmodel.errors import WorldModelError
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

EARLY = 10
_COMPARED = 200  # steps that are timed early and late


@dataclass(frozen=True)
class Flatness:
    """A dream at step EARLY and after `steps`.

    early_ms, late_ms: median step there; both are stepped in turn once the late one is reached, so that whatever else
    the machine does hits both. state_bytes: of the dream's tensors, early and late; grown_bytes: by how much the
    process's memory (on a GPU: the tensors on it) grew in between.
    """

    steps: int
    batch: int
    early_ms: float
    late_ms: float
    state_bytes: tuple[int, int]
    grown_bytes: int

    @property
    def ratio(self) -> float:
        """Late over early: 1 is flat."""
        return self.late_ms / self.early_ms


def measure_flatness(model: WorldModel, steps: int, batch: int = 1) -> Flatness:
    """Dream `steps` steps and compare. Raises WorldModelError for fewer than twice EARLY."""
    if steps < 2 * EARLY:
        raise WorldModelError(f"flat_steps is {steps}: give at least {2 * EARLY}, or 0 to leave it out.")
    action = torch.zeros(batch, model.world.codec.size, device=model.device)
    late = begin(model, batch)
    for _ in range(EARLY):
        model.step(late, action)
    early = late.select(torch.arange(batch, device=model.device))
    early_bytes, early_memory = state_bytes(late), _memory(model)
    for _ in progress(range(steps - EARLY), desc="a long dream", unit="step"):
        model.step(late, action)
    grown, late_bytes = _memory(model) - early_memory, state_bytes(late)
    times = np.array(
        [
            [seconds_of(lambda s=state: model.step(s, action), model.device) for state in (early, late)]  # type: ignore[misc]
            for _ in range(min(_COMPARED, steps))
        ]
    )
    early_ms, late_ms = np.median(times, axis=0) * 1e3
    return Flatness(steps, batch, float(early_ms), float(late_ms), (early_bytes, late_bytes), grown)


def state_bytes(state: DreamState) -> int:
    """Bytes of all tensors of a dream's state."""
    return sum(tensor.nbytes for tensor in state.tensors().values())


def _memory(model: WorldModel) -> int:
    return torch.cuda.memory_allocated(model.device) if model.device.type == "cuda" else resident_bytes()
