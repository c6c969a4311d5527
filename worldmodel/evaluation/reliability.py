"""Is the error a model expects of itself the error it makes?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.statistics import rank_correlation

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Expected against true errors (both root mean square, grey levels) of single frames.

    spearman: rank correlation over all frames; spearman_by_horizon: at each number of steps, which credits nothing for
    knowing that later is worse (None where it cannot be said); within_horizon: their mean. ence: expected normalised
    calibration error (Levi et al., 2022), the mean over equally full bins of |expected - true| / expected; coverage:
    share of frames whose error is at most `bound_factor` times the expected one. bins: (expected, true) means.
    """

    frames: int
    spearman: float | None
    spearman_by_horizon: list[float | None]
    within_horizon: float | None
    mean_expected: float
    mean_true: float
    ence: float
    coverage: float
    bins: list[tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def measure_reliability(
    expected: NDArray[np.float64], true: NDArray[np.float64], horizon: NDArray[np.int64], bound_factor: float
) -> Reliability:
    """expected, true, horizon [N]: one frame each."""
    steps = range(1, int(horizon.max()) + 1)
    by_horizon = [rank_correlation(expected[horizon == h], true[horizon == h]) for h in steps]
    known = [value for value in by_horizon if value is not None]
    groups = np.array_split(np.argsort(expected, kind="stable"), min(BINS, len(expected)))
    bins = [(float(expected[group].mean()), float(true[group].mean())) for group in groups]
    return Reliability(
        frames=len(true),
        spearman=rank_correlation(expected, true),
        spearman_by_horizon=by_horizon,
        within_horizon=float(np.mean(known)) if known else None,
        mean_expected=float(expected.mean()),
        mean_true=float(true.mean()),
        ence=float(np.mean([abs(a - b) / max(a, 1e-6) for a, b in bins])),
        coverage=float((true <= bound_factor * expected).mean()),
        bins=bins,
    )
