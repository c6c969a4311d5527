"""Collect rollouts of a real environment into a dataset on disk."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import MANIFEST_NAME, SHARDS_NAME, Manifest, shard_folder
from worldmodel.data.recorder import ShardRecorder, make_policy
from worldmodel.data.rollout import find_info_keys
from worldmodel.data.shards import read_shard
from worldmodel.data.workers import write_shards
from worldmodel.errors import DatasetError, EnvError
from worldmodel.files import exclusive_lock, remove_temporaries
from worldmodel.progress import progress
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
) -> EpisodeDataset:
    """Play `episodes` episodes and write them to the folder `out`; go on where an earlier, stopped call left off.

    env: fields of EnvConfig; policy: `_target_` of a policy class and its options; workers: processes, 0 for none, None
    for one per core; max_steps: longer episodes are cut; ignore_info: infos not to store. Episode i depends only on
    (seed, i), never on the number of workers. Raises DatasetError when `out` holds something else, EnvError when the
    environment cannot be made or draws nothing.
    """
    folder = Path(out)
    config = EnvConfig.from_json(env)
    requested = _plain(
        env=config.to_json(),
        policy=dict(policy),
        seed=_at_least(0, "seed", seed),
        episodes=_at_least(1, "episodes", episodes),
        episodes_per_shard=_at_least(1, "episodes_per_shard", episodes_per_shard),
        max_steps=_at_least(1, "max_steps", max_steps),
        ignore_info=sorted(ignore_info),
    )
    exists = _check_folder(folder, requested)
    manifest = Manifest.read(folder) if exists else _try_env(config, requested)
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(
        folder / ".lock", f"Another process is collecting into {folder}: wait for it, or stop it."
    ):
        if not _check_folder(folder, requested):  # again: who held the lock before may have begun it
            manifest.write(folder)
        _finish(ShardRecorder(folder, manifest, allow_blank_frames), workers)
    return EpisodeDataset(folder, verify=False)  # every shard was checked, or written, a moment ago


def _finish(recorder: ShardRecorder, workers: int | None) -> None:
    """Write the shards that are not there yet, or not whole."""
    manifest, shards = recorder.manifest, recorder.folder / SHARDS_NAME
    remove_temporaries(shards)
    missing = [k for k in range(manifest.num_shards) if not _is_whole(shard_folder(recorder.folder, k))]
    if not missing:
        return
    workers = _cores(len(missing)) if workers is None else _at_least(0, "workers", workers)
    left = sum(len(manifest.shard_episodes(shard)) for shard in missing)
    _announce(recorder, left)
    frames, start = 0, time.perf_counter()
    with progress(total=left, desc=f"collecting {manifest.env['id']}", unit="episode") as bar:

        def report(count: int) -> None:
            nonlocal frames
            frames += count
            bar.set_postfix_str(f"{frames / (time.perf_counter() - start):.0f} frames/s", refresh=False)
            bar.update()

        try:
            write_shards(recorder, missing, workers, report)
        finally:
            remove_temporaries(shards)


def _try_env(config: EnvConfig, requested: Mapping[str, Any]) -> Manifest:
    """Make the environment and the policy once, to learn what they give and to fail before anything is written."""
    env = config.make()
    try:
        make_policy(requested["policy"], env.action_space, np.random.default_rng(0))
        space, rate = env.observation_space, env.metadata.get("render_fps")
        if space.dtype != np.uint8 or len(space.shape or ()) != 3:
            raise EnvError(f"{config.id} gives observations of {space} instead of uint8 [H, W, C] pictures.")
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


def _check_folder(folder: Path, requested: Mapping[str, Any]) -> bool:
    """Whether the dataset `requested` was begun in `folder`. Raises DatasetError when something else is there."""
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder} is a file: give a folder as out.")
    if (folder / MANIFEST_NAME).exists():
        before, now = _flat(Manifest.read(folder).requested()), _flat(requested)
        differing = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        if differing:
            name = differing[0]
            values = f"{before.get(name, 'unset')}, not {now.get(name, 'unset')}"
            raise DatasetError(
                f"{folder} was collected with {name} = {values}: use that value, or another out."
            )
        return True
    if folder.exists() and any(not item.name.startswith(".") for item in folder.iterdir()):
        raise DatasetError(f"{folder} is not empty and is not a dataset: give another out.")
    return False


def _is_whole(folder: Path) -> bool:
    """Whether a shard is there and undamaged; a damaged one is removed."""
    if not folder.exists():
        return False
    try:
        read_shard(folder)
    except DatasetError as error:
        print(f"collecting a damaged shard again: {error}", file=sys.stderr)
        shutil.rmtree(folder)
        return False
    return True


def _announce(recorder: ShardRecorder, episodes: int) -> None:
    manifest = recorder.manifest
    steps = min(manifest.max_steps, manifest.max_episode_steps or manifest.max_steps)
    size = episodes * (steps + 1) * int(np.prod(manifest.frame_shape)) / 1e6
    print(f"{episodes} episodes to collect into {recorder.folder}: at most {size:,.0f} MB", file=sys.stderr)


def _cores(shards: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    useful = min(cores, shards)
    return useful if useful > 1 else 0


def _at_least(least: int, name: str, value: int) -> int:
    if not isinstance(value, int) or value < least:
        raise DatasetError(f"{name} is {value!r}, expected a whole number of at least {least}.")
    return value


def _plain(**values: Any) -> dict[str, Any]:
    """As JSON gives it back: tuples become lists, so that what is compared with a file compares equal."""
    return json.loads(json.dumps(values))


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(content, Mapping):
        return {name: content}
    prefix = f"{name}." if name else ""
    return {key: value for part in content for key, value in _flat(content[part], prefix + part).items()}
