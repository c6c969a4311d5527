"""What travels between collecting, training and evaluating: Episode, Clip, Batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from worldmodel.errors import DatasetError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Episode:
    """One rollout of T actions and T+1 frames. This docstring owns the time table of the whole project:

        frame      x_0        x_1        x_2        x_3
        action          a_0        a_1        a_2            a_t leads FROM x_t TO x_{t+1}
        reward          r_0        r_1        r_2            r_t and terminated_t belong to that same transition

    frames uint8 [T+1, H, W, C]; actions [T, ...] as ActionCodec.store gives them; rewards float32 [T];
    terminated, truncated bool [T] (True at most at T-1); infos: arrays [T+1, ...], infos[key][t] seen with frame x_t;
    seed: the one given to env.reset. Raises DatasetError when the lengths or dtypes disagree.
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    infos: Mapping[str, np.ndarray] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        _check_frames(self.frames, len(self.actions))
        for name in ("rewards", "terminated", "truncated"):
            _check_shape(name, getattr(self, name), (len(self.actions),))
        for key, values in self.infos.items():
            _check_shape(f"infos[{key!r}]", values, (len(self.frames), *values.shape[1:]))

    def __len__(self) -> int:
        """T, the number of actions."""
        return len(self.actions)

    def clip(self, start: int, length: int) -> Clip:
        """The window of `length` actions from frame x_start on. Raises DatasetError when it leaves the episode."""
        if start < 0 or length < 1 or start + length > len(self):
            raise DatasetError(
                f"No {length}-step clip starts at step {start}: the episode has {len(self)} steps."
            )
        steps = slice(start, start + length)
        frames = self.frames[start : start + length + 1]
        return Clip(frames, self.actions[steps], self.rewards[steps], self.terminated[steps], start)


@dataclass(frozen=True)
class Clip:
    """A window of one Episode: frames uint8 [n+1, H, W, C]; actions, rewards, terminated [n, ...].

    start: t of its first frame in the episode; 0 means that the clip begins where the episode began.
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    start: int = 0

    def __post_init__(self) -> None:
        _check_frames(self.frames, len(self.actions))
        for name in ("rewards", "terminated"):
            _check_shape(name, getattr(self, name), (len(self.actions),))


@dataclass(frozen=True)
class Batch:
    """B clips as tensors: frames uint8 [B, n+1, H, W, C]; actions float32 [B, n, D] as ActionCodec encodes them;
    rewards float32 [B, n]; terminated, valid bool [B, n] (a step after the episode's end is not valid, and only fills
    the clip); at_start bool [B] (the clip begins where its episode began); importance float32 [B, n]: with this weight,
    0 where not valid and 1 on average elsewhere, every transition of the data counts the same, however often clips
    show it."""

    frames: torch.Tensor
    actions: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    valid: torch.Tensor
    at_start: torch.Tensor
    importance: torch.Tensor

    def __post_init__(self) -> None:
        size, steps = self.actions.shape[:2]
        _check_shape("frames", self.frames, (size, steps + 1, *self.frames.shape[2:]))
        _check_shape("rewards", self.rewards, (size, steps))
        _check_shape("terminated", self.terminated, (size, steps))
        _check_shape("valid", self.valid, (size, steps))
        _check_shape("at_start", self.at_start, (size,))
        _check_shape("importance", self.importance, (size, steps))

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        tensors = {item.name: getattr(self, item.name).to(device, non_blocking=True) for item in fields(self)}
        return Batch(**tensors)


def _check_frames(frames: np.ndarray, steps: int) -> None:
    if frames.dtype != np.uint8:
        raise DatasetError(f"frames must be uint8, got {frames.dtype}.")
    if frames.ndim != 4:
        raise DatasetError(f"frames must have shape [T+1, H, W, C], got {tuple(frames.shape)}.")
    _check_shape("frames", frames, (steps + 1, *frames.shape[1:]))


def _check_shape(name: str, array: np.ndarray | torch.Tensor, expected: tuple[int, ...]) -> None:
    if tuple(array.shape) != expected:
        raise DatasetError(f"{name} has shape {tuple(array.shape)}, expected {expected}.")
