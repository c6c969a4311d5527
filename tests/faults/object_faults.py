"""Controls 1 to 4: objects that are missing, doubled, elsewhere, or each other."""

from itertools import combinations

import numpy as np
import spoilers
import torch
from checks import check, not_tried
from fault_bench import Bench
from numpy.typing import NDArray

from worldmodel.evaluation.controls import Check
from worldmodel.evaluation.metrics.permanence import FATES, NEAR
from worldmodel.evaluation.psnr import psnr

FRACTION, TOLERANCE = 0.2, 2.0  # of object-frames; points
LEAST_PRESENT = 0.9  # of the truth itself: below it, the probe loses objects by itself
_NO_OBJECTS = "the probe finds no object (IoU below 0.9), or none is shown"


def deleted(bench: Bench) -> list[Check]:
    """Permanence falls by what was deleted; PSNR hardly moves."""
    expected = f"permanence falls by {100 * FRACTION:.0f} +- {TOLERANCE:.0f} points"
    if not bench.counted.any():
        return [not_tried("M4", expected, _NO_OBJECTS)]
    when = spoilers.some(bench.counted, FRACTION, np.random.default_rng(bench.seed))
    frames = spoilers.delete(bench.frames, _masks(bench), when, spoilers.background(bench.frames))
    falls = 100 * (_present(bench, bench.frames) - _present(bench, frames))
    found = _compared(expected, falls, 100 * FRACTION * _present(bench, bench.frames))
    decibels = psnr(torch.from_numpy(frames), torch.from_numpy(bench.frames))
    typical = float(decibels[torch.from_numpy(when.any(2))].mean())
    return [Check("M4", expected, f"{found.measured} (these frames' PSNR: {typical:.1f} dB)", found.passed)]


def doubled(bench: Bench) -> list[Check]:
    """The rate of doubles rises, no other does."""
    if not bench.counted.any():
        return [not_tried("M4", "doubles rise, the rest stays", _NO_OBJECTS)]
    rng = np.random.default_rng(bench.seed)
    when = spoilers.some(bench.counted, FRACTION, rng)
    frames, done = spoilers.duplicate(bench.frames, _masks(bench), when, rng)
    return _rates(bench, frames, "duplicated", done)


def teleported(bench: Bench) -> list[Check]:
    """The rate of objects elsewhere rises, no other does."""
    if not bench.counted.any():
        return [not_tried("M4", "displaced rises, the rest stays", _NO_OBJECTS)]
    rng = np.random.default_rng(bench.seed)
    when = spoilers.some(bench.counted, FRACTION, rng)
    behind = spoilers.background(bench.frames)
    frames, done = spoilers.teleport(bench.frames, _masks(bench), when, behind, rng)
    far = _moved_far(bench, frames, done)
    return _rates(bench, frames, "displaced", far)


def swapped(bench: Bench) -> list[Check]:
    """The rate of swaps rises, no other does."""
    expected = "swapped rises, the rest stays"
    pair = _most_often_apart(bench)
    if pair is None:
        return [not_tried("M4", expected, "there are no two objects of like size that the probe finds")]
    one, other, apart = pair
    when = spoilers.some(apart[..., None], FRACTION, np.random.default_rng(bench.seed))[..., 0]
    frames = spoilers.swap(bench.frames, _masks(bench), one, other, when)
    done = np.zeros(bench.counted.shape, bool)
    done[..., one] = done[..., other] = when
    return _rates(bench, frames, "swapped", done)


def _masks(bench: Bench) -> NDArray[np.float16]:
    assert bench.truth.masks is not None
    return bench.truth.masks


def _present(bench: Bench, frames: NDArray[np.uint8]) -> float:
    return bench.permanence(bench.probe.read(bench.contexts.frames, frames)).all.value


def _compared(expected: str, value: float, wanted: float) -> Check:
    return check("M4", expected, value, wanted - TOLERANCE, wanted + TOLERANCE)


def _rates(bench: Bench, frames: NDArray[np.uint8], fate: str, done: NDArray[np.bool_]) -> list[Check]:
    """The rate of `fate` must rise by the share of object-frames where it was `done`, and no other rate by more."""
    before = bench.permanence(bench.floor).rates
    after = bench.permanence(bench.probe.read(bench.contexts.frames, frames)).rates
    wanted = 100.0 * (done & bench.counted).sum() / bench.counted.sum()
    rises = {name: after[name].value - before[name].value for name in FATES}
    others = max(abs(rises[name]) for name in FATES if name not in ("present", fate))
    return [
        _compared(f"{fate} rises by {wanted:.1f} +- {TOLERANCE:.0f} of 100", rises[fate], wanted),
        check("M4", f"no other rate moves by more than {TOLERANCE:.0f}", others, 0.0, TOLERANCE),
    ]


def _moved_far(bench: Bench, frames: NDArray[np.uint8], done: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of teleported object-frames, those that landed outside the distance that counts as present."""
    views = bench.probe.read(bench.contexts.frames, frames).views
    truth = bench.truth.views
    off = np.hypot(views.row - truth.row, views.column - truth.column)
    return done & ~(off <= NEAR * min(bench.frames.shape[2:4]))


def _most_often_apart(bench: Bench) -> tuple[int, int, NDArray[np.bool_]] | None:
    """Two objects of like size, and in which frames [N,h] both are counted and well apart."""
    views, best = bench.truth.views, None
    for one, other in combinations(np.flatnonzero(bench.counted.any(axis=(0, 1))).tolist(), 2):
        sizes = [np.median(views.area[..., i][bench.counted[..., i]]) for i in (one, other)]
        gaps = np.hypot(*(place[..., one] - place[..., other] for place in (views.row, views.column)))
        apart = bench.counted[..., one] & bench.counted[..., other]
        apart &= gaps > 3 * NEAR * min(bench.frames.shape[2:4])
        if max(sizes) < 1.9 * min(sizes) and (best is None or apart.sum() > best[2].sum()) and apart.any():
            best = one, other, apart
    return best
