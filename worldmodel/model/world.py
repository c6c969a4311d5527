"""What a checkpoint knows about the world it learned, and the real starts it can dream from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec, space_from_json, space_to_json


@dataclass(frozen=True)
class WorldSpec:
    """The contract the dream shares with the real environment it was learned from.

    frame_shape (H, W, C) of uint8 frames; fps in frames per second; reward_range as observed in the training episodes;
    num_context_frames real frames a dream starts from.
    """

    env: EnvConfig
    action_space: gym.Space[Any]
    frame_shape: tuple[int, int, int]
    fps: float
    max_episode_steps: int | None
    reward_range: tuple[float, float]
    num_context_frames: int

    @property
    def codec(self) -> ActionCodec:
        """Encodes actions of this world for the network."""
        return ActionCodec(self.action_space)

    def to_json(self) -> dict[str, Any]:
        return {
            "env": self.env.to_json(),
            "action_space": space_to_json(self.action_space),
            "frame_shape": list(self.frame_shape),
            "fps": self.fps,
            "max_episode_steps": self.max_episode_steps,
            "reward_range": list(self.reward_range),
            "num_context_frames": self.num_context_frames,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WorldSpec:
        height, width, channels = data["frame_shape"]
        low, high = data["reward_range"]
        return cls(
            env=EnvConfig.from_json(data["env"]),
            action_space=space_from_json(data["action_space"]),
            frame_shape=(height, width, channels),
            fps=data["fps"],
            max_episode_steps=data["max_episode_steps"],
            reward_range=(low, high),
            num_context_frames=data["num_context_frames"],
        )


@dataclass(frozen=True)
class StartContexts:
    """Real starts: frames uint8 [N,n,H,W,C] and the n-1 actions between them, float32 [N,n-1,D] as encoded."""

    frames: Tensor
    actions: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def draw(
        cls, dataset: EpisodeDataset, indices: np.ndarray, num_frames: int, count: int, seed: int
    ) -> StartContexts:
        """`count` windows of `num_frames` frames from these episodes, seeded; never across an episode's end."""
        if num_frames < 1 or count < 1:
            raise DatasetError(
                f"num_context_frames is {num_frames} and num_contexts {count}, expected at least 1 of each."
            )
        rng = np.random.default_rng(seed)
        long_enough = indices[dataset.lengths[indices] >= num_frames]
        if not len(long_enough):
            raise DatasetError(
                f"No episode has {num_frames} frames to start a dream from: collect longer episodes."
            )
        frames, actions = [], []
        for index in rng.choice(long_enough, size=count):
            # The last frame must not be an episode's last: nothing follows a terminal state.
            start = int(rng.integers(0, dataset.lengths[index] - num_frames + 1))
            clip = dataset.clip(int(index), start, num_frames)
            frames.append(clip.frames[:-1])
            actions.append(dataset.codec.encode(clip.actions[:-1]))
        return cls(torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(actions)))

    def select(self, index: Tensor) -> StartContexts:
        """The contexts at `index` (int64 [K])."""
        return StartContexts(self.frames[index], self.actions[index])
