"""Shards: folders of flat .npy files, each holding a run of whole episodes, written once and checked when opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import quote, unquote

import numpy as np

from worldmodel.episode import Episode
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.files import atomic_directory, check_json, crc32, read_json, write_checked_json

SHARD_NAME = "shard.json"
STEP_ARRAYS = ("actions", "rewards", "terminated", "truncated")
REMEDY = "run collect again (or import it again) with the same options to replace that shard"


def info_file(key: str) -> str:
    """File name of an info key; keys may hold slashes and the like."""
    return f"info.{quote(key, safe='')}.npy"


def info_key(name: str) -> str:
    """Inverse of `info_file`."""
    return unquote(name.removeprefix("info.").removesuffix(".npy"))


class FlatArrayWriter:
    """Appends arrays along the first axis of one .npy file, holding none of it in memory."""

    def __init__(self, path: Path, item_shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._item_shape, self._dtype, self._length = item_shape, np.dtype(dtype), 0
        self._file: IO[bytes] = path.open("wb")
        self._write_header()
        self._data_start = self._file.tell()

    def append(self, values: np.ndarray) -> None:
        """Write values [n, *item_shape]."""
        if values.shape[1:] != self._item_shape or not np.can_cast(values.dtype, self._dtype, "same_kind"):
            got = f"{values.dtype} {values.shape[1:]}"
            raise DatasetError(f"An array of {got} does not fit into {self._dtype} {self._item_shape}.")
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def close(self) -> None:
        """Put the final length into the header: NumPy leaves room there for the first axis to grow."""
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._data_start:
            raise DatasetError(f"The header of {self._file.name} outgrew its place.")
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        shape = (self._length, *self._item_shape)
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": shape})

    def __enter__(self) -> FlatArrayWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def write_shard(folder: Path, first_episode: int, episodes: Iterable[Episode], replace: bool = False) -> None:
    """Write `episodes`, one after the other, as the shard `folder`: it appears when all are in it, or not at all.

    Episodes may be produced lazily; only one is in memory at a time. Without `replace`, a shard that is there already
    is kept: it can only come from a worker that outlived its parent by a moment, and holds the same.
    """
    with atomic_directory(folder, replace) as temporary:
        lengths: list[int] = []
        seeds: list[int] = []
        writers: dict[str, FlatArrayWriter] = {}
        with ExitStack() as stack:
            for episode in episodes:
                for name, values in _arrays(episode).items():
                    if name not in writers:
                        if lengths:
                            raise DatasetError(
                                f"{name} appears only in the shard's episode number {len(lengths)}."
                            )
                        writer = FlatArrayWriter(temporary / name, values.shape[1:], values.dtype)
                        writers[name] = stack.enter_context(writer)
                    writers[name].append(values)
                lengths.append(len(episode))
                seeds.append(episode.seed)
        files = {name: _fingerprint(temporary / name) for name in writers}
        content = {"first_episode": first_episode, "lengths": lengths, "seeds": seeds, "files": files}
        write_checked_json(temporary / SHARD_NAME, content)


def read_shard(folder: Path, verify: bool = True) -> Mapping[str, Any]:
    """shard.json, after checking the files it names: existence, size and, with `verify`, checksum.

    Raises DatasetError naming the file and the remedy.
    """
    try:
        content = check_json(folder / SHARD_NAME, read_json(folder / SHARD_NAME))
    except WorldModelError as error:
        raise DatasetError(f"{str(error).rstrip('.')}; {REMEDY}.") from error
    for name, expected in content["files"].items():
        path = folder / name
        if not path.exists():
            raise DatasetError(f"{path} is missing; {REMEDY}.")
        if path.stat().st_size != expected["bytes"]:
            raise DatasetError(
                f"{path} has {path.stat().st_size} bytes instead of {expected['bytes']}; {REMEDY}."
            )
        if verify and crc32(path) != expected["crc32"]:
            raise DatasetError(f"{path} is damaged (its checksum differs); {REMEDY}.")
    return content


def stored_episodes(folder: Path) -> list[Episode]:
    """The episodes of a shard, their arrays mapped from disk; none when there is no such shard. Checks no file."""
    if not folder.exists():
        return []
    content = read_json(folder / SHARD_NAME)
    maps = {name: np.load(folder / name, mmap_mode="r") for name in content["files"]}
    episodes, first = [], 0
    for number, (length, seed) in enumerate(zip(content["lengths"], content["seeds"], strict=True)):
        steps, frames = slice(first, first + length), slice(first + number, first + number + length + 1)
        infos = {info_key(name): maps[name][frames] for name in maps if name.startswith("info.")}
        arrays = {name: maps[f"{name}.npy"][steps] for name in STEP_ARRAYS}
        episodes.append(Episode(frames=maps["frames.npy"][frames], **arrays, infos=infos, seed=seed))
        first += length
    return episodes


def _arrays(episode: Episode) -> dict[str, np.ndarray]:
    arrays = {f"{name}.npy": getattr(episode, name) for name in ("frames", *STEP_ARRAYS)}
    return arrays | {info_file(key): values for key, values in episode.infos.items()}


def _fingerprint(path: Path) -> dict[str, int]:
    return {"bytes": path.stat().st_size, "crc32": crc32(path)}
