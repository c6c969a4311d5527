"""What datasets are imported from: episodes that were made elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from worldmodel.action_check import check_leaf
from worldmodel.data.build import plain
from worldmodel.data.exchange.pictures import PictureFit
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec, space_from_json, space_to_json

NO_REWARDS = {"rewards": "none were recorded: all are 0"}
RECORDED = "recorded/"  # begins the id of an environment that is known from recordings only


class EpisodeSource(Protocol):
    """Numbered episodes from elsewhere."""

    def manifest(self) -> Manifest:
        """What the dataset made of them will be; `episodes` is how many there are."""

    def episode(self, number: int) -> Episode:
        """Episode `number`, read now."""

    def name(self, number: int) -> str:
        """What the user knows it as, such as its file."""


@dataclass(frozen=True)
class ImportOptions:
    """How a source is read. Those that a source does not know must be left as they are.

    env: fields of EnvConfig where the recorded environment can be made; pictures: the size of frames; camera: which
    pictures, where there are several; fps: None takes what the source says.
    """

    source: str
    pictures: PictureFit = field(default_factory=PictureFit)
    camera: str | None = None
    fps: float | None = None
    env: Mapping[str, Any] = field(default_factory=dict)
    episodes_per_shard: int = 16

    def chosen_camera(self, cameras: Sequence[str]) -> str:
        """The pictures that are read: those that `camera` names, or the only ones. Raises DatasetError otherwise."""
        camera = cameras[0] if self.camera is None and len(cameras) == 1 else self.camera
        if camera is None or camera not in cameras:
            choices = ", ".join(name or repr(name) for name in cameras) or "none: it has no uint8 pictures"
            raise DatasetError(f"{self.source}: choose its pictures with camera=; there are {choices}.")
        return camera

    def manifest(
        self,
        kind: str,
        name: str,
        first: Episode,
        episodes: int,
        action_space: gym.Space,
        fps: float,
        notes: Mapping[str, Any],
        max_episode_steps: int | None = None,
        dropped: Iterable[str] = (),
    ) -> Manifest:
        """What the dataset will be. kind, name: of the source; first: its first episode, which all others must be like;
        notes: on where it is from; dropped: infos that are not stored.

        Nobody here acted, so the policy says where the actions are from; the env is the one named in the options, or,
        without one, an id that says it was recorded."""
        shape = first.frames.shape[1:]
        env = {key: value for key, value in self.env.items() if value is not None}
        settings = {"camera": self.camera, "size": self.pictures.size, "fit": self.pictures.fit}
        return Manifest(
            env=EnvConfig.from_json({"id": f"{RECORDED}{name}", **env, "size": shape[0]}).to_json(),
            policy=plain(**{"imported": kind, "source": self.source, **settings, **notes}),
            seed=0,
            episodes=episodes,
            episodes_per_shard=self.episodes_per_shard,
            max_steps=0,
            ignore_info=[],
            action_space=space_to_json(action_space),
            frame_shape=list(shape),
            fps=float(self.fps or fps),
            max_episode_steps=max_episode_steps,
            info_keys=info_specs(first.infos),
            dropped_info_keys=sorted(dropped),
        )


def recording_seed(*names: object) -> int:
    """A seed for an episode that had none: 31 bits that depend on what it is called, and decide its split."""
    digest = hashlib.blake2b("\n".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 33


def info_specs(infos: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """The manifest's info_keys for arrays [T+1, ...]."""
    return {key: {"shape": list(array.shape[1:]), "dtype": str(array.dtype)} for key, array in infos.items()}


def check_episode(episode: Episode, manifest: Manifest, name: str) -> Episode:
    """`episode` itself, or DatasetError naming `name` and what of it does not fit the manifest."""
    try:
        _check(episode, manifest)
    except WorldModelError as error:
        raise DatasetError(f"{name}: {error}") from error
    return episode


def _check(episode: Episode, manifest: Manifest) -> None:
    if len(episode) < 1:
        raise DatasetError("It has no step; leave it out.")
    if list(episode.frames.shape[1:]) != list(manifest.frame_shape):
        shapes = f"{list(episode.frames.shape[1:])}, the first recording's {list(manifest.frame_shape)}"
        raise DatasetError(f"Its frames have shape {shapes}: give size to bring them to one size.")
    if not np.isfinite(episode.rewards).all():
        raise DatasetError("It has a reward that is not a finite number.")
    codec = ActionCodec(space_from_json(manifest.action_space))
    expected = (len(episode), *codec.stored_shape)
    if episode.actions.shape != expected or episode.actions.dtype != codec.stored_dtype:
        got = f"{episode.actions.dtype} {episode.actions.shape}"
        raise DatasetError(f"Its actions are {got}, expected {codec.stored_dtype} {expected}.")
    if codec.stored_shape == codec.space.shape:  # Dict and Tuple actions are checked where they are flattened
        check_leaf(codec.space, episode.actions, lead=1)
    infos, specs = info_specs(episode.infos), {key: dict(spec) for key, spec in manifest.info_keys.items()}
    for key in sorted({*infos, *specs}):
        if infos.get(key) != specs.get(key):
            raise DatasetError(
                f"Its info {key!r} is {infos.get(key, 'missing')}, the first recording's is "
                f"{specs.get(key, 'missing')}: all recordings must have the same infos."
            )
