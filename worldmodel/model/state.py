"""What travels through a dream: its state, a step of it, a rollout of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from worldmodel.model.memory import Memory
from worldmodel.model.uncertainty import Evidence

# Tensors of a state: its own, in the order of its fields, and its memory's.
_OWN = ("recent", "time", "seed", "features")
_MEMORY = ("keys", "values", "times")


@dataclass
class DreamState:
    """B dreams at their current step. recent: float [B,K,C,H,W] in [-1,1], frames x_t, x_{t-1}, ..., newest first and
    at least two; time: int64 [B], t counted from the first context frame; seed: int64 [B]; features: float32 [B,F],
    what the trunk made of the step to x_t (NaN after a start from a single frame, which had none); evidence: what the
    expected error is read from. `step` and `observe` advance it in place."""

    memory: Memory
    recent: Tensor
    time: Tensor
    seed: Tensor
    features: Tensor
    evidence: Evidence

    def __len__(self) -> int:
        return len(self.time)

    @property
    def last(self) -> Tensor:
        """x_t, [B,C,H,W]."""
        return self.recent[:, 0]

    @property
    def previous(self) -> Tensor:
        """x_{t-1}, [B,C,H,W]."""
        return self.recent[:, 1]

    def advance(self, frame: Tensor, spread: Tensor, features: Tensor) -> None:
        """On to x_{t+1} = `frame` [B,C,H,W], whose last two estimates differ by `spread` [B], with the trunk's
        `features` [B,F]. All tensors stay where they are: a CUDA graph works on them."""
        self._move_on(frame, features)
        self.evidence.observe(spread)

    def take_in(self, frame: Tensor, features: Tensor, error: Tensor, remembered: Tensor) -> None:
        """On to a real x_{t+1} = `frame` [B,C,H,W], with the trunk's `features` [B,F]; see Evidence.take_in for the
        rest. All tensors stay where they are."""
        self._move_on(frame, features)
        self.evidence.take_in(frame, error, remembered)

    def _move_on(self, frame: Tensor, features: Tensor) -> None:
        for age in range(self.recent.shape[1] - 1, 0, -1):
            self.recent[:, age] = self.recent[:, age - 1]
        self.recent[:, 0] = frame
        self.features.copy_(features)
        self.time += 1

    def select(self, index: Tensor) -> DreamState:
        """Copies of the dreams at `index` (int64 [K], repeats allowed): snapshots and branches."""
        own = [getattr(self, name)[index] for name in _OWN]
        return _state(self.memory.select(index), own, self.evidence.select(index))

    def assign(self, index: Tensor, other: DreamState) -> None:
        """Overwrite the dreams at `index` [K] with the K dreams of `other`; the rest are not touched."""
        self.memory.assign(index, other.memory)
        self.evidence.assign(index, other.evidence)
        for name in _OWN:
            getattr(self, name)[index] = getattr(other, name)

    def to(self, device: torch.device, memory_dtype: torch.dtype) -> DreamState:
        """The same on `device`, keys and values in `memory_dtype`. What is so already is shared, not copied."""
        own = [getattr(self, name).to(device) for name in _OWN]
        return _state(self.memory.to(device, memory_dtype), own, self.evidence.to(device))

    @staticmethod
    def concatenate(parts: Sequence[DreamState]) -> DreamState:
        """The dreams of all parts, in order, copied."""
        own = [torch.cat([getattr(part, name) for part in parts]) for name in _OWN]
        memory = Memory.concatenate([part.memory for part in parts])
        return _state(memory, own, Evidence.concatenate([part.evidence for part in parts]))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its name, as "recent" or "memory.keys"; `from_tensors` inverts it, given memory.window."""
        found = {name: getattr(self, name) for name in _OWN}
        found |= {f"memory.{name}": getattr(self.memory, name) for name in _MEMORY}
        return found | {
            f"evidence.{item.name}": getattr(self.evidence, item.name) for item in fields(Evidence)
        }

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], window: int) -> DreamState:
        """Raises KeyError for one that is missing."""
        keys, values, times = (tensors[f"memory.{name}"] for name in _MEMORY)
        evidence = Evidence(*(tensors[f"evidence.{item.name}"] for item in fields(Evidence)))
        return _state(Memory(keys, values, times, window), [tensors[name] for name in _OWN], evidence)


def _state(memory: Memory, own: Sequence[Tensor], evidence: Evidence) -> DreamState:
    """own: the tensors that _OWN names."""
    recent, time, seed, features = own
    return DreamState(memory, recent, time, seed, features, evidence)


@dataclass(frozen=True)
class Transition:
    """One imagined step: frame x_{t+1} float [B,C,H,W] in [-1,1], reward [B], termination_probability [B], terminated
    bool [B] (drawn with that probability by the dream's own seed and time), uncertainty [B] (the frame's expected root
    mean square error in grey levels; NaN without a calibration for this number of passes), features [B,F]."""

    frame: Tensor
    reward: Tensor
    termination_probability: Tensor
    uncertainty: Tensor
    features: Tensor
    terminated: Tensor


@dataclass(frozen=True)
class Imagination:
    """An imagined rollout of h steps: frames uint8 [B,h,H,W,C]; rewards, termination_probability, uncertainty [B,h];
    terminated bool [B,h], as Transition's: the steps go on after an end."""

    frames: Tensor
    rewards: Tensor
    termination_probability: Tensor
    uncertainty: Tensor
    terminated: Tensor
