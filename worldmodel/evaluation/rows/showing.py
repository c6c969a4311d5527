"""Pictures of a report: the worst cases of every model, and objects that go out of sight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.metrics.permanence import STRATA
from worldmodel.evaluation.metrics.state_error import state_error
from worldmodel.evaluation.moments.rollouts import Source
from worldmodel.evaluation.report_data import Film, Strip
from worldmodel.evaluation.rows.rows import Row, Scene

STRIPS, BEFORE, AFTER = 3, 3, 4  # cases shown; frames around an absence


def shown_pictures(
    sources: Mapping[str, Source], scene: Scene, rows: Mapping[str, Row], films: int
) -> tuple[list[Strip], list[Film]]:
    """Strips of occlusions and films of the contexts with the largest errors, dreamt once more for their frames."""
    cases = _absences(scene)
    worst = {name: _worst(rows[name], scene, films) for name in sources}
    chosen = np.unique(
        [case[0] for case in cases] + [i for found in worst.values() for i, _ in found]
    ).astype(int)
    if not len(chosen):
        return [], []
    dreamt = {}
    for name, source in sources.items():
        frames = source.rollouts(scene.contexts.select(chosen)).frames
        assert frames is not None
        dreamt[name] = dict(zip(chosen.tolist(), frames, strict=True))
    assert scene.truth.frames is not None
    strips = [_strip(case, scene, dreamt) for case in cases]
    shown = []
    for name, found in worst.items():
        for i, error in found:
            steps = int(scene.valid[i].sum())
            real, dream = scene.truth.frames[i, :steps], dreamt[name][i][:steps]
            episode = int(scene.contexts.episodes[i])
            shown.append(Film(name, i, episode, abs(error), _measure(scene), real, dream))
    return strips, shown


def _measure(scene: Scene) -> str:
    return "psnr" if scene.why or not scene.scale.used.any() else "nrmse"


def _worst(row: Row, scene: Scene, count: int) -> list[tuple[int, float]]:
    """Contexts by their nRMSE over all steps, or by minus their PSNR where no state can be read."""
    if _measure(scene) == "nrmse":
        error = state_error(row.features, scene.told, scene.valid, scene.scale).both
        off = np.sqrt(
            np.where(scene.valid, np.nan_to_num(error), 0).sum(1) / np.maximum(scene.valid.sum(1), 1)
        )
    elif row.pictures is not None:
        off = -np.where(scene.valid, row.pictures["psnr"], 0).sum(1) / np.maximum(scene.valid.sum(1), 1)
    else:
        return []
    order = np.argsort(-off, kind="stable")[:count]
    return [(int(i), float(off[i])) for i in order]


def _absences(scene: Scene) -> list[tuple[int, int, int]]:
    """(context, object, step of coming back) of the first moments in which something comes back."""
    stratum = scene.asked.stratum
    found: list[tuple[int, int, int]] = []
    for n, _, i in np.argwhere(stratum > 0):
        first = int(np.flatnonzero(stratum[n, :, i] > 0)[0])
        if all(case[0] != n for case in found):
            found.append((int(n), int(i), first))
        if len(found) == STRIPS:
            break
    return found


def _strip(
    case: tuple[int, int, int], scene: Scene, dreamt: Mapping[str, Mapping[int, NDArray[np.uint8]]]
) -> Strip:
    n, i, back = case
    views = scene.known.views
    hidden = np.flatnonzero(views.area[n, :back, i] < 1)
    gone = int(hidden[0]) if len(hidden) else max(0, back - BEFORE)
    steps = [max(0, gone - BEFORE), max(0, gone - 1), (gone + back) // 2, *range(back - 1, back + AFTER)]
    steps = sorted({min(step, scene.contexts.horizon - 1) for step in steps})
    places = np.stack([views.row[n, steps, i], views.column[n, steps, i]], axis=1)
    assert scene.truth.frames is not None
    return Strip(
        name=f"{scene.probe.objects[i]}, {STRATA[int(scene.asked.stratum[n, back, i])]}",
        steps=[step + 1 for step in steps],
        real=scene.truth.frames[n, steps],
        models={name: frames[n][steps] for name, frames in dreamt.items()},
        places=places,
    )
