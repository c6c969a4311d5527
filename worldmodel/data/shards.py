"""Shards: folders of flat .npy files, each holding a run of whole episodes, written once and checked when opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
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


@contextmanager
def flat_array(
    path: Path, item_shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[np.ndarray], None]]:
    """A new .npy file; what is yielded appends values [n, *item_shape] to it, and none of it is held in memory."""
    length = 0
    with path.open("wb") as file:

        def write_header() -> None:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (length, *item_shape)})

        def append(values: np.ndarray) -> None:
            nonlocal length
            if values.shape[1:] != item_shape or not np.can_cast(values.dtype, dtype, "same_kind"):
                got = f"{values.dtype} {values.shape[1:]}"
                raise DatasetError(f"An array of {got} does not fit into {dtype} {item_shape}.")
            file.write(np.ascontiguousarray(values, dtype).data)
            length += len(values)

        write_header()
        start = file.tell()
        yield append
        file.seek(0)
        write_header()  # NumPy leaves room there for the first axis to grow
        if file.tell() != start:
            raise DatasetError(f"The header of {path} outgrew its place.")


def write_shard(folder: Path, first_episode: int, episodes: Iterable[Episode], replace: bool = False) -> None:
    """Write `episodes`, one after the other, as the shard `folder`: it appears when all are in it, or not at all.

    Episodes may be produced lazily; only one is in memory at a time. Without `replace`, a shard that is there already
    is kept: it can only come from a worker that outlived its parent by a moment, and holds the same.
    """
    with atomic_directory(folder, replace) as temporary:
        lengths: list[int] = []
        seeds: list[int] = []
        append: dict[str, Callable[[np.ndarray], None]] = {}
        with ExitStack() as stack:
            for episode in episodes:
                for name, values in _arrays(episode).items():
                    if name not in append:
                        if lengths:
                            raise DatasetError(
                                f"{name} appears only in the shard's episode number {len(lengths)}."
                            )
                        file = flat_array(temporary / name, values.shape[1:], values.dtype)
                        append[name] = stack.enter_context(file)
                    append[name](values)
                lengths.append(len(episode))
                seeds.append(episode.seed)
        files = {name: _fingerprint(temporary / name) for name in append}
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
