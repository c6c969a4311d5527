"""Several datasets of one environment that are read as one: what a loop of collecting and learning leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from worldmodel.data.manifest import Manifest
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.files import check_json, read_json, write_checked_json

PIECES_NAME = "pieces.json"
FORMAT, VERSION = "worldmodel-episode-pieces", 1
_SHARED = ("env", "action_space", "frame_shape", "fps", "max_episode_steps")


def write_pieces(folder: Path, names: Sequence[str]) -> None:
    """Make `folder` a dataset that joins the datasets in its subfolders `names`, in this order."""
    write_checked_json(folder / PIECES_NAME, {"format": FORMAT, "version": VERSION, "pieces": list(names)})


def read_pieces(folder: Path) -> list[tuple[Path, Manifest]]:
    """The datasets that make up the one in `folder`: itself, or its pieces. Raises DatasetError when it is none, or
    when the pieces are of different environments."""
    if not (folder / PIECES_NAME).exists():
        return [(folder, Manifest.read(folder))]
    path = folder / PIECES_NAME
    try:
        content = check_json(path, read_json(path))
    except WorldModelError as error:
        raise DatasetError(f"{error} Restore it.") from error
    if content.get("format") != FORMAT or content.get("version") != VERSION or not content.get("pieces"):
        raise DatasetError(f"{path} names no pieces that this version can read.")
    pieces = [(folder / name, Manifest.read(folder / name)) for name in content["pieces"]]
    first = pieces[0][1]
    for piece, manifest in pieces:
        for name in _SHARED:
            if getattr(manifest, name) != getattr(first, name):
                raise DatasetError(
                    f"The {name} of {piece} is {getattr(manifest, name)}, of {pieces[0][0]} it is "
                    f"{getattr(first, name)}: only datasets of one environment can be read as one."
                )
    return pieces


def joined(pieces: Sequence[tuple[Path, Manifest]]) -> Manifest:
    """What the pieces hold together; its policy says who collected which. Infos that a piece lacks are left out."""
    first = pieces[0][1]
    if len(pieces) == 1:
        return first
    keys = {
        key: spec
        for key, spec in first.info_keys.items()
        if all(manifest.info_keys.get(key) == spec for _, manifest in pieces)
    }
    found = {key for _, manifest in pieces for key in (*manifest.info_keys, *manifest.dropped_info_keys)}
    return replace(
        first,
        policy={"pieces": {folder.name: manifest.requested() for folder, manifest in pieces}},
        episodes=sum(manifest.episodes for _, manifest in pieces),
        info_keys=keys,
        dropped_info_keys=sorted(found - set(keys)),
    )
