"""Reaching the Minari library, which is optional, and saying what is wrong when that fails."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from worldmodel.data.workers import environment_variables
from worldmodel.errors import DatasetError

METADATA_KEY = "worldmodel_manifest"  # where export leaves dataset.json's content in Minari's metadata
ROOT_VARIABLE = "MINARI_DATASETS_PATH"


def minari_library() -> Any:
    """The module. Raises DatasetError when it is not installed, or older than its lossless pictures."""
    try:
        import h5py  # noqa: F401  (Minari says only when it writes that it needs this)
        import minari
    except ImportError as error:
        raise DatasetError("Minari datasets need an extra: pip install 'worldmodel[minari]'.") from error
    if "jpeg_encoding" not in (minari.create_dataset_from_buffers.__kwdefaults__ or {}):
        raise DatasetError(
            f"Minari {minari.__version__} stores pictures as JPEG only: pip install -U 'worldmodel[minari]'."
        )
    return minari


def minari_root(root: str | Path | None = None) -> Path:
    """Minari's folder of datasets: `root`, or the one it is configured to use."""
    # Resolved: Minari opens files of a relative root in the wrong place.
    return Path(root or os.environ.get(ROOT_VARIABLE) or Path.home() / ".minari" / "datasets").resolve()


def using_root(root: Path) -> AbstractContextManager[None]:
    """Minari takes its folder from the environment only."""
    return environment_variables(**{ROOT_VARIABLE: str(root)})


def load_minari(source: str) -> Any:
    """The MinariDataset in the folder `source`, or with that id in Minari's folder. Nothing is downloaded."""
    minari = minari_library()
    folder = Path(source) if Path(source).is_dir() else minari_root() / source
    data = folder / "data" if (folder / "data").is_dir() else folder
    if not (data / "metadata.json").is_file():
        raise DatasetError(
            f"There is no Minari dataset {source}, nor {folder}: give a folder, or download it with `minari download`."
        )
    try:
        return minari.MinariDataset(data)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise DatasetError(
            f"The Minari dataset {folder} cannot be opened: {' '.join(str(error).split())}"
        ) from error
