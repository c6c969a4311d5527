"""Minari datasets as a source of episodes: ours come back exactly, others as far as they hold pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space, iterate

from worldmodel.data.exchange.minari_library import METADATA_KEY, load_minari
from worldmodel.data.exchange.source import ImportOptions, recording_seed
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.spaces import ActionCodec, space_from_json

_OBSERVATION = "observation/"  # begins the info key of what was observed beside the pictures


def is_minari(source: str) -> bool:
    """Whether `source` is a Minari dataset's folder, or no folder but looks like the id of one."""
    if Path(source).is_dir():
        return any((Path(source) / name).is_file() for name in ("data/metadata.json", "metadata.json"))
    return not Path(source).exists() and "-v" in source


class MinariSource:
    """The episodes of a Minari dataset (see EpisodeSource).

    Observations must be, or hold, uint8 pictures; all other observed numbers become infos. One of our own datasets that
    went through Minari comes back with its manifest, whatever the options say.
    """

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        self._data = load_minari(options.source)
        self._camera = options.chosen_camera(_cameras(self._data.observation_space))

    def manifest(self) -> Manifest:
        """See EpisodeSource."""
        return self._ours or self._foreign()

    def name(self, number: int) -> str:
        """Dataset and number."""
        return f"{self._data.spec.dataset_id}, episode {self._indices[number]}"

    def episode(self, number: int) -> Episode:
        """See EpisodeSource."""
        data = self._data[number]
        try:
            return self._convert(data, number)
        except WorldModelError as error:
            raise DatasetError(f"{self.name(number)}: {error}") from error

    def _convert(self, data: Any, number: int) -> Episode:
        count = len(data.rewards)
        frames = self._options.pictures(np.asarray(_at(data.observations, self._camera)))
        infos = _numeric(_flat(data.infos or {}), count + 1)
        if isinstance(data.observations, Mapping):
            observed = _numeric(_flat(data.observations), count + 1)
            infos |= {f"{_OBSERVATION}{key}": value for key, value in observed.items() if key != self._camera}
        if self._info_keys is not None:
            infos = {key: infos[key] for key in self._info_keys if key in infos}
        return Episode(
            frames=frames,
            actions=self._actions(data.actions, count),
            rewards=np.asarray(data.rewards, np.float32),
            terminated=np.asarray(data.terminations, bool),
            truncated=np.asarray(data.truncations, bool),
            infos=infos,
            seed=self._seed(number),
        )

    def _actions(self, actions: Any, count: int) -> np.ndarray:
        """As ActionCodec stores them. Minari keeps a tree of arrays where the space is a Dict or Tuple."""
        codec = self._codec
        if isinstance(codec.space, gym.spaces.Dict | gym.spaces.Tuple):
            return np.stack(
                [codec.store(action) for action in iterate(batch_space(codec.space, count), actions)]
            )
        return (
            np.asarray(actions)
            .reshape(count, *codec.stored_shape)
            .astype(codec.stored_dtype, casting="same_kind")
        )

    def _seed(self, number: int) -> int:
        index = self._indices[number]
        (about,) = self._data.storage.get_episode_metadata([index])
        seed = about.get("seed")
        return recording_seed(self._data.spec.dataset_id, index) if seed is None else int(seed)

    @cached_property
    def _indices(self) -> list[int]:
        return [int(index) for index in self._data.episode_indices]

    @cached_property
    def _ours(self) -> Manifest | None:
        """The manifest that export_minari left, if it was it that wrote this dataset."""
        stored = self._data.storage.metadata.get(METADATA_KEY)
        if stored is None:
            return None
        manifest = Manifest.from_json(f"{self._data.storage.data_path}/metadata.json", json.loads(stored))
        return replace(manifest, episodes=len(self._indices))

    @cached_property
    def _info_keys(self) -> list[str] | None:
        return list(self._ours.info_keys) if self._ours is not None else None

    @cached_property
    def _codec(self) -> ActionCodec:
        # Not Minari's space: it sorts the keys of a Dict, and their order decides how actions are stored.
        return ActionCodec(
            space_from_json(self._ours.action_space) if self._ours else self._data.action_space
        )

    def _foreign(self) -> Manifest:
        first, spec = self.episode(0), self._data.spec
        return self._options.manifest(
            kind="minari",
            name=spec.dataset_name,
            first=first,
            episodes=len(self._indices),
            action_space=self._data.action_space,
            fps=30,  # only how fast videos play
            notes={"dataset": spec.dataset_id, "camera": self._camera},
            max_episode_steps=spec.env_spec.max_episode_steps if spec.env_spec is not None else None,
            dropped=set(_flat(self._data[0].infos or {})) - set(first.infos),
        )


def _cameras(space: gym.Space, name: str = "") -> list[str]:
    """The names, key/key, of all pictures in an observation space; the name is empty for a space that is one."""
    if isinstance(space, gym.spaces.Dict):
        prefix = f"{name}/" if name else ""
        return [camera for key, item in space.spaces.items() for camera in _cameras(item, prefix + key)]
    shape = space.shape or ()
    is_picture = isinstance(space, gym.spaces.Box) and space.dtype == np.uint8
    return [name] if is_picture and len(shape) in (2, 3) and shape[2:] in ((), (1,), (3,)) else []


def _at(tree: Any, name: str) -> Any:
    for key in name.split("/") if name else []:
        tree = tree[key]
    return tree


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Minari splits keys at slashes into a tree; here they are joined again."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _numeric(infos: Mapping[str, Any], count: int) -> dict[str, np.ndarray]:
    """Those that are numbers, one for each frame."""
    arrays = {key: np.asarray(value) for key, value in sorted(infos.items())}
    return {
        key: array
        for key, array in arrays.items()
        if array.dtype.kind in "biuf" and array.shape[:1] == (count,)
    }
