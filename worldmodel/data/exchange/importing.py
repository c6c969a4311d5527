"""`worldmodel data import`: a dataset out of episodes that were made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from worldmodel.data.build import at_least, build, plain
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.exchange.lerobot import LeRobotSource, is_lerobot
from worldmodel.data.exchange.minari_source import MinariSource, is_minari
from worldmodel.data.exchange.pictures import PictureFit
from worldmodel.data.exchange.recordings import RecordingsSource, is_recordings
from worldmodel.data.exchange.source import EpisodeSource, ImportOptions, check_episode
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError

FORMATS: dict[str, tuple[Callable[[ImportOptions], EpisodeSource], Callable[[str], bool]]] = {
    "recordings": (RecordingsSource, is_recordings),
    "lerobot": (LeRobotSource, is_lerobot),
    "minari": (MinariSource, is_minari),
}


def import_data(
    source: str,
    out: str | Path,
    format: str = "auto",
    size: int | None = None,
    fit: str = "crop",
    camera: str | None = None,
    fps: float | None = None,
    env: Mapping[str, Any] | None = None,
    workers: int | None = None,
    episodes_per_shard: int = 16,
) -> EpisodeDataset:
    """Read every episode of `source` and write them to the folder `out`; go on where an earlier, stopped call left off.

    source: a folder, or the id of a local Minari dataset; format: a key of FORMATS, or "auto" to look; size, fit: see
    PictureFit; camera: which pictures, where there are several; fps: where the source names none; env: fields of
    EnvConfig, if the recorded environment can be made. Raises DatasetError naming the recording that does not fit.
    """
    options = ImportOptions(
        source=source,
        pictures=PictureFit(size, fit),
        camera=camera,
        fps=fps,
        env=dict(env or {}),
        episodes_per_shard=at_least(1, "episodes_per_shard", episodes_per_shard),
    )
    name = _find_format(source) if format == "auto" else format
    manifest = open_source(name, options).manifest()
    requested = plain(**manifest.requested())
    opening = partial(_checked_source, name, options)
    return build(Path(out), requested, lambda: manifest, opening, workers, f"importing {source}")


def _checked_source(format: str, options: ImportOptions, manifest: Manifest) -> Callable[[int], Episode]:
    source = open_source(format, options)
    return lambda number: check_episode(source.episode(number), manifest, source.name(number))


def open_source(format: str, options: ImportOptions) -> EpisodeSource:
    """The source that `options` names, read as `format`."""
    if format not in FORMATS:
        raise DatasetError(f"format is {format!r}, expected auto, {', '.join(FORMATS)}.")
    return FORMATS[format][0](options)


def _find_format(source: str) -> str:
    for name, (_, recognises) in FORMATS.items():
        if recognises(source):
            return name
    raise DatasetError(
        f"{source} is no LeRobot v3 folder, no Minari dataset, and has no recordings.yaml; `worldmodel data template` "
        "shows what a folder of recordings looks like."
    )
