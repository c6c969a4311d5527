"""LeRobot v3 folders: tables in Parquet, cameras in video files that hold many episodes each. Needs pyarrow only.

    meta/info.json                     features, fps, where the files lie
    meta/episodes/chunk-*/*.parquet    per episode: its rows, its video files, and from which second on
    data/chunk-*/file-*.parquet        a row per frame: action, observation.state, ...
    videos/CAMERA/chunk-*/file-*.mp4

An episode of L frames has L actions there, the last of which leads to no frame: it becomes an Episode of L - 1 steps.
Format: https://huggingface.co/docs/lerobot/lerobot-dataset-v3
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from worldmodel.data.exchange.source import NO_REWARDS, ImportOptions, recording_seed
from worldmodel.data.exchange.video import read_video
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.files import read_json

_INFO_FILE = "meta/info.json"
_CAMERAS = ("video", "image")
_NUMERIC = ("float", "int", "uint", "bool")


def is_lerobot(source: str) -> bool:
    """Whether `source` is a LeRobot folder, of any version."""
    return (Path(source) / _INFO_FILE).is_file()


class LeRobotSource:
    """The episodes of a LeRobot v3 folder (see EpisodeSource)."""

    def __init__(self, options: ImportOptions) -> None:
        self._options, self._folder = options, Path(options.source)
        info = read_json(self._folder / _INFO_FILE)
        version, storage = str(info.get("codebase_version")), info.get("storage_format", "parquet")
        if not version.startswith("v3.") or storage not in (None, "parquet"):
            raise DatasetError(
                f"{self._folder} is a LeRobot dataset of version {version} ({storage}); what is read is v3 with "
                "parquet and video files: convert it with LeRobot's own tools."
            )
        self._info, self._features = info, info["features"]
        self._camera = options.chosen_camera(
            [key for key, feature in self._features.items() if feature["dtype"] in _CAMERAS]
        )
        if "action" not in self._features:
            raise DatasetError(f"{self._folder} has no feature called action.")

    def manifest(self) -> Manifest:
        """See EpisodeSource. Reads all actions, whose smallest and largest values are the bounds of the space."""
        first = self.episode(0)
        return self._options.manifest(
            kind="lerobot",
            name=self._folder.resolve().name,
            first=first,
            episodes=len(self._episodes),
            action_space=self._space,
            fps=self._info["fps"],
            notes=({} if "next.reward" in self._features else NO_REWARDS) | {"camera": self._camera},
            dropped=set(self._features) - set(first.infos) - {self._camera, "action"},
        )

    def name(self, number: int) -> str:
        """Folder and number."""
        return f"{self._folder}, episode {self._episodes[number]['episode_index']}"

    def episode(self, number: int) -> Episode:
        """See EpisodeSource."""
        about = self._episodes[number]
        rows = self._rows(about)
        length = len(rows["action"])
        if length != about["length"] or length < 2:
            raise DatasetError(
                f"{self.name(number)} has {length} rows instead of {about['length']}; at least 2 are needed."
            )
        try:
            frames = self._options.pictures(self._frames(about, rows))
        except WorldModelError as error:
            raise DatasetError(f"{self.name(number)}: {error}") from error
        steps = length - 1
        terminated = rows.get("next.done", np.zeros(length, bool)).reshape(length)[:steps].astype(bool)
        truncated = (np.arange(steps) == steps - 1) & ~terminated
        rewards = rows.get("next.reward", np.zeros(length)).reshape(length)[:steps]
        space, actions = self._space, rows["action"][:steps]
        return Episode(
            frames=frames,
            actions=actions.reshape(steps, *(space.shape or ())).astype(space.dtype),
            rewards=rewards.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            infos={key: values for key, values in rows.items() if key in self._info_keys},
            seed=recording_seed(self._folder.resolve().name, about["episode_index"]),
        )

    @cached_property
    def _info_keys(self) -> list[str]:
        """Numbers that were seen with each frame."""
        return [
            key
            for key, feature in self._features.items()
            if key.startswith("observation.") and feature["dtype"].startswith(_NUMERIC)
        ]

    @cached_property
    def _episodes(self) -> list[dict[str, Any]]:
        columns = ["episode_index", "length", "data/chunk_index", "data/file_index"]
        if self._features[self._camera]["dtype"] == "video":
            columns += [
                f"videos/{self._camera}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")
            ]
        files = sorted((self._folder / "meta/episodes").rglob("*.parquet"))
        rows = [row for file in files for row in _table(file, columns).to_pylist()]
        if not rows:
            raise DatasetError(f"{self._folder}/meta/episodes holds no episode.")
        return sorted(rows, key=lambda row: row["episode_index"])

    @cached_property
    def _space(self) -> gym.Space:
        """Box within what was done; Discrete for single whole numbers."""
        feature = self._features["action"]
        files = sorted((self._folder / "data").rglob("*.parquet"))
        actions = np.concatenate([_numbers(_table(file, ["action"]), "action", feature) for file in files])
        low, high = actions.min(axis=0), actions.max(axis=0)
        if actions.dtype.kind in "iu" and actions[0].size == 1:
            return gym.spaces.Discrete(int(high.max()) - int(low.min()) + 1, start=int(low.min()))
        return gym.spaces.Box(low, high, actions.shape[1:], actions.dtype.type)

    def _rows(self, about: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The table of an episode: feature -> [L, ...]."""
        path = self._info["data_path"].format(
            chunk_index=about["data/chunk_index"], file_index=about["data/file_index"]
        )
        wanted = [
            "action",
            *self._info_keys,
            *(key for key in ("next.reward", "next.done") if key in self._features),
        ]
        images = [self._camera] if self._features[self._camera]["dtype"] == "image" else []
        index = about["episode_index"]
        table = _table(
            self._folder / path, [*wanted, *images, "frame_index"], [("episode_index", "==", index)]
        )
        table = table.sort_by("frame_index")
        rows = {key: _numbers(table, key, self._features[key]) for key in wanted}
        return rows | {key: _images(table, key) for key in images}

    def _frames(self, about: Mapping[str, Any], rows: Mapping[str, np.ndarray]) -> np.ndarray:
        if self._camera in rows:
            return rows[self._camera]
        video = {
            name: about[f"videos/{self._camera}/{name}"]
            for name in ("chunk_index", "file_index", "from_timestamp")
        }
        start = video.pop("from_timestamp")
        path = self._folder / self._info["video_path"].format(video_key=self._camera, **video)
        # Half a frame early: seeking finds the first frame that is not earlier, and times are rounded.
        early = max(start - 0.5 / self._info["fps"], 0.0)
        return read_video(path, early, about["length"])


def _table(path: Path, columns: list[str], filters: list[Any] | None = None) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DatasetError(
            "Reading LeRobot folders needs pyarrow: pip install 'worldmodel[lerobot]'."
        ) from error
    if not path.is_file():
        raise DatasetError(f"{path} is missing.")
    try:
        return parquet.read_table(path, columns=columns, filters=filters)
    except (OSError, pyarrow.ArrowException) as error:
        raise DatasetError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _numbers(table: Any, key: str, feature: Mapping[str, Any]) -> np.ndarray:
    """A column [L, ...] in the feature's dtype and shape; a shape of [1] is a number."""
    values = table.column(key).combine_chunks()
    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        values = values.flatten()
    shape = tuple(feature["shape"])
    dtype = np.dtype(feature["dtype"])
    return (
        values.to_numpy(zero_copy_only=False)
        .astype(dtype)
        .reshape(table.num_rows, *(() if shape == (1,) else shape))
    )


def _images(table: Any, key: str) -> np.ndarray:
    pictures = [Image.open(io.BytesIO(cell["bytes"])) for cell in table.column(key).to_pylist()]
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
