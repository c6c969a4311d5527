"""Worlds that come with the package: below this folder lies one checkpoint a world, written by `worldmodel publish`."""

from __future__ import annotations

from pathlib import Path

from worldmodel.errors import CheckpointError
from worldmodel.nearest import did_you_mean

SHELF = Path(__file__).parent
PREFIX = "zoo:"


def names() -> list[str]:
    """The shipped worlds. A folder is there as a whole or not at all, so each one is a world."""
    return sorted(path.name for path in SHELF.iterdir() if path.is_dir() and path.name[0] not in "._")


def folder(name: str) -> Path:
    """Where the shipped world `name` lies. Raises CheckpointError, which lists those there are."""
    if name not in names():
        raise CheckpointError(
            f"There is no shipped world {name!r}{did_you_mean(name, names())}; shipped are: {listed()}."
        )
    return SHELF / name


def listed() -> str:
    """Their names in a sentence."""
    return ", ".join(names()) or "none"
