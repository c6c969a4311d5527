"""M7 of a model: mirrored moments, dreams in two parts, and rest."""

from __future__ import annotations

import numpy as np

from worldmodel.errors import EnvError, WorldModelError
from worldmodel.evaluation.metrics.symmetry import apart, find_mirror, idle_drift, in_two_parts, mirror_error
from worldmodel.evaluation.moments.action_changes import nothing
from worldmodel.evaluation.moments.grounds import Ground
from worldmodel.evaluation.moments.rollouts import Contexts, Source
from worldmodel.evaluation.moments.sight import in_plain_sight
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.rows.measures import Number, intervals
from worldmodel.evaluation.rows.rows import SIMULATOR, Scene
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import Bootstrap, Estimate

HALVES, IDLE_STEPS = (10, 20), 100


def measure_symmetry(
    source: Source, scene: Scene, ground: Ground, config: PhysicsConfig
) -> dict[str, Number]:
    """mirror and parts: nRMSE between two dreams that should be the same; idle: nRMSE after 100 steps without
    actions."""
    if scene.why or not scene.scale.places.any():
        reason = NotMeasured(scene.why or "The probe is not sure enough of any place (R^2 below 0.95).")
        return dict.fromkeys(("mirror", "parts", "idle"), reason)
    chosen = scene.contexts.select(np.arange(min(config.symmetric, len(scene.contexts))))
    return {
        "mirror": _mirror(source, chosen, scene, config),
        "parts": _parts(source, chosen, scene, config),
        "idle": _idle(source, chosen, scene, ground, config),
    }


def _mirror(source: Source, contexts: Contexts, scene: Scene, config: PhysicsConfig) -> Number:
    contexts = contexts.under(contexts.actions[:, : HALVES[1]])
    try:
        mirror = find_mirror(contexts)
        whole, turned = source.rollouts(contexts), mirror_error(source, contexts, mirror)
    except EnvError as error:
        return NotMeasured(str(error))
    return _apart(whole.frames, turned.frames, contexts, scene, config)


def _parts(source: Source, contexts: Contexts, scene: Scene, config: PhysicsConfig) -> Number:
    first, steps = HALVES
    if contexts.horizon < steps:
        return NotMeasured(f"The horizon is shorter than {steps} steps.")
    contexts = contexts.under(contexts.actions[:, :steps])
    try:
        whole, halves = source.rollouts(contexts), in_two_parts(source, contexts, first)
    except EnvError as error:
        return NotMeasured(str(error))
    return _apart(whole.frames, halves.frames, contexts, scene, config)


def _idle(
    source: Source,
    contexts: Contexts,
    scene: Scene,
    ground: Ground,
    config: PhysicsConfig,
) -> Number:
    steps = IDLE_STEPS if config.horizon >= 50 else config.horizon  # a smoke test has no time for 100
    repeats = -(-steps // contexts.horizon)
    actions = np.concatenate([contexts.actions] * repeats, axis=1)[:, :steps]
    still = contexts.under(actions)
    still = still.under(nothing(ground.dataset.codec)(still))
    truth, made = ground.simulator(SIMULATOR).rollouts(still), source.rollouts(still)
    assert truth.truth is not None and made.frames is not None
    if not truth.valid[:, -1].any():
        return NotMeasured("Without actions every episode ends before.")
    read = scene.probe.read(still.frames, made.frames).features
    told = in_plain_sight(truth.truth, scene.probe.spec, scene.probe.objects)
    return _told(idle_drift(read, told, truth.valid, scene.scale), still, config)


def _apart(
    one: np.ndarray | None, other: np.ndarray | None, contexts: Contexts, scene: Scene, config: PhysicsConfig
) -> Number:
    assert one is not None and other is not None
    read = [scene.probe.read(contexts.frames, frames).features for frames in (one, other)]
    part = np.s_[: len(contexts), : contexts.horizon]
    valid, asked = scene.valid[part], np.isfinite(scene.told[part])
    try:
        return _told(apart(read[0], read[1], asked, valid, scene.scale), contexts, config)
    except WorldModelError as error:
        return NotMeasured(str(error))


def _told(estimate: Estimate, contexts: Contexts, config: PhysicsConfig) -> Number:
    bootstrap = Bootstrap(contexts.episodes, config.resamples, config.seed)
    return intervals({"value": estimate}, bootstrap)["value"]
