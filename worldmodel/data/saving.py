"""Episodes that a program made, dreams for instance, as a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym

from worldmodel.data.build import build, plain
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.exchange.source import check_episode, info_specs
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import space_to_json


def describe_episodes(
    episodes: Sequence[Episode],
    env: EnvConfig,
    action_space: gym.Space,
    fps: float,
    made_by: Mapping[str, Any],
    max_episode_steps: int | None = None,
    episodes_per_shard: int = 16,
) -> Manifest:
    """The manifest of `episodes`, for save_episodes or export_minari.

    made_by: plain JSON that says where they are from, such as {"imagined_by": checkpoint}; it takes the place of a
    policy. Raises DatasetError when an episode is not like the first one, or there is none.
    """
    if not episodes:
        raise DatasetError("There is no episode to save.")
    manifest = Manifest(
        env=env.to_json(),
        policy=plain(**made_by),
        seed=0,
        episodes=len(episodes),
        episodes_per_shard=episodes_per_shard,
        max_steps=max(len(episode) for episode in episodes),
        ignore_info=[],
        action_space=space_to_json(action_space),
        frame_shape=list(episodes[0].frames.shape[1:]),
        fps=float(fps),
        max_episode_steps=max_episode_steps,
        info_keys=info_specs(episodes[0].infos),
        dropped_info_keys=[],
    )
    for number, episode in enumerate(episodes):
        check_episode(episode, manifest, f"episode {number}")
    return manifest


def save_episodes(out: str | Path, episodes: Sequence[Episode], manifest: Manifest) -> EpisodeDataset:
    """Write `episodes` as a dataset to the folder `out`; see describe_episodes for `manifest`."""
    folder = Path(out)
    requested = plain(**manifest.requested())
    desc = f"writing {folder}"
    return build(folder, requested, lambda: manifest, lambda _: episodes.__getitem__, 0, desc)
