"""Collect rollouts of a real environment into a dataset on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.build import at_least, build, plain
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import MANIFEST_NAME, Manifest
from worldmodel.data.recorder import Recorder, make_policy
from worldmodel.data.rollout import find_info_keys, try_policy
from worldmodel.errors import DatasetError, EnvError
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import space_to_json


def collect(
    env: Mapping[str, Any],
    policy: Mapping[str, Any],
    out: str | Path,
    episodes: int,
    seed: int = 0,
    workers: int | None = None,
    episodes_per_shard: int = 16,
    max_steps: int = 1000,
    ignore_info: Sequence[str] = (),
    allow_blank_frames: bool = False,
    frames: int | None = None,
) -> EpisodeDataset:
    """Play `episodes` episodes and write them to the folder `out`; go on where an earlier, stopped call left off.

    frames: a budget of steps: no more episodes than are sure to fit, however long they become; None: no budget.

    env: fields of EnvConfig; policy: `_target_` of a policy class and its options; workers: processes, 0 for none, None
    for one per core; max_steps: longer episodes are cut; ignore_info: infos not to store. Episode i depends only on
    (seed, i), never on the number of workers, so a dataset may later be extended by asking for more episodes. Raises
    DatasetError when `out` holds something else, EnvError when the environment cannot be made or draws nothing.
    """
    config, folder = EnvConfig.from_json(env), Path(out)
    requested = plain(
        env=config.to_json(),
        policy=dict(policy),
        seed=at_least(0, "seed", seed),
        episodes=at_least(1, "episodes", episodes),
        episodes_per_shard=at_least(1, "episodes_per_shard", episodes_per_shard),
        max_steps=at_least(1, "max_steps", max_steps),
        ignore_info=sorted(ignore_info),
    )

    def collected(episodes: int) -> EpisodeDataset:
        wanted = {**requested, "episodes": episodes}
        desc = f"collecting {config.id}"
        return build(
            folder, wanted, lambda: describe(config, wanted), Recorder, workers, desc, not allow_blank_frames
        )

    if frames is None:
        return collected(episodes)
    # Again and again as many more episodes as fit if they are all of the longest kind, until not one more would.
    longest = _longest_episode(config, max_steps)
    if at_least(1, "frames", frames) < longest:
        raise DatasetError(
            f"frames={frames} is less than one episode may take ({longest} steps): give more frames, or a smaller "
            "max_steps."
        )
    begun = Manifest.read(folder).episodes if (folder / MANIFEST_NAME).exists() else 0
    wanted = min(episodes, max(begun, frames // longest))
    while True:
        known = collected(wanted)
        if known.transitions > frames:
            raise DatasetError(
                f"{folder} holds {known.transitions} frames already, more than frames={frames}: choose another out."
            )
        wanted = min(episodes, known.episodes + (frames - known.transitions) // longest)
        if wanted <= known.episodes:
            return known


def _longest_episode(config: EnvConfig, max_steps: int) -> int:
    env = config.make()
    limit = env.get_wrapper_attr("max_episode_steps")
    env.close()
    return min(max_steps, limit or max_steps)


def describe(config: EnvConfig, requested: Mapping[str, Any]) -> Manifest:
    """The manifest of rollouts in this environment, which is made once, with the policy, to learn what they give.

    Raises EnvError when it draws no pictures."""
    env = config.make()
    try:
        policy = make_policy(requested["policy"], env.action_space, np.random.default_rng(0))
        space, rate = env.observation_space, env.metadata.get("render_fps")
        if space.dtype != np.uint8 or len(space.shape or ()) != 3:
            raise EnvError(f"{config.id} gives observations of {space} instead of uint8 [H, W, C] pictures.")
        try_policy(policy, env, requested["seed"])
        kept, dropped = find_info_keys(env, requested["seed"])
        return Manifest(
            **requested,
            action_space=space_to_json(env.action_space),
            frame_shape=list(space.shape or ()),
            fps=float(rate or 30),  # only how fast videos play
            max_episode_steps=env.get_wrapper_attr("max_episode_steps"),
            info_keys={key: spec for key, spec in kept.items() if key not in requested["ignore_info"]},
            dropped_info_keys=sorted({*dropped, *(set(kept) & set(requested["ignore_info"]))}),
        )
    finally:
        env.close()
