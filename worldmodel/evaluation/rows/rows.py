"""The rows of a table: what every source makes of the same contexts, as the probe reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.metrics.mechanics import Mechanics, mechanics_of
from worldmodel.evaluation.metrics.permanence import Asked, asked
from worldmodel.evaluation.metrics.pictures import MEASURES, picture_scores
from worldmodel.evaluation.metrics.state_error import Scale, scale_of
from worldmodel.evaluation.moments.action_changes import noisy, nothing, shuffled
from worldmodel.evaluation.moments.grounds import Ground
from worldmodel.evaluation.moments.rollouts import Contexts, Predicted, Probe, Rollouts, Source, Truth, Views
from worldmodel.evaluation.moments.sight import in_plain_sight
from worldmodel.evaluation.parts import Parts, digest
from worldmodel.evaluation.rows.reference_rows import (
    ConstantVelocity,
    CopyLast,
    DreamSource,
    NearestNeighbour,
)
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import Bootstrap

Floats = NDArray[np.float64]
SIMULATOR, NOISY, SHUFFLED, IDLE = (
    "simulator",
    "simulator, 10 % action noise",
    "simulator, shuffled actions",
    "simulator, zero actions",
)
COPY, STEADY, NEAREST = "copy-last-frame", "constant velocity", "nearest neighbour"
NOISE = 0.1
DEAF = ", shuffled actions"  # after a model's name: the same model with its actions shuffled at test time


@dataclass(frozen=True)
class Row:
    """One source's futures of N contexts as read: features [N,h,D] and views [N,h,n]; pictures: measure -> [N,h] (None
    for a row without pictures); uncertainty [N,h], NaN where none is told."""

    name: str
    features: Floats
    views: Views
    pictures: dict[str, Floats] | None
    uncertainty: Floats


@dataclass(frozen=True)
class Scene:
    """What all rows of one split are compared with. truth: the simulator's own futures; scale: of the features that the
    probe can be trusted with; mechanics: of the true states, None where the probe cannot read all places; bodies: names
    of all of the model's; why: why there are no states, "" where there are."""

    contexts: Contexts
    truth: Rollouts
    scale: Scale
    mechanics: Mechanics | None
    bodies: tuple[str, ...]
    asked: Asked
    bootstrap: Bootstrap
    probe: Probe
    why: str

    @property
    def known(self) -> Truth:
        """What the simulator knows of its own futures."""
        assert self.truth.truth is not None
        return self.truth.truth

    @property
    def told(self) -> Floats:
        """True features [N,h,D], NaN where their object is not in plain sight: what M1 asks for."""
        return in_plain_sight(self.known, self.probe.spec, self.probe.objects)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """bool [N,h]."""
        return self.truth.valid

    @property
    def key(self) -> str:
        """A hash of the contexts."""
        return contexts_key(self.contexts)


def contexts_key(contexts: Contexts) -> str:
    """A hash of moments and actions, and of what each episode was reset with, which no state holds."""
    arrays = [value for value in vars(contexts).values() if isinstance(value, np.ndarray)]
    return digest(
        [[hash_of(array) for array in arrays], contexts.env.to_json(), list(map(dict, contexts.options))]
    )


def hash_of(array: NDArray[Any]) -> str:
    """Of an array's shape and bytes."""
    return hashlib.sha256(str(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()[:20]


def prepare(contexts: Contexts, ground: Ground, config: PhysicsConfig) -> Scene:
    """Play the truth. Raises EnvError where a context does not come back."""
    truth, probe = ground.simulator(SIMULATOR).rollouts(contexts), ground.probe
    assert truth.truth is not None
    told = in_plain_sight(truth.truth, probe.spec, probe.objects)
    scale = scale_of(told, truth.valid, probe.spec, probe.trusted_features)
    mechanics = None
    if not ground.why and probe.trusted_features[~probe.spec.velocities].all():
        mechanics = mechanics_of(contexts, probe.spec, truth.truth.first, truth.truth.features)
    bootstrap = Bootstrap(contexts.episodes, config.resamples, config.seed)
    what = asked(truth.truth, truth.valid)
    return Scene(contexts, truth, scale, mechanics, ground.bodies(), what, bootstrap, probe, ground.why)


def references(scene: Scene, ground: Ground, seed: int, for_branches: bool = False) -> list[Source]:
    """Every row that is not a model. for_branches: without those that know no actions, but the copied frame."""
    dataset, contexts = ground.dataset, scene.contexts
    rows: list[Source] = [
        ground.simulator(SIMULATOR),
        ground.simulator(NOISY, noisy(NOISE, dataset.codec, seed)),
        ground.simulator(SHUFFLED, shuffled(seed)),
    ]
    if not for_branches:
        rows.append(ground.simulator(IDLE, nothing(dataset.codec)))
    wrong = ground.wrong()
    if wrong is not None:
        rows.append(wrong)
    rows.append(CopyLast(COPY))
    if not for_branches:
        if not ground.why:
            steady = ConstantVelocity(scene.probe.spec, scene.known.first, 1 / dataset.fps, STEADY)
            rows.append(steady)
        rows.append(NearestNeighbour(dataset, contexts.horizon, seed))
    return rows


def is_reference(name: str) -> bool:
    """Whether a row of this name is not a model's."""
    return name in (COPY, STEADY, NEAREST) or name.startswith(SIMULATOR) or name.endswith(DEAF)


def model_rows(sources: Sequence[Source], seed: int) -> list[Source]:
    """Every model with its actions shuffled at test time, and as it is."""
    return [row for source in sources for row in (Shuffled(source, seed), source)]


@dataclass(frozen=True)
class Shuffled:
    """A source that gets the actions of other contexts."""

    source: Source
    seed: int

    @property
    def name(self) -> str:
        """The model's, with what was done to it."""
        return self.source.name + DEAF

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """See Source."""
        changed = contexts.under(shuffled(self.seed)(contexts))
        return replace(self.source.rollouts(changed), name=self.name)


def read_row(source: Source, scene: Scene, parts: Parts, identity: str | None) -> Row:
    """Let a source continue the contexts and read what it made. identity: of a model's weights, for finished parts;
    None: of this row none are kept."""

    def make() -> dict[str, np.ndarray]:
        return _read(source, scene)

    found = parts.get(make, row=source.name, identity=identity, contexts=scene.key, probe=scene.probe.version)
    pictures = {name: found[name] for name in MEASURES} if MEASURES[0] in found else None
    views = Views(*(found[name] for name in ("area", "row", "column", "spread")))
    return Row(source.name, found["features"], views, pictures, found["uncertainty"])


def _read(source: Source, scene: Scene) -> dict[str, np.ndarray]:
    made = source.rollouts(scene.contexts)
    shape = scene.valid.shape
    doubt = np.full(shape, np.nan) if made.uncertainty is None else made.uncertainty
    if made.frames is None:
        assert made.features is not None
        none = np.zeros((*shape, len(scene.probe.objects)))
        views = dict.fromkeys(("area", "row", "column", "spread"), none)
        return {"features": made.features, **views, "uncertainty": doubt}
    reading = scene.probe.read(scene.contexts.frames, made.frames)
    assert scene.truth.frames is not None
    pictures = picture_scores(made.frames, scene.truth.frames, scene.contexts.frames[:, -1])
    return {"features": reading.features, **vars(reading.views), **pictures, "uncertainty": doubt}


def model_source(name: str, model: Any, seed: int, max_batch: int) -> Source:
    """A world model, or any callable predict(context_frames, actions) -> frames, as a row."""
    if callable(model) and not hasattr(model, "imagine"):
        return Predicted(name, model)
    return DreamSource(name, model, seed, max_batch=max_batch)
