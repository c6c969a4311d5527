"""Where an agent learns: many dreams, or copies of the real environment, in tensors and restarting themselves."""

# B worlds, C H W frame, D size of an encoded action

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from worldmodel.agents.learning.actor_critic import observation
from worldmodel.agents.learning.distributions import clamp_action
from worldmodel.data.rollout import RunningEpisode
from worldmodel.envs.dream import DreamVectorEnv, TensorStep
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec


class TensorEnvs(Protocol):
    """The tensor face of a vector environment, as DreamVectorEnv has it: observations are two frames, [B,2C,H,W]."""

    num_envs: int
    single_action_space: gym.Space[Any]
    single_observation_space: gym.Space[Any]

    def reset_tensors(self, seed: int | Sequence[int | None] | None = None) -> Tensor:
        """Begin everywhere."""

    def step_tensors(self, action: Tensor) -> TensorStep:
        """Encoded actions [B,D]; an ended episode is followed by the next one at once."""

    def close(self, **kwargs: Any) -> None:
        """Free what the environments hold."""


class RealEnvs:
    """B copies of the real environment; x_0 stands for the frame before it at an episode's start."""

    def __init__(self, env: EnvConfig, num_envs: int, device: str | torch.device = "cpu") -> None:
        self._episodes = [RunningEpisode(env.make(), keep=1) for _ in range(num_envs)]
        self.num_envs, self._device = num_envs, torch.device(device)
        self.single_observation_space = self._episodes[0].env.observation_space
        self.single_action_space = self._episodes[0].env.action_space
        self._codec = ActionCodec(self.single_action_space)

    def reset_tensors(self, seed: int | Sequence[int | None] | None = None) -> Tensor:
        """See TensorEnvs."""
        seeds = seed if isinstance(seed, Sequence) else [None] * self.num_envs
        for episode, own in zip(self._episodes, seeds, strict=True):
            episode.begin(None if own is None else own % 2**31)
        return self._seen()

    def step_tensors(self, action: Tensor) -> TensorStep:
        """See TensorEnvs."""
        for episode, stored in zip(self._episodes, self._codec.decode(action.cpu().numpy()), strict=True):
            episode.step(stored)
        final = seen = self._seen()
        ends = [(episode.terminated, episode.truncated) for episode in self._episodes]
        terminated, truncated = torch.tensor(ends, device=self._device).unbind(dim=1)
        reward = torch.tensor([episode.rewards[-1] for episode in self._episodes], device=self._device)
        if (terminated | truncated).any():
            for episode in self._episodes:
                if episode.over:
                    episode.begin()
            seen = self._seen()
        unknown = torch.full_like(reward, torch.nan)
        return TensorStep(seen, final, reward, terminated, truncated, unknown, unknown)

    def close(self, **kwargs: Any) -> None:
        """Close the environments."""
        for episode in self._episodes:
            episode.env.close()

    def _seen(self) -> Tensor:
        frames = np.stack([(episode.observation, episode.previous) for episode in self._episodes])
        last, previous = frames_to_float(torch.from_numpy(frames).to(self._device)).unbind(dim=1)
        return observation(last, previous)


def dream_envs(
    model: WorldModel, num_envs: int, num_inference_steps: int = 1, starts: StartContexts | None = None
) -> DreamVectorEnv:
    """Dreams for learning, which only the learner's horizon cuts. starts: other real moments than the checkpoint's own
    contexts, of which there must be some."""
    starts = model.contexts if starts is None else starts
    if not len(starts):
        raise WorldModelError(
            "The checkpoint holds no start contexts: give starts=, a dataset of the same environment, or train it "
            "again with num_contexts above 0."
        )
    on_device = StartContexts(starts.frames.to(model.device), starts.actions.to(model.device))
    return DreamVectorEnv(model.starting_from(on_device), num_envs, num_inference_steps, max_episode_steps=-1)


class World:
    """B worlds to learn in, timed; with a `horizon` all of them are truncated and begin anew together after so many
    steps, so that what starts and ends when is a pure function of (seed, steps): a run that was killed goes on as if it
    had not been. Without one, in reality, going on from a checkpoint begins new episodes.

    imagined: dreams; period: see horizon, 1 without one; seconds: spent in the world model, or in the environments.
    """

    def __init__(self, envs: TensorEnvs, seed: int = 0, horizon: int | None = None) -> None:
        self._envs, self._seed, self._horizon = envs, seed, horizon
        self.imagined, self.period = isinstance(envs, DreamVectorEnv), horizon or 1
        self.num_worlds, self.action_space = envs.num_envs, envs.single_action_space
        self.frame_shape: tuple[int, int, int] = envs.single_observation_space.shape  # type: ignore[assignment]
        self._layout = ActionCodec(self.action_space).layout
        device = envs.model.device if isinstance(envs, DreamVectorEnv) else torch.device("cpu")
        self._clock = Clock(device)

    @property
    def seconds(self) -> float:
        """So far."""
        return self._clock.seconds()

    def reset(self, steps: int) -> Tensor:
        """Begin everywhere, as after `steps` steps; the first observation."""
        self._steps = steps
        words = np.random.SeedSequence((self._seed, steps)).generate_state(self.num_worlds, np.uint64)
        with self._clock.running():
            return self._envs.reset_tensors(words.tolist())

    def step(self, action: Tensor) -> TensorStep:
        """Apply encoded actions [B,D]; bounded numbers outside of [-1, 1] are clamped."""
        with self._clock.running():
            step = self._envs.step_tensors(clamp_action(action, self._layout))
        self._steps += 1
        if self._horizon is None or self._steps % self._horizon:
            return replace(step, truncated=step.truncated & ~step.terminated)
        return replace(step, observation=self.reset(self._steps), truncated=~step.terminated)

    def close(self) -> None:
        """Free what the worlds hold."""
        self._envs.close()


class Clock:
    """Adds up the time spent in `running` blocks: on a GPU, from when its stream comes to a block until it leaves it.

    There the time in which the GPU waits for the next kernel of a block counts too, as it does for whoever waits.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._seconds = 0.0
        self._open: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time this block."""
        if not self._on_gpu:
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        yield
        end.record()
        self._open.append((begin, end))

    def seconds(self) -> float:
        """So far. Waits for the GPU, so ask once per update, not per step."""
        if self._open:
            torch.cuda.synchronize()
            self._seconds += sum(begin.elapsed_time(end) for begin, end in self._open) / 1000
            self._open.clear()
        return self._seconds
