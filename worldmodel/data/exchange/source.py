"""What datasets are imported from: episodes that were made elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from worldmodel.action_check import check_leaf
from worldmodel.data.exchange.pictures import PictureFit
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec, space_from_json

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

    def env_config(self, name: str, frame_shape: tuple[int, ...]) -> dict[str, Any]:
        """The manifest's env: the one named in the options, or, without one, an id that says it was recorded."""
        given = {key: value for key, value in self.env.items() if value is not None}
        return EnvConfig.from_json({"id": f"{RECORDED}{name}", **given, "size": frame_shape[0]}).to_json()

    def provenance(self, kind: str, notes: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest's policy: nobody here acted, so it says where the actions are from."""
        asked = {"camera": self.camera, "size": self.pictures.size, "fit": self.pictures.fit}
        return {"imported": kind, "source": self.source, **asked, **notes}


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
        _check_frames(episode, manifest)
        _check_actions(episode, manifest)
        _check_infos(episode, manifest)
    except WorldModelError as error:
        raise DatasetError(f"{name}: {error}") from error
    return episode


def _check_frames(episode: Episode, manifest: Manifest) -> None:
    if len(episode) < 1:
        raise DatasetError("It has no step; leave it out.")
    if list(episode.frames.shape[1:]) != list(manifest.frame_shape):
        shapes = f"{list(episode.frames.shape[1:])}, the first recording's {list(manifest.frame_shape)}"
        raise DatasetError(f"Its frames have shape {shapes}: give size to bring them to one size.")
    if not np.isfinite(episode.rewards).all():
        raise DatasetError("It has a reward that is not a finite number.")


def _check_actions(episode: Episode, manifest: Manifest) -> None:
    codec = ActionCodec(space_from_json(manifest.action_space))
    expected = (len(episode), *codec.stored_shape)
    if episode.actions.shape != expected or episode.actions.dtype != codec.stored_dtype:
        got = f"{episode.actions.dtype} {episode.actions.shape}"
        raise DatasetError(f"Its actions are {got}, expected {codec.stored_dtype} {expected}.")
    if codec.stored_shape == codec.space.shape:  # Dict and Tuple actions are checked where they are flattened
        check_leaf(codec.space, episode.actions, lead=1)


def _check_infos(episode: Episode, manifest: Manifest) -> None:
    got = info_specs(episode.infos)
    expected = {key: dict(spec) for key, spec in manifest.info_keys.items()}
    for key in sorted({*got, *expected}):
        if got.get(key) != expected.get(key):
            raise DatasetError(
                f"Its info {key!r} is {got.get(key, 'missing')}, the first recording's is "
                f"{expected.get(key, 'missing')}: all recordings must have the same infos."
            )
