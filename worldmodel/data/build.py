"""Filling a dataset's folder with shards: from nothing, from where a killed run stopped, from a smaller dataset."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import MANIFEST_NAME, SHARDS_NAME, Manifest, shard_folder
from worldmodel.data.shards import read_shard
from worldmodel.data.workers import OpenSource, ShardJob, write_shards
from worldmodel.errors import DatasetError
from worldmodel.files import exclusive_lock, remove_temporaries
from worldmodel.progress import progress


def build(
    folder: Path,
    requested: Mapping[str, Any],
    describe: Callable[[], Manifest],
    open_source: OpenSource,
    workers: int | None,
    desc: str,
    reject_blank: bool = False,
) -> EpisodeDataset:
    """Write what is missing of a dataset in `folder`, with `workers` processes (0: none, None: one per core).

    requested: the fields of Manifest.requested(), as `plain` gives them; describe: the whole manifest, called only when
    the dataset is begun, and before anything is written; open_source, reject_blank: see ShardJob. What is there already
    stays as it is, and may have been asked for with fewer episodes: then it is a dataset of so many until all new ones
    are written. Raises DatasetError when `folder` holds something else.
    """
    manifest = replace(_begun(folder, requested) or describe(), episodes=requested["episodes"])
    folder.mkdir(parents=True, exist_ok=True)
    message = f"Another process is collecting into {folder}: wait for it, or stop it."
    with exclusive_lock(folder / ".lock", message):
        begun = _begun(folder, requested)  # again: who held the lock before may have begun or extended it
        if begun is None:
            manifest.write(folder)
        _finish(folder, manifest, ShardJob(folder, manifest, open_source, reject_blank), workers, desc)
        if begun is not None and begun != manifest:
            manifest.write(folder)
    return EpisodeDataset(folder, verify=False)  # every shard was checked, or written, a moment ago


def at_least(least: int, name: str, value: int) -> int:
    """`value`, or DatasetError when it is no whole number of at least `least`."""
    if not isinstance(value, int) or value < least:
        raise DatasetError(f"{name} is {value!r}, expected a whole number of at least {least}.")
    return value


def plain(**values: Any) -> dict[str, Any]:
    """As JSON gives it back: tuples become lists, so that what is compared with a file compares equal."""
    return json.loads(json.dumps(values))


def _begun(folder: Path, requested: Mapping[str, Any]) -> Manifest | None:
    """The dataset that was begun in `folder`, if it is what is `requested` or a beginning of it."""
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder} is a file: give a folder as out.")
    if (folder / MANIFEST_NAME).exists():
        manifest = Manifest.read(folder)
        _check_same(folder, manifest, requested)
        return manifest
    if folder.exists() and any(not item.name.startswith(".") for item in folder.iterdir()):
        raise DatasetError(f"{folder} is not empty and is not a dataset: give another out.")
    return None


def _check_same(folder: Path, manifest: Manifest, requested: Mapping[str, Any]) -> None:
    before, now = _flat(manifest.requested()), _flat(requested)
    had, wanted = before.pop("episodes"), now.pop("episodes")
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            values = f"{before.get(name, 'unset')}, not {now.get(name, 'unset')}"
            raise DatasetError(f"{folder} was made with {name} = {values}: use that value, or another out.")
    if wanted < had:
        raise DatasetError(
            f"{folder} was made with episodes = {had}, more than {wanted}: ask for as many or more, or another out."
        )


def _finish(folder: Path, manifest: Manifest, job: ShardJob, workers: int | None, desc: str) -> None:
    """Write the shards that are not there yet, or not whole."""
    shards = folder / SHARDS_NAME
    remove_temporaries(shards)
    left = {}
    for shard in range(manifest.num_shards):
        missing = len(manifest.shard_episodes(shard)) - _good_episodes(shard_folder(folder, shard))
        if missing > 0:
            left[shard] = missing
    if not left:
        return
    workers = _cores(len(left)) if workers is None else at_least(0, "workers", workers)
    _announce(folder, manifest, sum(left.values()))
    frames, start = 0, time.perf_counter()
    with progress(total=sum(left.values()), desc=desc, unit="episode") as bar:

        def report(count: int) -> None:
            nonlocal frames
            frames += count
            bar.set_postfix_str(f"{frames / (time.perf_counter() - start):.0f} frames/s", refresh=False)
            bar.update()

        try:
            write_shards(job, list(left), workers, report)
        finally:
            remove_temporaries(shards)


def _good_episodes(folder: Path) -> int:
    """How many episodes are in a shard; one that is damaged is removed."""
    if not folder.exists():
        return 0
    try:
        return len(read_shard(folder)["lengths"])
    except DatasetError as error:
        print(f"writing a damaged shard again: {error}", file=sys.stderr)
        shutil.rmtree(folder)
        return 0


def _announce(folder: Path, manifest: Manifest, episodes: int) -> None:
    steps = min(manifest.max_steps, manifest.max_episode_steps or manifest.max_steps)
    size = episodes * (steps + 1) * int(np.prod(manifest.frame_shape)) / 1e6
    free = shutil.disk_usage(folder).free / 1e6
    expected = f"at most {size:,.0f} MB" if steps else "their size is not known before they are read"
    print(f"{episodes} episodes to write into {folder}: {expected}, {free:,.0f} MB are free", file=sys.stderr)


def _cores(shards: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    useful = min(cores, shards)
    return useful if useful > 1 else 0


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(content, Mapping):
        return {name: content}
    prefix = f"{name}." if name else ""
    return {key: value for part in content for key, value in _flat(content[part], prefix + part).items()}
