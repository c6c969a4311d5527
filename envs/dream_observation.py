"""What a dream shows: its frame, the trunk's features of the step to it, or both."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector.utils import batch_space
from torch import Tensor

from worldmodel.frames import float_to_frames
from worldmodel.model.state import DreamState

OBS_TYPES = ("frames", "features", "both")


class DreamObservation:
    """The current observations of N dreams, and their spaces.

    obs_type "frames": uint8 [H,W,C]; "features": float32 [F], what the trunk made of the step to this frame (the input
    of the reward and termination heads), unbounded; "both": a Dict of "frames" and "features".
    """

    def __init__(self, obs_type: str, frame_shape: tuple[int, ...], features: int, num_envs: int) -> None:
        parts: dict[str, gym.Space[Any]] = {
            "frames": gym.spaces.Box(0, 255, frame_shape, np.uint8),
            "features": gym.spaces.Box(-np.inf, np.inf, (features,), np.float32),
        }
        self.single_space = parts[obs_type] if obs_type in parts else gym.spaces.Dict(parts)
        self.space: gym.Space[Any] = batch_space(self.single_space, num_envs)
        self._shows_frames, self.shows_features = obs_type != "features", obs_type != "frames"
        self._obs_type = obs_type
        self._frames = np.zeros((num_envs, *frame_shape), np.uint8)
        self._features = np.zeros((num_envs, features), np.float32)

    def show(self, frame: Tensor, features: Tensor) -> None:
        """All dreams are at these frames, float [N,C,H,W] in [-1,1], with these features [N,F]."""
        if self._shows_frames:  # what nobody asked for stays on the device
            self._frames = float_to_frames(frame).cpu().numpy()
        if self.shows_features:
            self._features = features.float().cpu().numpy()

    def show_at(self, index: np.ndarray, state: DreamState) -> None:
        """The dreams at `index` [K] are where the K dreams of `state` are; the rest are not touched."""
        if self._shows_frames:
            self._frames[index] = float_to_frames(state.last).cpu().numpy()
        if self.shows_features:
            self._features[index] = state.features.float().cpu().numpy()

    def batch(self) -> Any:
        """The observations of all dreams, as the space has them, copied."""
        return self._copied(slice(None))

    def one(self, index: int) -> Any:
        """The observation of one dream, copied."""
        return self._copied(index)

    def _copied(self, which: int | slice) -> Any:
        parts: dict[str, np.ndarray] = {"frames": self._frames, "features": self._features}
        if self._obs_type in parts:
            return parts[self._obs_type][which].copy()
        return {name: part[which].copy() for name, part in parts.items()}


def lacks_features(features: Tensor) -> bool:
    """Whether a start from a single frame is among these dreams: no step led to it, so it has no features."""
    return bool(torch.isnan(features).any())
