"""Proximal policy optimisation by Stable-Baselines3, kept on disk without pickles."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.files import atomic_directory, read_json, write_json

try:
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize
except ImportError as error:
    raise WorldModelError(
        "Learning with Stable-Baselines3 needs an extra: pip install 'worldmodel[sb3]'."
    ) from error

_WEIGHTS, _ABOUT = "sb3.safetensors", "sb3.json"


@dataclass(frozen=True)
class SB3Config:
    """PPO's settings as Stable-Baselines3 names them; `num_envs` environments make `n_steps` steps each between two
    updates. log_std_init: of Gaussian actions, in halves of the action range; normalise_reward: divide rewards by the
    running deviation of discounted returns (VecNormalize)."""

    num_envs: int = 8
    n_steps: int = 125
    batch_size: int = 250
    n_epochs: int = 10
    gamma: float = 0.98
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    learning_rate: float = 5e-4
    log_std_init: float = 0.0
    normalise_reward: bool = True

    def __post_init__(self) -> None:
        for name in ("num_envs", "n_steps", "batch_size", "n_epochs"):
            if getattr(self, name) < 1:
                raise WorldModelError(f"sb3.{name} is {getattr(self, name)}, expected at least 1.")

    @property
    def rollout(self) -> int:
        """Frames of one rollout."""
        return self.num_envs * self.n_steps


class SB3Learner:
    """PPO in `config.num_envs` environments that `make` makes; what it is, and has learned, goes through folders.

    normalise_observation: by running mean and deviation, for vectors. Box actions must lie in [-1, 1]. Going on from a
    folder begins new episodes, so it is not what an unbroken run would have been.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        config: SB3Config,
        seed: int,
        policy: str,
        policy_kwargs: Mapping[str, Any],
        normalise_observation: bool,
    ) -> None:
        self.config, self._seed, self.learning_rate = config, seed, config.learning_rate
        self.envs = VecNormalize(
            VecMonitor(DummyVecEnv([make] * config.num_envs)),
            norm_obs=normalise_observation,
            norm_reward=config.normalise_reward,
            gamma=config.gamma,
        )
        self.envs.seed(seed)
        self.model = PPO(
            policy,
            self.envs,
            learning_rate=lambda _: self.learning_rate,
            n_steps=config.n_steps,
            batch_size=config.batch_size,
            n_epochs=config.n_epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            ent_coef=config.ent_coef,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            policy_kwargs={"log_std_init": config.log_std_init, **policy_kwargs},
            seed=seed,
            device="cpu",
        )

    @property
    def frames(self) -> int:
        """Environment steps learned from so far."""
        return int(self.model.num_timesteps)

    def learn(self, frames: int) -> None:
        """Learn from `frames` more steps, a multiple of `config.rollout`: no more and no fewer."""
        if frames % self.config.rollout or frames < 1:
            raise WorldModelError(
                f"{frames} frames are not a multiple of the {self.config.rollout} of one rollout "
                f"({self.config.num_envs} environments times {self.config.n_steps} steps): change one of them."
            )
        self.model.learn(frames, reset_num_timesteps=False)

    def ended_returns(self) -> float | None:
        """Mean return of the episodes that ended since the last call, of the newest hundred; None where none did."""
        ended = list(self.model.ep_info_buffer or [])
        self.model.ep_info_buffer.clear()
        return float(np.mean([episode["r"] for episode in ended])) if ended else None

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write what it is now into `folder`; once that is complete, the one before goes, so a kill leaves one whole.

        about: JSON of the caller's own.
        """
        older, newest = _saved(folder), folder / f"{self.frames:012d}"
        self._write(newest, about)
        for stale in older:
            if stale != newest:
                shutil.rmtree(stale)

    def _write(self, folder: Path, about: Mapping[str, Any]) -> None:
        tensors = {f"policy.{name}": weight.data for name, weight in self.model.policy.named_parameters()}
        for index, state in self.model.policy.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
        content = {"frames": self.frames, "learning_rate": self.learning_rate, "about": dict(about)}
        content |= {"returns": _moments(self.envs.ret_rms)}
        if self.envs.norm_obs:
            content |= {"observations": _moments(self.envs.obs_rms)}
        with atomic_directory(folder) as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary / _WEIGHTS)
            write_json(temporary / _ABOUT, content)

    def restore(self, folder: Path) -> dict[str, Any] | None:
        """Become what `save` wrote into `folder`; returns its `about`, or None when there is nothing.

        Raises CheckpointError when that does not fit or is damaged.
        """
        if not (saved := _saved(folder)):
            return None
        folder = saved[-1]
        content = read_json(folder / _ABOUT)
        try:
            tensors = load_file(folder / _WEIGHTS)
            optimizer = self.model.policy.optimizer
            optimizer.load_state_dict(
                {"state": _by_index(tensors), "param_groups": optimizer.state_dict()["param_groups"]}
            )
            for name, weight in self.model.policy.named_parameters():
                weight.data.copy_(tensors[f"policy.{name}"])
            self.model.num_timesteps, self.learning_rate = content["frames"], content["learning_rate"]
            _set_moments(self.envs.ret_rms, content["returns"])
            if self.envs.norm_obs:
                _set_moments(self.envs.obs_rms, content["observations"])
        except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CheckpointError(
                f"What was learned in {folder} cannot be gone on with ({reason}): delete it."
            ) from error
        # New episodes, others than the ones it began with.
        self.envs.seed(self._seed + self.frames)
        self.model._last_obs = None
        return content["about"]

    def act(self, observations: np.ndarray) -> np.ndarray:
        """The likeliest actions [K,...] for observations [K,...] as the environments give them."""
        if self.envs.norm_obs:
            observations = self.envs.normalize_obs(observations)
        return self.model.predict(observations, deterministic=True)[0]

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()


def _saved(folder: Path) -> list[Path]:
    """Complete ones, oldest first."""
    return sorted(item for item in folder.glob("[0-9]*") if (item / _ABOUT).is_file())


def _moments(running: Any) -> dict[str, Any]:
    return {"mean": running.mean.tolist(), "var": running.var.tolist(), "count": float(running.count)}


def _set_moments(running: Any, stored: Mapping[str, Any]) -> None:
    running.mean, running.var = np.asarray(stored["mean"]), np.asarray(stored["var"])
    running.count = stored["count"]


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _by_index(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, "optimizer.").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    return state
