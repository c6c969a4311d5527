"""M6 of all rows: eight futures of every moment, which differ by their actions alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from worldmodel.evaluation.metrics.response import response
from worldmodel.evaluation.moments.contexts import branches_of
from worldmodel.evaluation.moments.grounds import Ground
from worldmodel.evaluation.moments.rollouts import Source
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.parts import Parts
from worldmodel.evaluation.report_data import Answer, Fan
from worldmodel.evaluation.rows.measures import intervals
from worldmodel.evaluation.rows.rows import DEAF, SIMULATOR, Scene, hash_of, model_rows, prepare, references
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import Bootstrap

FANS = 2  # shown


def measure_branches(
    sources: Mapping[str, Source],
    identities: Mapping[str, str | None],
    ground: Ground,
    config: PhysicsConfig,
    parts: Parts,
) -> tuple[dict[str, Answer], int, list[Fan]]:
    """CF-R2, gain and cosine of every row; how many moments; and some fans of futures as pictures."""
    contexts = ground.contexts(config.branches, config.branch_steps, config.seed + 1)
    branches = branches_of(contexts, config.seed + 2)
    flat = branches.flat()
    scene = prepare(flat, ground, config)
    rows = references(scene, ground, config.seed, for_branches=True)
    rows += model_rows(list(sources.values()), config.seed)
    bootstrap = Bootstrap(contexts.episodes, config.resamples, config.seed)
    truth, valid = branches.unflat(scene.told), branches.unflat(scene.valid)
    answers: dict[str, Answer] = {}
    pictures: dict[str, np.ndarray] = {}
    for source in rows:
        identity = identities.get(source.name.removesuffix(DEAF), "")
        found = _features(source, scene, parts, identity, FANS * branches.count)
        pictures[source.name] = found["last"]
        answers[source.name] = _answer(branches.unflat(found["features"]), truth, valid, scene, bootstrap)
    return answers, len(contexts), _fans(pictures, list(sources), branches.count, contexts.horizon)


def _features(
    source: Source, scene: Scene, parts: Parts, identity: str | None, shown: int
) -> dict[str, np.ndarray]:
    def make() -> dict[str, np.ndarray]:
        made = source.rollouts(scene.contexts)
        assert made.frames is not None
        features = scene.probe.read(scene.contexts.frames, made.frames).features
        return {"features": features, "last": made.frames[:shown, -1]}

    key = [scene.key, hash_of(scene.contexts.actions)]
    return parts.get(make, branches=key, row=source.name, identity=identity, probe=scene.probe.version)


def _answer(
    features: np.ndarray, truth: np.ndarray, valid: np.ndarray, scene: Scene, bootstrap: Bootstrap
) -> Answer:
    if not scene.scale.used.any():
        reason = NotMeasured("The probe is not sure enough of any feature (R^2 below 0.95).")
        return Answer(dict.fromkeys(("cf_r2", "gain", "cosine"), reason), [])
    found = response(features, truth, valid, scene.scale)
    numbers = {"cf_r2": found.cf_r2, "gain": found.gain, "cosine": found.cosine}
    return Answer(intervals(dict(numbers), bootstrap), bootstrap.of(found.by_horizon))


def _fans(pictures: Mapping[str, np.ndarray], models: list[str], count: int, step: int) -> list[Fan]:
    fans = []
    for start in range(0, len(pictures[SIMULATOR]), count):
        part = slice(start, start + count)
        fans.append(Fan(step, pictures[SIMULATOR][part], {name: pictures[name][part] for name in models}))
    return fans
