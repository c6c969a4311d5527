"""One dream as a Gymnasium Env."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from worldmodel.envs.dream import arguments
from worldmodel.envs.dream.futures import DreamFutures
from worldmodel.envs.dream.snapshot import DreamSnapshot
from worldmodel.envs.dream.vector import RENDER_MODES, DreamVectorEnv
from worldmodel.model.world_model import WorldModel


class DreamEnv(gym.Env):
    """One dream: the vector environment of size one behind Gymnasium's Env face. Arguments as DreamVectorEnv's.

    gym.make keeps max_episode_steps for its own TimeLimit, which can only shorten a dream, and tells it to nobody: to
    make a dream longer give gym.make `time_limit`, which is max_episode_steps under a name that gym.make passes on.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        checkpoint: str | Path | WorldModel,
        time_limit: int | None = None,
        num_inference_steps: int | None = None,
        max_episode_steps: int | None = None,
        device: str | torch.device | None = None,
        render_mode: str | None = None,
        precision: str | None = None,
        obs_type: str = "frames",
        truncate_on_uncertainty: float | None = None,
        termination: str = "sample",
    ) -> None:
        self.vector = DreamVectorEnv(
            checkpoint,
            num_envs=1,
            num_inference_steps=num_inference_steps,
            max_episode_steps=max_episode_steps if time_limit is None else time_limit,
            device=device,
            render_mode=render_mode,
            autoreset_mode=AutoresetMode.DISABLED,
            precision=precision,
            obs_type=obs_type,
            truncate_on_uncertainty=truncate_on_uncertainty,
            termination=termination,
        )
        self.metadata = {key: value for key, value in self.vector.metadata.items() if key != "autoreset_mode"}
        self.render_mode = self.vector.render_mode
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.reward_range = self.vector.reward_range

    @property
    def max_episode_steps(self) -> int | None:
        """Steps after which a dream is truncated, as in the real environment."""
        return self.vector.max_episode_steps

    @property
    def np_random_seed(self) -> int:
        """The seed of the dream's stream, its own choice where it was given none."""
        return self.vector.np_random_seed[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a dream; options as DreamVectorEnv.reset."""
        seed = None if seed is None else arguments.one_seed(seed)
        observations, info = self.vector.reset(seed=seed, options=options)
        super().reset(seed=seed)
        return _first(observations), _first_info(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Imagine one step under `action`. Raises WorldModelError when the action is not one of the space."""
        stored = self.vector.codec.store(action)
        observations, rewards, terminated, truncated, info = self.vector.step_stored(stored[None])
        first = float(rewards[0]), bool(terminated[0]), bool(truncated[0])
        return _first(observations), *first, _first_info(info)

    def render(self) -> np.ndarray | None:
        """The current frame, uint8 [H,W,C]."""
        frames = self.vector.render()
        return None if frames is None else frames[0]

    def get_state(self) -> DreamSnapshot:
        """The dream at this moment, a snapshot of one; see DreamVectorEnv.get_state."""
        return self.vector.get_state()

    def set_state(self, snapshot: DreamSnapshot) -> tuple[Any, dict[str, Any]]:
        """Go on from a snapshot of one dream; returns (observation, info) there. See DreamVectorEnv.set_state."""
        observations, info = self.vector.set_state(snapshot)
        return _first(observations), _first_info(info)

    def branch(
        self,
        states: DreamSnapshot,
        action_sequences: Any,
        seeds: int | Sequence[int | None] | None = None,
        num_inference_steps: int | None = None,
    ) -> DreamFutures:
        """K futures in one batched rollout; see DreamVectorEnv.branch."""
        return self.vector.branch(states, action_sequences, seeds, num_inference_steps)

    def close(self) -> None:
        """Let go of the dream's memory and of the model."""
        self.vector.close()


def _first(observations: Any) -> Any:
    return (
        {name: part[0] for name, part in observations.items()}
        if isinstance(observations, dict)
        else observations[0]
    )


def _first_info(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[0] for key, values in info.items() if not key.startswith("_")}
