"""Reading a dataset of episodes from disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from worldmodel.data.manifest import Manifest, shard_folder
from worldmodel.data.pieces import joined, read_pieces
from worldmodel.data.shards import REMEDY, info_file, read_shard
from worldmodel.episode import Clip, Episode
from worldmodel.errors import DatasetError
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec, space_from_json

_OPEN_SHARDS = 256  # each holds a file descriptor, of which a process has about 1,000
_QUIET_BYTES = 2 << 30  # checking less than this takes no longer than a few seconds
_HELDOUT_SHARE = 0.1


class EpisodeDataset:
    """Episodes on disk: small arrays in memory, frames mapped, so that a dataset may be larger than memory.

    Opening checks that every shard is there and, with `verify`, its checksums. Raises DatasetError naming the file and
    the remedy. With `incomplete`, a dataset whose collection was stopped opens too, as the episodes before its first
    missing shard. Several datasets may be read as one (see data.pieces).
    """

    def __init__(self, path: str | Path, verify: bool = True, incomplete: bool = False) -> None:
        self.path = Path(path)
        pieces = read_pieces(self.path)
        self.manifest = joined(pieces)
        self.env = EnvConfig.from_json(self.manifest.env)
        self.action_space = space_from_json(self.manifest.action_space)
        self.codec = ActionCodec(self.action_space)
        self.frame_shape: tuple[int, ...] = tuple(self.manifest.frame_shape)
        self.fps = self.manifest.fps
        self.max_episode_steps = self.manifest.max_episode_steps
        self._folders, wanted = _all_shards(pieces, incomplete)
        self._index(_read_shards(self._folders, verify), wanted)
        self._frame_maps: OrderedDict[int, np.ndarray] = OrderedDict()

    def _index(self, shards: list[Mapping[str, Any]], wanted: list[int]) -> None:
        """Where everything lies: per episode its shard, and its first step there and among all steps."""
        # A shard may hold more than the manifest counts: episodes of an extension that is not finished.
        lengths = [np.array(shard["lengths"][:n], np.int64) for shard, n in zip(shards, wanted, strict=True)]
        seeds = [np.array(shard["seeds"][:n], np.int64) for shard, n in zip(shards, wanted, strict=True)]
        counts, self._shard_steps = [len(n) for n in lengths], [int(n.sum()) for n in lengths]
        for folder, count, expected in zip(self._folders, counts, wanted, strict=True):
            if count < expected:
                raise DatasetError(f"{folder} holds {count} episodes instead of {expected}; {REMEDY}.")
        self.lengths, self.seeds = np.concatenate(lengths), np.concatenate(seeds)
        self.shard_of = np.repeat(np.arange(len(shards)), counts)
        self.first_step = np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)
        shard_step = self.first_step[np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)]
        self._first_step_in_shard = self.first_step - np.repeat(shard_step, counts)
        place = np.concatenate([np.arange(count) for count in counts])
        self.first_frame_in_shard = (
            self._first_step_in_shard + place
        )  # an episode has one frame more than steps
        self.actions = self._load("actions")
        self.rewards = self._load("rewards")
        self.terminated = self._load("terminated")
        self.truncated = self._load("truncated")

    def _load(self, name: str) -> np.ndarray:
        """One small array of all steps of all episodes [transitions, ...]."""
        files = [folder / f"{name}.npy" for folder in self._folders]
        return np.concatenate(
            [np.load(file)[:steps] for file, steps in zip(files, self._shard_steps, strict=True)]
        )

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.lengths)

    @property
    def transitions(self) -> int:
        """Number of steps, over all episodes."""
        return int(self.lengths.sum())

    @property
    def num_frames(self) -> int:
        """Number of frames: one more than steps in each episode."""
        return self.transitions + self.episodes

    def episode(self, index: int) -> Episode:
        """Episode number `index`, with frames and infos read from disk."""
        self._check_index(index)
        steps = slice(self.first_step[index], self.first_step[index] + self.lengths[index])
        return Episode(
            frames=np.array(self.episode_frames(index)),
            actions=self.actions[steps].copy(),
            rewards=self.rewards[steps].copy(),
            terminated=self.terminated[steps].copy(),
            truncated=self.truncated[steps].copy(),
            infos=self._infos(index),
            seed=int(self.seeds[index]),
        )

    def episode_frames(self, index: int) -> np.ndarray:
        """Frames uint8 [T+1, H, W, C] of episode number `index`, mapped from disk, read-only."""
        self._check_index(index)
        return self._frames(index, 0, int(self.lengths[index]) + 1)

    def clip(self, index: int, start: int, length: int) -> Clip:
        """`length` steps of episode number `index` from its step `start` on, reading only these frames."""
        self._check_index(index)
        if start < 0 or length < 1 or start + length > self.lengths[index]:
            steps = self.lengths[index]
            raise DatasetError(
                f"No {length}-step clip starts at step {start} of episode {index}, which has {steps} steps."
            )
        first = self.first_step[index] + start
        steps = slice(first, first + length)
        frames = np.array(self._frames(index, start, length + 1))
        return Clip(frames, self.actions[steps], self.rewards[steps], self.terminated[steps], start)

    def split(self, name: Literal["train", "heldout"]) -> np.ndarray:
        """Sorted numbers of the episodes of one side. About a tenth is held out, chosen by a hash of each episode's
        seed, so that every run agrees. Raises DatasetError when there are fewer than two episodes to split."""
        if name not in ("train", "heldout"):
            raise DatasetError(f"There is no split {name!r}; the splits are 'train' and 'heldout'.")
        if self.episodes < 2:
            raise DatasetError(
                f"{self.path} has fewer than two episodes, so none can be held out: collect more."
            )
        share = np.array([_hash_share(int(seed)) for seed in self.seeds])
        heldout = share < _HELDOUT_SHARE
        heldout[share.argmin()] = True
        heldout[share.argmax()] = False
        return np.flatnonzero(heldout == (name == "heldout"))

    def frame_map(self, shard: int) -> np.ndarray:
        """All frames of a shard, uint8 [frames, H, W, C], mapped from disk, read-only."""
        if shard in self._frame_maps:
            self._frame_maps.move_to_end(shard)
        else:
            # A plain array over the map: slices of np.memmap objects are ten times slower to make.
            self._frame_maps[shard] = np.asarray(np.load(self._folders[shard] / "frames.npy", mmap_mode="r"))
            if len(self._frame_maps) > _OPEN_SHARDS:
                self._frame_maps.popitem(last=False)
        return self._frame_maps[shard]

    def _frames(self, index: int, start: int, count: int) -> np.ndarray:
        first = int(self.first_frame_in_shard[index]) + start
        return self.frame_map(int(self.shard_of[index]))[first : first + count]

    def _infos(self, index: int) -> dict[str, np.ndarray]:
        first, count = int(self.first_frame_in_shard[index]), int(self.lengths[index]) + 1
        folder = self._folders[int(self.shard_of[index])]
        maps = {key: np.load(folder / info_file(key), mmap_mode="r") for key in self.manifest.info_keys}
        return {key: np.array(values[first : first + count]) for key, values in maps.items()}

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.episodes:
            raise DatasetError(
                f"There is no episode {index}: {self.path} has the episodes 0 to {self.episodes - 1}."
            )


def _all_shards(pieces: Sequence[tuple[Path, Manifest]], incomplete: bool) -> tuple[list[Path], list[int]]:
    """The shards of all pieces, and how many episodes of each count; of incomplete ones those before the first gap."""
    folders: list[Path] = []
    wanted: list[int] = []
    for path, manifest in pieces:
        found = _shard_folders(path, manifest, incomplete)
        folders += found
        wanted += [len(manifest.shard_episodes(number)) for number in range(len(found))]
        if len(found) < manifest.num_shards:
            break
    return folders, wanted


def _shard_folders(path: Path, manifest: Manifest, incomplete: bool) -> list[Path]:
    folders = [shard_folder(path, shard) for shard in range(manifest.num_shards)]
    there = [folder.is_dir() for folder in folders]
    if not all(there):
        if not incomplete:
            count = f"{there.count(False)} of its {len(folders)} shards are"
            raise DatasetError(f"{path} is incomplete ({count} missing): run collect again to finish it.")
        folders = folders[: there.index(False)]
        if not folders:
            raise DatasetError(f"{path} has no finished shard yet: run collect again to finish it.")
    return folders


def _read_shards(folders: list[Path], verify: bool) -> list[Mapping[str, Any]]:
    size = sum(file.stat().st_size for folder in folders for file in folder.iterdir()) if verify else 0
    bar = progress(folders, desc="checking dataset", unit="shard") if size > _QUIET_BYTES else folders
    return [read_shard(folder, verify) for folder in bar]


def _hash_share(seed: int) -> float:
    digest = hashlib.blake2b(seed.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
