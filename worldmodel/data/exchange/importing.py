"""`worldmodel data import`: a dataset out of episodes that were made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from worldmodel.data.build import at_least, build, plain
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.exchange.lerobot import LeRobotSource, is_lerobot
from worldmodel.data.exchange.minari_source import MinariSource, is_minari
from worldmodel.data.exchange.pictures import PictureFit
from worldmodel.data.exchange.recordings import RecordingsSource, is_recordings
from worldmodel.data.exchange.source import EpisodeSource, ImportOptions, check_episode
from worldmodel.data.manifest import Manifest, shard_folder
from worldmodel.data.shards import write_shard
from worldmodel.data.workers import Report
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
    plan = ImportPlan(Path(out), _find_format(source) if format == "auto" else format, options)
    return build(plan.folder, plan, workers, f"importing {source}")


@dataclass(frozen=True)
class ImportPlan:
    """A dataset of what was made elsewhere (see data.build.Plan)."""

    folder: Path
    format: str
    options: ImportOptions

    @cached_property
    def _manifest(self) -> Manifest:
        return open_source(self.format, self.options).manifest()

    @property
    def requested(self) -> Mapping[str, Any]:
        """All of it is decided by the source."""
        return plain(**self._manifest.requested())

    def describe(self) -> Manifest:
        """As the source says."""
        return self._manifest

    def job(self, manifest: Manifest) -> ShardImporter:
        """What reads the episodes of a shard."""
        return ShardImporter(self.folder, manifest, self.format, self.options)


@dataclass(frozen=True)
class ShardImporter:
    """Writes any shard of an imported dataset. Travels to workers: the source is opened where it is read."""

    folder: Path
    manifest: Manifest
    format: str
    options: ImportOptions

    @cached_property
    def source(self) -> EpisodeSource:
        """The source, opened in this process."""
        return open_source(self.format, self.options)

    def write(self, shard: int, report: Report) -> None:
        """Read and write a shard, calling report(frames) after every episode."""
        numbers = self.manifest.shard_episodes(shard)
        write_shard(
            shard_folder(self.folder, shard), numbers.start, self._read(numbers, report), replace=True
        )

    def _read(self, numbers: range, report: Report) -> Iterator[Episode]:
        for number in numbers:
            episode = self.source.episode(number)
            yield check_episode(episode, self.manifest, self.source.name(number))
            report(len(episode.frames))


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
