"""Where an agent can learn: many dreams of one world model, or many copies of the real environment, behind one face."""

# B worlds, C H W frame, F features of a world model's trunk, D size of an encoded action

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array
from torch import Tensor

from worldmodel.agents.actor_critic import dream_observation, observation
from worldmodel.agents.clock import Clock
from worldmodel.agents.distributions import clamp_action
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import DreamState, WorldModel
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

FIRST_FRAMES = 0.1  # share of the dreams on features that start from a single frame, as real episodes do


@dataclass(frozen=True)
class WorldStep:
    """One step of B worlds.

    observation [B,2C,H,W], or [B,F+1] for an agent on features: what to act on next; where an episode ended, already
    the next one's first. final, of the same shape: what the transition led to; differs from observation only where an
    episode ended. reward [B]; terminated, truncated bool [B], never both. uncertainty [B]: the expected error of the
    imagined frame in grey levels (see Transition); NaN where nothing tells it.
    """

    observation: Tensor
    final: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    uncertainty: Tensor


class World(Protocol):
    """B worlds that restart themselves.

    period: after so many steps all of them start anew together, so that `reset` makes them exactly as they were; 1
    where that never happens, and going on from a checkpoint begins new episodes. seconds: spent in the world model, or
    in the environments, so far.
    """

    num_worlds: int
    frame_shape: tuple[int, int, int]
    action_space: gym.Space[Any]
    imagined: bool
    period: int

    @property
    def seconds(self) -> float:
        """See above."""

    def reset(self, steps: int) -> Tensor:
        """Start everywhere anew, as after `steps` steps; the first observation, as WorldStep's."""

    def step(self, action: Tensor) -> WorldStep:
        """Apply encoded actions [B,D]; bounded numbers outside of [-1, 1] are clamped."""

    def close(self) -> None:
        """Free what the worlds hold."""


class DreamWorld:
    """B dreams in one batched forward pass, all in tensors on the model's device.

    Every dream starts from a real context: one of `starts`, by default those of the checkpoint. All of them are
    truncated together after each `horizon` steps; one that terminates before is replaced at once. The end is sampled
    with the head's probability: with the expected reward that goes along with it, states at the edge of success then
    pay what they are worth, however long an agent stays there. What starts and ends when is a pure function of
    (seed, steps), so that a killed run goes on as if it had not been. features: agents see the trunk's features instead
    of frames, and a share of the dreams starts from the last frame of its context alone, of which there are none.
    """

    imagined = True

    def __init__(
        self,
        model: WorldModel,
        num_worlds: int = 64,
        horizon: int = 96,
        num_inference_steps: int = 1,
        seed: int = 0,
        starts: StartContexts | None = None,
        features: bool = False,
    ) -> None:
        starts = model.contexts if starts is None else starts
        if not len(starts):
            raise WorldModelError(
                "The checkpoint holds no start contexts: give starts=, a dataset of the same environment, or train it "
                "again with num_contexts above 0."
            )
        self.num_worlds, self.period = num_worlds, horizon
        self.frame_shape, self.action_space = model.world.frame_shape, model.world.action_space
        self._model, self._passes, self._seed = model, num_inference_steps, seed
        self._layout, self._features = model.world.codec.layout, features
        self._starts = StartContexts(starts.frames.to(model.device), starts.actions.to(model.device))
        self._clock = Clock(model.device)
        self._state: DreamState

    @property
    def seconds(self) -> float:
        """Spent in the world model so far."""
        return self._clock.seconds()

    def reset(self, steps: int) -> Tensor:
        """Begin every dream as at step `steps`."""
        self._steps = steps
        self._random = torch.Generator(self._model.device).manual_seed(self._seed * 1_000_003 + steps)
        self._state = self._begin(self.num_worlds)
        return self._observe()

    def step(self, action: Tensor) -> WorldStep:
        """One imagined step of all dreams."""
        clamped = clamp_action(action, self._layout)
        with self._clock.running():
            imagined = self._model.step(self._state, clamped, self._passes)
        final = self._observe()
        self._steps += 1
        chance = torch.rand(self.num_worlds, generator=self._random, device=self._model.device)
        terminated = chance < imagined.termination_probability
        truncated = torch.full_like(terminated, self._steps % self.period == 0) & ~terminated
        next_observation = final
        if self._steps % self.period == 0:
            next_observation = self.reset(self._steps)
        elif len(ended := terminated.nonzero()[:, 0]):
            self._state.assign(ended, self._begin(len(ended)))
            next_observation = self._observe()
        return WorldStep(
            next_observation, final, imagined.reward, terminated, truncated, imagined.uncertainty
        )

    def close(self) -> None:
        """Nothing to free."""

    def _begin(self, count: int) -> DreamState:
        device = self._model.device
        chosen = torch.randint(len(self._starts), (count,), generator=self._random, device=device)
        noise_seeds = torch.randint(2**62, (count,), generator=self._random, device=device)
        starts = self._starts.select(chosen)
        with self._clock.running():
            state = self._model.begin(starts.frames, starts.actions, noise_seeds)
            if self._features:
                chance = torch.rand(count, generator=self._random, device=device)
                if len(first := (chance < FIRST_FRAMES).nonzero()[:, 0]):
                    frames, no_actions = starts.frames[first, -1:], starts.actions[first, :0]
                    state.assign(first, self._model.begin(frames, no_actions, noise_seeds[first]))
            return state

    def _observe(self) -> Tensor:
        return dream_observation(self._state, self._features)


class RealWorld:
    """B copies of the real environment; observations are made as in a dream, x_0 twice at an episode's start."""

    imagined = False
    period = 1

    def __init__(
        self, env: EnvConfig, num_worlds: int = 64, seed: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        self._envs = SyncVectorEnv(
            [env.make] * num_worlds, autoreset_mode=AutoresetMode.SAME_STEP, copy=False
        )
        self.num_worlds, self._seed, self._device = num_worlds, seed, torch.device(device)
        self.frame_shape: tuple[int, int, int] = self._envs.single_observation_space.shape  # type: ignore[assignment]
        self.action_space = self._envs.single_action_space
        self._codec = ActionCodec(self.action_space)
        self._clock = Clock(torch.device("cpu"))

    @property
    def seconds(self) -> float:
        """Spent in the environments so far."""
        return self._clock.seconds()

    def reset(self, steps: int) -> Tensor:
        """Begin new episodes everywhere; which ones depends on (seed, steps)."""
        seeds = np.random.SeedSequence((self._seed, steps)).generate_state(self.num_worlds)
        frames, _ = self._envs.reset(seed=[int(seed) for seed in seeds])
        self._last = self._to_float(frames)
        return observation(self._last, self._last)

    def step(self, action: Tensor) -> WorldStep:
        """One step of all environments; an ended episode is followed by the next one at once."""
        batch = self._as_batch(action)
        with self._clock.running():
            frames, rewards, terminated, truncated, info = self._envs.step(batch)
        before, self._last = self._last, self._to_float(frames)
        final = shown = observation(self._last, before)
        if len(ended := np.flatnonzero(terminated | truncated)):
            shown, final = shown.clone(), final.clone()
            shown[ended] = observation(self._last[ended], self._last[ended])
            final[ended] = observation(self._to_float(np.stack(info["final_obs"][ended])), before[ended])
        to_tensor = partial(torch.as_tensor, device=self._device)
        reward = to_tensor(rewards, dtype=torch.float32)
        unknown = torch.full_like(reward, torch.nan)
        ends = (to_tensor(terminated), to_tensor(truncated & ~terminated))
        return WorldStep(shown, final, reward, *ends, unknown)

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()

    def _as_batch(self, action: Tensor) -> Any:
        """Encoded actions [B,D] as the vector environment's action_space holds them."""
        actions = [self._codec.restore(stored) for stored in self._codec.decode(action.cpu().numpy())]
        empty = create_empty_array(self.action_space, self.num_worlds)
        return concatenate(self.action_space, actions, empty)  # type: ignore[arg-type]

    def _to_float(self, frames: np.ndarray) -> Tensor:
        return frames_to_float(torch.tensor(frames, device=self._device))
