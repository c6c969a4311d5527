"""What travels through a dream: its state, a step of it, a rollout of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from worldmodel.model.memory import Memory
from worldmodel.model.uncertainty import Evidence


@dataclass
class DreamState:
    """B dreams at their current step. recent: float [B,K,C,H,W] in [-1,1], frames x_t, x_{t-1}, ..., newest first and
    at least two; time: int64 [B], t counted from the first context frame; seed: int64 [B]; evidence: what the expected
    error is read from. `step` advances it in place."""

    memory: Memory
    recent: Tensor
    time: Tensor
    seed: Tensor
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

    def advance(self, frame: Tensor, spread: Tensor) -> None:
        """On to x_{t+1} = `frame` [B,C,H,W], whose last two estimates differ by `spread` [B]. All tensors stay where
        they are: a CUDA graph works on them."""
        for age in range(self.recent.shape[1] - 1, 0, -1):
            self.recent[:, age] = self.recent[:, age - 1]
        self.recent[:, 0] = frame
        self.time += 1
        self.evidence.observe(spread)

    def select(self, index: Tensor) -> DreamState:
        """Copies of the dreams at `index` (int64 [K], repeats allowed): snapshots and branches."""
        memory, evidence = self.memory.select(index), self.evidence.select(index)
        return DreamState(memory, self.recent[index], self.time[index], self.seed[index], evidence)

    def assign(self, index: Tensor, other: DreamState) -> None:
        """Overwrite the dreams at `index` [K] with the K dreams of `other`; the rest are not touched."""
        self.memory.assign(index, other.memory)
        self.evidence.assign(index, other.evidence)
        for name in ("recent", "time", "seed"):
            getattr(self, name)[index] = getattr(other, name)


@dataclass(frozen=True)
class Transition:
    """One imagined step: frame x_{t+1} float [B,C,H,W] in [-1,1], reward [B], termination_probability [B],
    uncertainty [B] (the frame's expected root mean square error in grey levels; NaN without a calibration for this
    number of passes), features [B,F]."""

    frame: Tensor
    reward: Tensor
    termination_probability: Tensor
    uncertainty: Tensor
    features: Tensor


@dataclass(frozen=True)
class Imagination:
    """An imagined rollout of h steps: frames uint8 [B,h,H,W,C]; rewards, termination_probability, uncertainty [B,h]."""

    frames: Tensor
    rewards: Tensor
    termination_probability: Tensor
    uncertainty: Tensor
