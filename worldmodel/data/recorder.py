"""Plays the episodes of a dataset: what one worker does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import hydra.utils
import numpy as np
from hydra.errors import InstantiationException

from worldmodel.data.manifest import Manifest
from worldmodel.data.rollout import record_episode
from worldmodel.episode import Episode
from worldmodel.errors import WorldModelError
from worldmodel.policy import Policy
from worldmodel.real_env import EnvConfig


class Recorder:
    """Plays any episode of the dataset that `manifest` describes, in one environment: each reset is seeded, so their
    order does not matter (see ShardJob.open_source)."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._env = EnvConfig.from_json(manifest.env).make()

    def __call__(self, number: int) -> Episode:
        """Episode `number`: depends on it and the dataset's seed alone."""
        manifest = self._manifest
        seeds = np.random.SeedSequence((manifest.seed, number))
        env_seed = int(seeds.generate_state(1)[0] >> 1)  # some environments take 31 bits
        rng = np.random.default_rng(seeds.spawn(1)[0])
        policy = make_policy(manifest.policy, self._env.action_space, rng)
        return record_episode(self._env, policy, env_seed, manifest.max_steps, manifest.info_keys)


def make_policy(config: Mapping[str, Any], action_space: gym.Space, rng: np.random.Generator) -> Policy:
    """The policy that `config["_target_"]` names, with the rest of `config` as its options.

    Raises WorldModelError when the target cannot be found or does not take an option.
    """
    if not config.get("_target_"):
        raise WorldModelError(
            "policy._target_ is missing: name a policy class, or choose policy=held, ou or random."
        )
    try:
        factory = hydra.utils.instantiate({**config, "_partial_": True, "_convert_": "all"})
        return factory(action_space, rng)
    except (InstantiationException, TypeError) as error:
        text = " ".join(str(error.__cause__ or error).split())
        raise WorldModelError(f"The policy {config['_target_']} cannot be made: {text}") from error
