"""Plays the episodes of a shard and writes them: what one worker does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import gymnasium as gym
import hydra.utils
import numpy as np
from hydra.errors import InstantiationException

from worldmodel.data.manifest import Manifest, shard_folder
from worldmodel.data.rollout import checked_episodes, record_episode
from worldmodel.data.shards import stored_episodes, write_shard
from worldmodel.data.workers import Report
from worldmodel.episode import Episode
from worldmodel.errors import WorldModelError
from worldmodel.policy import Policy
from worldmodel.real_env import EnvConfig


@dataclass(frozen=True)
class ShardRecorder:
    """Writes any shard of the dataset that `manifest` describes. Travels to workers: the env is made where used."""

    folder: Path
    manifest: Manifest
    allow_blank_frames: bool = False

    @cached_property
    def env(self) -> gym.Env:
        """One environment for all episodes: each reset is seeded, so their order does not matter."""
        return EnvConfig.from_json(self.manifest.env).make()

    def write(self, shard: int, report: Report) -> None:
        """Play and write a shard, calling report(frames) after every episode. Episodes it holds already are kept."""
        numbers, folder = self.manifest.shard_episodes(shard), shard_folder(self.folder, shard)
        kept = stored_episodes(folder)
        episodes: Iterable[Episode] = chain(kept, self._play(numbers[len(kept) :], report))
        if not self.allow_blank_frames:
            episodes = checked_episodes(episodes, self.manifest.env["id"])
        write_shard(folder, numbers.start, episodes, replace=len(kept) > 0)

    def _play(self, numbers: range, report: Report) -> Iterator[Episode]:
        for number in numbers:
            episode = self.record(number)
            report(len(episode.frames))
            yield episode

    def record(self, number: int) -> Episode:
        """Episode `number`: depends on it and the dataset's seed alone."""
        seeds = np.random.SeedSequence((self.manifest.seed, number))
        env_seed = int(seeds.generate_state(1)[0] >> 1)  # some environments take 31 bits
        rng = np.random.default_rng(seeds.spawn(1)[0])
        policy = make_policy(self.manifest.policy, self.env.action_space, rng)
        return record_episode(self.env, policy, env_seed, self.manifest.max_steps, self.manifest.info_keys)


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
