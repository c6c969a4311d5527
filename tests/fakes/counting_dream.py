"""A dream that counts its steps and pays for the actions it is given: every number says where it comes from."""

import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from worldmodel.agents.learning.worlds import World, dream_envs
from worldmodel.frames import frames_to_float
from worldmodel.model.state import Transition
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import WorldModel
from worldmodel.spaces import ActionCodec

SIZE, CONTEXT = 8, 3


def level(frames: Tensor) -> Tensor:
    """The number a float frame [B,C,H,W] shows: its first pixel's level from 0 to 255, int64 [B]."""
    return ((frames[:, 0, 0, 0] + 1) * 127.5).round().long()


def picture(numbers: Tensor) -> Tensor:
    """uint8 frames [..., SIZE, SIZE, 3] that show `numbers` [...]."""
    return numbers.to(torch.uint8)[..., None, None, None].expand(*numbers.shape, SIZE, SIZE, 3).contiguous()


@dataclass
class CountingState:
    last: Tensor
    previous: Tensor
    seed: Tensor

    def __len__(self) -> int:
        return len(self.last)

    def assign(self, index: Tensor, other: "CountingState") -> None:
        for name in ("last", "previous", "seed"):
            getattr(self, name)[index] = getattr(other, name)


class CountingDream(WorldModel):
    """Frame x_{t+1} shows x_t's number plus 1; context k starts at 20 * (k + 1).

    Reward: 1000 * the number of x_t + the first number of a_t, times `pay`. A dream ends when its number reaches a
    multiple of `ends_at` (None: never).
    """

    def __init__(
        self,
        action_space: gym.Space[Any] | None = None,
        contexts: int = 4,
        ends_at: int | None = None,
        pay: float = 1.0,
    ) -> None:
        space = action_space or spaces.Box(-2.0, 2.0, (2,), np.float32)
        codec = ActionCodec(space)
        self.ends_at, self.pay = ends_at, pay
        self.world = SimpleNamespace(
            codec=codec,
            action_space=space,
            frame_shape=(SIZE, SIZE, 3),
            num_context_frames=CONTEXT,
            max_episode_steps=10,
            fps=10.0,
            reward_range=(-1.0, 1.0),
        )
        numbers = 20 * torch.arange(1, contexts + 1)[:, None] + torch.arange(CONTEXT) - (CONTEXT - 1)
        self.contexts = StartContexts(picture(numbers), torch.zeros(contexts, CONTEXT - 1, codec.size))
        self.begun: list[int] = []

    device = torch.device("cpu")  # type: ignore[assignment]
    num_inference_steps = 1  # type: ignore[assignment]
    precision = "float32"  # type: ignore[assignment]

    def starting_from(self, contexts: StartContexts) -> "CountingDream":
        other = copy.copy(self)
        other.contexts = contexts
        return other

    def begin(self, frames: Tensor, actions: Tensor, seeds: Tensor) -> CountingState:
        self.begun.append(len(frames))
        video = frames_to_float(frames)
        return CountingState(video[:, -1].clone(), video[:, -2].clone(), seeds.clone())

    def step(
        self, state: CountingState, action: Tensor, num_inference_steps: int | None = None
    ) -> Transition:
        now = level(state.last)
        reward = self.pay * (1000.0 * now + action[:, 0])
        ended = (now + 1) % self.ends_at == 0 if self.ends_at else torch.zeros_like(now)
        state.previous, state.last = state.last, frames_to_float(picture(now + 1))
        nothing = torch.zeros(len(now))
        return Transition(state.last, reward, ended.float(), nothing, nothing[:, None], ended.bool())


def dream_world(
    model: CountingDream, num_worlds: int = 64, horizon: int = 96, seed: int = 0, **options: Any
) -> World:
    """What learners see of the stand-in for a WorldModel."""
    return World(dream_envs(model, num_worlds, **options), seed, horizon)
