"""Finished parts of a report on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.files import atomic_write_bytes

Arrays = Mapping[str, np.ndarray]
_SUFFIX = ".part"


class Parts:
    """Arrays by key, in a folder; None keeps nothing. A part is made again when anything in its key changes, or
    when its file is damaged."""

    def __init__(self, folder: Path | None, **common: Any) -> None:
        """common: what every key depends on."""
        self.folder, self._common = folder, common

    def get(self, make: Callable[[], Arrays], **key: Any) -> dict[str, np.ndarray]:
        """What make() gave for this key, now or in an earlier run. A None in the key stands for what cannot be known
        again, such as anybody's function or agent: then nothing is kept."""
        if self.folder is None or any(value is None for value in key.values()):
            return dict(make())
        path = self.folder / f"{digest({**self._common, **key})}{_SUFFIX}"
        found = _read(path)
        if found is None:
            found = dict(make())
            buffer = io.BytesIO()
            np.savez(buffer, **found)  # type: ignore[arg-type]
            atomic_write_bytes(path, _sealed(buffer.getvalue()))
        return found


def any_finished(folder: Path) -> bool:
    """Whether earlier runs left parts there."""
    return any(folder.glob(f"*{_SUFFIX}"))


def digest(content: Any) -> str:
    """A short hash of what JSON can hold; of anything else its text."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _sealed(content: bytes) -> bytes:
    """With a checksum before it: a damaged archive is refused in many ways, or not at all."""
    return hashlib.sha256(content).digest() + content


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """None where there is no such part, or it is damaged."""
    if not path.is_file():
        return None
    whole = path.read_bytes()
    content = whole[hashlib.sha256().digest_size :]
    if _sealed(content) != whole:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
