"""dataset.json: what a dataset holds and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.files import check_json, read_json, write_checked_json

FORMAT = "worldmodel-episodes"
VERSION = 1
MANIFEST_NAME = "dataset.json"
SHARDS_NAME = "shards"
_REQUESTED = ("env", "policy", "seed", "episodes", "episodes_per_shard", "max_steps", "ignore_info")


@dataclass(frozen=True)
class Manifest:
    """Everything about a dataset except its episodes; all values are plain JSON.

    The fields of `_REQUESTED` are what the user asked for; the others were found by trying the environment.
    frame_shape [H, W, C]; fps: frames per second of environment time; max_episode_steps: of the env, or None;
    max_steps: where collecting cuts an episode; info_keys: key -> {"shape", "dtype"}; dropped_info_keys: not numeric,
    or not in every step's info.
    """

    env: Mapping[str, Any]
    policy: Mapping[str, Any]
    seed: int
    episodes: int
    episodes_per_shard: int
    max_steps: int
    ignore_info: list[str]
    action_space: Mapping[str, Any]
    frame_shape: list[int]
    fps: float
    max_episode_steps: int | None
    info_keys: Mapping[str, Mapping[str, Any]]
    dropped_info_keys: list[str]

    @property
    def num_shards(self) -> int:
        """Shard k holds the episodes [k * episodes_per_shard, (k + 1) * episodes_per_shard)."""
        return -(-self.episodes // self.episodes_per_shard)

    def shard_episodes(self, shard: int) -> range:
        """The numbers of the episodes in a shard."""
        first = shard * self.episodes_per_shard
        return range(first, min(first + self.episodes_per_shard, self.episodes))

    def requested(self) -> dict[str, Any]:
        """The part that decides the content: two collections that agree in it hold the same episodes."""
        return {name: getattr(self, name) for name in _REQUESTED}

    def write(self, folder: Path) -> None:
        """Write dataset.json, atomically."""
        write_checked_json(folder / MANIFEST_NAME, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain dict, with format and version; `from_json` inverts it."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, path: str | Path, content: Any) -> Manifest:
        """Raises DatasetError naming `path`, where `content` is from, when this version cannot read it."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DatasetError(
                f"{path} does not describe a dataset of this project (format {FORMAT!r}): restore it, or collect into "
                "another folder."
            )
        if content.get("version") != VERSION:
            versions = f"version {content.get('version')}, this worldmodel reads version {VERSION}"
            raise DatasetError(f"{path} has format {versions}: upgrade worldmodel, or collect again.")
        try:
            return cls(**{item.name: content[item.name] for item in fields(cls)})
        except KeyError as error:
            raise DatasetError(f"{path} does not describe a dataset: it lacks {error}.") from error

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read dataset.json. Raises DatasetError when the folder is no dataset, or one this version cannot read."""
        path = folder / MANIFEST_NAME
        if not path.exists():
            raise DatasetError(
                f"{folder} is not a dataset: it has no {MANIFEST_NAME}; make one with `worldmodel collect`, "
                "or with `worldmodel data import` of what was recorded elsewhere."
            )
        try:
            content = read_json(path)
            manifest = cls.from_json(path, content)  # first: of a newer version, the checksum says nothing
            check_json(path, content)
        except DatasetError:
            raise
        except WorldModelError as error:
            raise DatasetError(
                f"{str(error).rstrip('.')}: restore it, or collect into another folder."
            ) from error
        return manifest


def shard_folder(folder: Path, shard: int) -> Path:
    """Where shard number `shard` of the dataset in `folder` lies."""
    return folder / SHARDS_NAME / f"{shard:05d}"
