"""The probe: reads states and objects from pictures. Fitted on real frames only, frozen, and gated."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import MANIFEST_NAME
from worldmodel.data.pieces import read_pieces
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.moments.rollouts import Reading, Views, views_of
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.evaluation.moments.subject import Subject
from worldmodel.evaluation.probe.network import (
    MOMENTS,
    STACK,
    KeyPoints,
    MaskHead,
    Readout,
    motion,
    stacked,
)
from worldmodel.files import atomic_directory, check_json, read_json, write_checked_json
from worldmodel.frames import frames_to_float

VERSION = 2  # of the networks and their training: raise it when either changes
FEATURE_GATE, OBJECT_GATE = 0.95, 0.9
SEEN = 0.25  # an object that shows less of its usual area tells nothing of its place
_CHUNK = 256  # frames at a time


@dataclass(frozen=True)
class ProbeConfig:
    """mask_frames: real frames that its object masks are fitted on, in mask_steps steps on mask_batch of them; windows:
    real stretches of `length` frames from which it learns to read places, as they are and `passes` times spoilt, in
    place_steps; episodes: at most so many, whose true places teach it speeds in speed_steps; batch: of both;
    gate_windows: held-out stretches that decide what is trusted; seed: of everything."""

    mask_frames: int = 3000
    mask_steps: int = 700
    mask_batch: int = 24
    windows: int = 500
    length: int = 18
    passes: int = 1
    place_steps: int = 2000
    episodes: int = 500
    speed_steps: int = 6000
    batch: int = 512
    gate_windows: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Gate:
    """On held-out real frames: r2 [D] of every feature, iou [n] of every object, and told [D], the share of the
    moments in which the object is in plain sight where the probe tells the feature. frames: how many."""

    r2: tuple[float, ...]
    iou: tuple[float, ...]
    told: tuple[float, ...]
    frames: int


class FrozenProbe(nn.Module):
    """A worldmodel.evaluation.moments.rollouts.Probe."""

    def __init__(self, spec: StateSpec, objects: tuple[str, ...], points: int) -> None:
        super().__init__()
        self.spec, self.objects = spec, objects
        self.masks = MaskHead(len(objects)) if objects else None
        self.points = KeyPoints(points) if points else None
        count, places = len(spec), int((~spec.velocities).sum())
        self.places = Readout(MOMENTS * len(objects) + 3 * points, places, width=64)
        self.speeds = Readout((2 * STACK) * places, count - places, width=96)
        for name, size in (("feature_mean", count), ("feature_scale", count), ("usual_area", len(objects))):
            self.register_buffer(name, torch.ones(size))
        self.gate: Gate | None = None
        self.version = ""

    feature_mean: Tensor
    feature_scale: Tensor
    usual_area: Tensor

    @property
    def is_place(self) -> Tensor:
        """bool [D]."""
        return torch.from_numpy(~self.spec.velocities)

    @property
    def trusted_features(self) -> NDArray[np.bool_]:
        """bool [D]: R^2 of at least FEATURE_GATE, told where its object is seen."""
        gate = self._gate()
        return (np.array(gate.r2) >= FEATURE_GATE) & (np.array(gate.told) >= 0.5)

    @property
    def trusted_objects(self) -> NDArray[np.bool_]:
        """bool [n]: IoU of at least OBJECT_GATE."""
        return np.array(self._gate().iou, np.float64) >= OBJECT_GATE

    @torch.no_grad()
    def read(self, past: NDArray[np.uint8], frames: NDArray[np.uint8]) -> Reading:
        """See Probe. Of frames that no past precedes, the first counts as what was before."""
        before = past[:, -(STACK - 1) :]
        missing = STACK - 1 - before.shape[1]
        if missing:
            before = np.concatenate(
                [np.repeat((before if before.shape[1] else frames)[:, :1], missing, 1), before], 1
            )
        every = np.concatenate([before, frames], axis=1)
        described, areas, views = self.look(torch.from_numpy(every))
        places = self.places(described)
        features = self.features(stacked(places), stacked(areas >= SEEN * self.usual_area)).numpy()
        return Reading(features, views.apply(lambda v: v[:, STACK - 1 :]))

    @torch.no_grad()
    def features(self, places: Tensor, there: Tensor) -> Tensor:
        """float64 [...,D] from standardised places [...,STACK,P], newest first; there bool [...,STACK,n]: whether each
        object shows enough of itself. NaN for what is not `known`."""
        values = torch.empty(*places.shape[:-2], len(self.spec))
        values[..., self.is_place] = places[..., 0, :]
        values[..., ~self.is_place] = self.speeds(motion(places, self.known_places(there)))
        values = values * self.feature_scale + self.feature_mean
        return torch.where(self.known(there), values.double(), torch.nan)

    def known_places(self, there: Tensor) -> Tensor:
        """bool [...,P] of there [...,n]: the places of objects that show."""
        return self._of_objects(there)[..., self.is_place]

    def known(self, there: Tensor) -> Tensor:
        """bool [...,D] of there [...,STACK,n]: the places of objects that show now, and the velocities of those
        that show in all frames."""
        return torch.where(self.is_place, self._of_objects(there[..., 0, :]), self._of_objects(there.all(-2)))

    def _of_objects(self, there: Tensor) -> Tensor:
        """bool [...,n] -> [...,D], True for features of bodies that are no objects."""
        own = torch.ones(*there.shape[:-1], len(self.spec), dtype=torch.bool)
        for i, feature in enumerate(self.spec.features):
            if feature.object in self.objects:
                own[..., i] = there[..., self.objects.index(feature.object)]
        return own

    def describe(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """float frames [B,3,H,W] -> what places are read from [B,F], and masks [B,n,H,W]."""
        masks = self.masks(frames) if self.masks is not None else frames.new_zeros(len(frames), 0, 1, 1)
        parts = [MaskHead.moments(masks).flatten(1)] if self.masks is not None else []
        parts += [self.points(frames)] if self.points is not None else []
        return torch.cat(parts, dim=1), masks

    @torch.no_grad()
    def look(
        self, frames: Tensor, change: Callable[[Tensor], Tensor] = lambda frames: frames
    ) -> tuple[Tensor, Tensor, Views]:
        """uint8 [N,W,H,W,C] -> descriptions [N,W,F], areas [N,W,n] and views. change: spoils float frames
        [N',W,3,H,W]."""
        described, areas, views = [], [], []
        for chunk in frames.split(max(1, _CHUNK // frames.shape[1])):
            seen, masks = self.describe(change(frames_to_float(chunk)).flatten(0, 1))
            described.append(seen.unflatten(0, chunk.shape[:2]))
            areas.append(masks.sum((2, 3)).unflatten(0, chunk.shape[:2]))
            views.append(views_of(masks.unflatten(0, chunk.shape[:2]).numpy()))
        columns = (np.concatenate([vars(part)[name] for part in views]) for name in vars(views[0]))
        return torch.cat(described), torch.cat(areas), Views(*columns)

    def _gate(self) -> Gate:
        if self.gate is None:
            raise WorldModelError("This probe has not been gated: get one from fitted_probe.")
        return self.gate


def free_points(subject: Subject) -> int:
    """Key points that a probe of this subject needs: none where every feature belongs to an object with a mask."""
    unseen = [f for f in subject.spec.features if f.object not in subject.objects]
    return min(32, 8 + 2 * len({f.object for f in unseen})) if unseen else 0


def probe_version(dataset: EpisodeDataset, subject: Subject, config: ProbeConfig) -> str:
    """The hash of all that a probe depends on: the environment, the data, the features, the settings, the code's
    version."""
    content = {
        "version": VERSION,
        "env": dataset.env.to_json(),
        "data": data_version(dataset),
        "features": [feature.name for feature in subject.spec.features],
        "objects": list(subject.objects),
        "config": asdict(config),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def data_version(dataset: EpisodeDataset) -> list[Any]:
    """What tells a dataset from others: checksums of the manifests of its pieces, and its size."""
    found = [read_json(folder / MANIFEST_NAME)["crc32"] for folder, _ in read_pieces(dataset.path)]
    return [found[0] if len(found) == 1 else found, dataset.episodes, dataset.transitions]


def default_cache() -> Path:
    """Where probes are kept: $XDG_CACHE_HOME or ~/.cache, under worldmodel/probes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "worldmodel" / "probes"


def save_probe(probe: FrozenProbe, folder: Path, config: ProbeConfig) -> None:
    """Write safetensors and JSON, atomically."""
    with atomic_directory(folder, replace=False) as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in probe.state_dict().items()},
            temporary / "probe.safetensors",
        )
        content = {"version": probe.version, "gate": asdict(probe._gate()), "config": asdict(config)}
        write_checked_json(temporary / "probe.json", content)


def load_probe(folder: Path, subject: Subject) -> FrozenProbe:
    """Raises WorldModelError when a file is damaged; delete the folder then."""
    content: Mapping[str, Any] = check_json(folder / "probe.json", read_json(folder / "probe.json"))
    probe = FrozenProbe(subject.spec, subject.objects, free_points(subject))
    try:
        probe.load_state_dict(load_file(folder / "probe.safetensors"))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise WorldModelError(f"{folder} is damaged: delete it, and the probe is fitted anew.") from error
    gate = content["gate"]
    probe.gate = Gate(tuple(gate["r2"]), tuple(gate["iou"]), tuple(gate["told"]), gate["frames"])
    probe.version = content["version"]
    return probe.eval().requires_grad_(False)
