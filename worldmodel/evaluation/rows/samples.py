"""M8 of a model: several dreams of one moment, and what it tells of its own error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.metrics.state_error import lasting, state_error
from worldmodel.evaluation.metrics.trust import Spread, Warned, measure_spread, measure_warning
from worldmodel.evaluation.moments.rollouts import Contexts, Source
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.parts import Parts
from worldmodel.evaluation.rows.rows import Row, Scene, contexts_key
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import Bootstrap


def measure_samples(
    source: Source, identity: str | None, scene: Scene, row: Row, config: PhysicsConfig, parts: Parts
) -> tuple[Spread | NotMeasured, Warned | NotMeasured]:
    """The spread of its samples against the truth, and its told uncertainty against its error in the state (in the
    picture where the probe cannot be trusted)."""
    return _spread(source, identity, scene, config, parts), _warned(scene, row)


def _spread(
    source: Source, identity: str | None, scene: Scene, config: PhysicsConfig, parts: Parts
) -> Spread | NotMeasured:
    used = scene.scale.used
    if not used.any():
        return NotMeasured("The probe is not sure enough of any feature (R^2 below 0.95).")
    count = min(config.sampled, len(scene.contexts))
    if count < 2:
        return NotMeasured("It was left out (physics.sampled).")
    steps = min(config.sample_steps, scene.contexts.horizon)
    chosen = _first(scene.contexts, count, steps)

    def make() -> dict[str, np.ndarray]:
        many = chosen.repeated(config.samples)
        many = replace(many, ids=10_000 + np.arange(len(many)))
        made = source.rollouts(many)
        if made.frames is None:
            raise WorldModelError(f"{source.name} makes no frames.")
        return {"features": scene.probe.read(many.frames, made.frames).features}

    found = parts.get(
        make,
        samples=config.samples,
        row=source.name,
        identity=identity,
        contexts=contexts_key(chosen),
        probe=scene.probe.version,
    )["features"]
    shaped = found.reshape(count, config.samples, *found.shape[1:])
    truth = np.where(scene.valid[:count, :steps, None], scene.told[:count, :steps], np.nan)
    bootstrap = Bootstrap(chosen.episodes, config.resamples, config.seed)
    return measure_spread(shaped[..., used], truth[..., used], scene.scale.sigma[used], bootstrap)


def _warned(scene: Scene, row: Row) -> Warned | NotMeasured:
    if not np.isfinite(row.uncertainty).any():
        return NotMeasured("This model tells no uncertainty with its frames.")
    if not scene.why and scene.scale.used.any():
        error = state_error(row.features, scene.told, scene.valid, scene.scale).both
        failed = lasting(error, scene.valid).lost
        return measure_warning(row.uncertainty, np.sqrt(error), scene.valid, failed, scene.bootstrap)
    if row.pictures is None:
        return NotMeasured("There is neither a state nor a picture to err in.")
    error = 255 * 10 ** (-row.pictures["psnr"] / 20)
    return measure_warning(row.uncertainty, error, scene.valid, None, scene.bootstrap)


def _first(contexts: Contexts, count: int, steps: int) -> Contexts:
    chosen = contexts.select(np.arange(count))
    return chosen.under(chosen.actions[:, :steps])
