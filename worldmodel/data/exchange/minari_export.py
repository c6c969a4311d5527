"""Episodes as a Minari dataset: lossless, with the simulator's infos, readable by everything that reads Minari."""

from __future__ import annotations

import copy
import json
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.exchange.minari_library import METADATA_KEY, minari_library, minari_root, using_root
from worldmodel.data.exchange.source import RECORDED
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError
from worldmodel.files import atomic_directory
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec, space_from_json

_AT_ONCE = 16  # episodes in memory
_ID = re.compile(r"(?:[-\w]+/)*[-\w]+-v\d+")


def export_data(path: str, id: str, root: str | None = None) -> Path:
    """Write the dataset in the folder `path` as the Minari dataset `id`; returns its folder.

    root: Minari's folder of datasets, None for the one it is configured to use. Raises DatasetError when there is one.
    """
    dataset = EpisodeDataset(path)
    return export_minari(_with_progress(dataset, f"exporting {path}"), dataset.manifest, id, root)


def export_minari(
    episodes: Iterable[Episode], manifest: Manifest, dataset_id: str, root: str | Path | None = None
) -> Path:
    """Write `episodes` as the Minari dataset `dataset_id` below `root`; it appears when all are in it, or not at all.

    manifest: of the dataset they are from, kept in Minari's metadata, so that MinariSource gives back the same. Dreams
    are exported the same way (see data.saving). Raises DatasetError when the dataset exists.
    """
    minari = minari_library()
    folder = minari_root(root) / dataset_id
    if not _ID.fullmatch(dataset_id):
        raise DatasetError(f"{dataset_id!r} is not a Minari id; it looks like name-v0 or group/name-v0.")
    if folder.exists():
        raise DatasetError(f"{folder} exists already: export under another id.")
    with atomic_directory(folder, replace=False) as temporary:
        with using_root(temporary / "scratch"):
            try:
                _write(minari, episodes, manifest, dataset_id)
            except (OSError, TypeError, ValueError) as error:
                raise DatasetError(
                    f"Minari cannot store this dataset: {' '.join(str(error).split())}"
                ) from error
        shutil.move(temporary / "scratch" / dataset_id / "data", temporary / "data")
        shutil.rmtree(temporary / "scratch")
    _enter_namespace(dataset_id, minari_root(root))
    return folder


def _with_progress(dataset: EpisodeDataset, desc: str) -> Iterator[Episode]:
    for number in progress(range(dataset.episodes), desc=desc, unit="episode"):
        yield dataset.episode(number)


def _write(minari: Any, episodes: Iterable[Episode], manifest: Manifest, dataset_id: str) -> None:
    codec = ActionCodec(space_from_json(manifest.action_space))
    buffers = (_buffer(episode, codec) for episode in episodes)
    dataset: Any = None
    while chunk := list(islice(buffers, _AT_ONCE)):
        if dataset is None:
            dataset = _create(minari, chunk, manifest, dataset_id, codec)
        else:
            dataset.update_dataset_from_buffer(chunk)
    if dataset is None:
        raise DatasetError("There is no episode to export.")
    metadata = {METADATA_KEY: json.dumps(manifest.to_json(), allow_nan=False)}
    spec = _env_spec(manifest)
    dataset.storage.update_metadata(
        {**metadata, **({"env_spec": spec.to_json()} if spec is not None else {})}
    )


def _create(minari: Any, chunk: list[Any], manifest: Manifest, dataset_id: str, codec: ActionCodec) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that no author, e-mail address and permalink are given
        return minari.create_dataset_from_buffers(
            dataset_id,
            chunk,
            action_space=codec.space,
            observation_space=gym.spaces.Box(0, 255, tuple(manifest.frame_shape), np.uint8),
            algorithm_name=str(
                manifest.policy.get("_target_") or manifest.policy.get("imported") or "unknown"
            ),
            description=f"Pixels of {manifest.env['id']}, written by worldmodel",
            jpeg_encoding=False,
        )


def _buffer(episode: Episode, codec: ActionCodec) -> Any:
    from minari.data_collector import EpisodeBuffer

    space, actions = codec.space, cast(Any, episode.actions)
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):  # Minari keeps a tree of arrays
        taken = [codec.restore(action) for action in episode.actions]
        actions = concatenate(space, taken, cast(Any, create_empty_array(space, len(taken))))
    return EpisodeBuffer(
        seed=episode.seed,
        observations=episode.frames,
        actions=actions,
        rewards=episode.rewards,
        terminations=episode.terminated,
        truncations=episode.truncated,
        infos=dict(episode.infos) or None,
    )


def _env_spec(manifest: Manifest) -> Any:
    """With it, Minari's recover_environment() makes the pixel environment again; None where there is none."""
    env = EnvConfig.from_json(manifest.env)
    if env.id.startswith(RECORDED):
        return None
    spec = copy.deepcopy(gym.spec("worldmodel/Pixels-v0"))
    spec.kwargs = {
        "env_id": env.id.rpartition(":")[2],
        "size": env.size,
        "action_repeat": env.action_repeat,
        "renderer": env.renderer,
        "env_kwargs": dict(env.kwargs),
    }
    return spec


def _enter_namespace(dataset_id: str, root: Path) -> None:
    """Minari keeps a file beside the datasets of a group."""
    from minari.namespace import create_namespace, list_local_namespaces

    group = dataset_id.rpartition("/")[0]
    with using_root(root):
        if group and group not in list_local_namespaces():
            create_namespace(group)
