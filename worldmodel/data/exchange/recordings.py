"""A folder of recordings: one .npz per episode, with its frames inside or in a video of the same name.

    recordings.yaml      what all recordings share (SETTINGS)
    kitchen-1.npz        actions [T, ...]; frames uint8 [T+1, H, W, 3], if there is no video; and, if known,
                         rewards [T], terminated bool [T], truncated bool [T], seed, and any info.NAME [T+1, ...]
    kitchen-1.mp4        T+1 frames
    kitchen-2.npz ...

Sub-folders are searched too; the order is that of the names. What leads from where to where: see Episode.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import yaml

from worldmodel.data.exchange.source import NO_REWARDS, ImportOptions, recording_seed
from worldmodel.data.exchange.video import VIDEO_SUFFIXES, read_video, video_fps
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.nearest import did_you_mean
from worldmodel.spaces import ActionCodec, space_from_json

SETTINGS_NAME = "recordings.yaml"
SETTINGS = ("action_space", "fps", "drop_action", "max_episode_steps")
_KEYS = ("frames", "actions", "rewards", "terminated", "truncated", "seed")
_INFO = "info."


def is_recordings(source: str) -> bool:
    """Whether `source` is a folder with settings for recordings."""
    return (Path(source) / SETTINGS_NAME).is_file()


class RecordingsSource:
    """The episodes of such a folder (see EpisodeSource)."""

    def __init__(self, options: ImportOptions) -> None:
        self._options, self._folder = options, Path(options.source)
        self._settings = _read_settings(self._folder / SETTINGS_NAME)
        self._files = sorted(self._folder.rglob("*.npz"))
        if not self._files:
            raise DatasetError(
                f"{self._folder} holds no .npz file; `worldmodel data template` shows how it should look."
            )

    def manifest(self) -> Manifest:
        """See EpisodeSource. Reads the first recording, which all others must be like."""
        return self._options.manifest(
            kind="recordings",
            name=self._folder.resolve().name,
            first=self.episode(0),
            episodes=len(self._files),
            action_space=self._space,
            fps=self._fps(),
            notes={} if "rewards" in self._arrays(0) else NO_REWARDS,
            max_episode_steps=self._settings.get("max_episode_steps"),
        )

    def name(self, number: int) -> str:
        """Its file."""
        return str(self._files[number])

    def episode(self, number: int) -> Episode:
        """See EpisodeSource."""
        arrays = self._arrays(number)
        try:
            frames = self._options.pictures(self._frames(number, arrays))
            steps = self._steps(arrays, len(frames))
            return Episode(
                frames=frames,
                actions=self._actions(steps["actions"]),
                rewards=steps["rewards"].astype(np.float32),
                terminated=steps["terminated"].astype(bool),
                truncated=steps["truncated"].astype(bool),
                infos={key.removeprefix(_INFO): arrays[key] for key in arrays if key.startswith(_INFO)},
                seed=int(arrays.get("seed", recording_seed(self._id(number)))),
            )
        except WorldModelError as error:
            raise DatasetError(f"{self.name(number)}: {error}") from error

    def _id(self, number: int) -> str:
        return self._files[number].relative_to(self._folder).with_suffix("").as_posix()

    def _arrays(self, number: int) -> dict[str, np.ndarray]:
        path = self._files[number]
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
        for key in arrays:
            if key not in _KEYS and not key.startswith(_INFO):
                known = f"{', '.join(_KEYS)} and {_INFO}NAME"
                raise DatasetError(f"{path} holds {key!r}{did_you_mean(key, _KEYS)}; known are {known}.")
        if "actions" not in arrays:
            raise DatasetError(f"{path} holds no actions.")
        return arrays

    def _video(self, number: int) -> Path | None:
        found = [
            path for suffix in VIDEO_SUFFIXES if (path := self._files[number].with_suffix(suffix)).is_file()
        ]
        return found[0] if found else None

    def _frames(self, number: int, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        video = self._video(number)
        if (video is None) == ("frames" not in arrays):
            what = "neither frames nor a video" if video is None else f"frames, and so has {video.name}"
            raise DatasetError(f"It has {what}: give one of them.")
        return read_video(video) if video is not None else arrays["frames"]

    def _steps(self, arrays: Mapping[str, np.ndarray], num_frames: int) -> dict[str, np.ndarray]:
        """actions, rewards, terminated and truncated, T of each."""
        count = len(arrays["actions"])
        end = np.arange(count) == count - 1
        terminated = arrays.get("terminated", np.zeros(count, bool))
        steps = {
            "actions": arrays["actions"],
            "rewards": arrays.get("rewards", np.zeros(count, np.float32)),
            "terminated": terminated,
            "truncated": arrays.get("truncated", end & ~terminated.astype(bool)),
        }
        if count != num_frames:
            return steps
        drop = self._settings.get("drop_action")
        if drop is None:
            raise DatasetError(
                f"It has {num_frames} frames and as many actions, where an action leads from one frame to the next: "
                f"write `drop_action: last` into {SETTINGS_NAME} if action t was taken at frame t, or `first` if it "
                "led to frame t."
            )
        kept = {key: values[1:] if drop == "first" else values[:-1] for key, values in steps.items()}
        if drop == "last" and "truncated" not in arrays:  # what was cut off may have been the end
            kept["truncated"] = np.append(kept["truncated"][:-1], ~kept["terminated"][-1:].astype(bool))
        return kept

    def _actions(self, actions: np.ndarray) -> np.ndarray:
        codec = ActionCodec(self._space)
        if not np.can_cast(actions.dtype, codec.stored_dtype, "same_kind"):
            raise DatasetError(f"Its actions are {actions.dtype}, expected {codec.stored_dtype}.")
        return actions.astype(codec.stored_dtype)

    @cached_property
    def _space(self) -> gym.Space:
        described = self._settings.get("action_space")
        if described is None:
            raise DatasetError(
                f"{self._folder / SETTINGS_NAME} names no action_space; the actions of the first recording would fit "
                f"`action_space: {_suggest(self._arrays(0)['actions'])}`."
            )
        try:
            defaults: dict[str, Any] = {"dtype": "float32", "start": 0}
            if described["type"] == "MultiDiscrete":
                defaults["start"] = np.zeros_like(described["nvec"]).tolist()
            return space_from_json({**defaults, **described})
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise DatasetError(
                f"{self._folder / SETTINGS_NAME} has an action_space that cannot be read ({error}); write it like "
                f"`{_suggest(self._arrays(0)['actions'])}`."
            ) from error

    def _fps(self) -> float:
        video = self._video(0)
        fps = self._options.fps or self._settings.get("fps") or (video_fps(video) if video is not None else 0)
        if not fps:
            raise DatasetError(f"{self._folder / SETTINGS_NAME} names no fps, the frames per second.")
        return float(fps)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} must hold KEY: VALUE lines.")
    for key in content:
        if key not in SETTINGS:
            known = ", ".join(SETTINGS)
            raise DatasetError(f"{path} holds {key!r}{did_you_mean(str(key), SETTINGS)}; known are {known}.")
    if content.get("drop_action") not in (None, "first", "last"):
        raise DatasetError(f"{path}: drop_action is {content['drop_action']!r}, expected first or last.")
    return content


def _suggest(actions: np.ndarray) -> str:
    if actions.dtype.kind in "iu" and actions.ndim == 1:
        return f"{{type: Discrete, n: {int(actions.max(initial=0)) + 1}}}"
    low, high = (
        actions.min(axis=0, initial=0.0).ravel().tolist(),
        actions.max(axis=0, initial=0.0).ravel().tolist(),
    )
    return f"{{type: Box, shape: {list(actions.shape[1:])}, low: {low}, high: {high}}}"
