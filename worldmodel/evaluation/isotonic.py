"""Isotonic regression: the best increasing function through noisy points, kept as a few plain numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

KNOTS = 32


def increasing_knots(
    scores: NDArray[np.float64], values: NDArray[np.float64], most: int = KNOTS
) -> tuple[list[float], list[float]]:
    """At least two and at most `most` knots of a piecewise linear, non-decreasing function of the score.

    scores, values [N]. Points are first averaged in groups of equal size, from the lowest score to the highest.
    """
    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, min(most, len(order)))
    x = np.array([scores[group].mean() for group in groups])
    size = np.array([len(group) for group in groups], np.float64)
    y = np.array([values[group].mean() for group in groups])
    # Stored as float32, where close scores may become one.
    _, place = np.unique(x.astype(np.float32), return_inverse=True)
    total = np.bincount(place, size).astype(np.float64)
    x, y = np.bincount(place, size * x) / total, np.bincount(place, size * y) / total
    y = isotonic_regression(y, weights=total).x
    if len(x) == 1:
        return [float(x[0]), float(x[0]) + 1.0], [float(y[0])] * 2
    return x.tolist(), y.tolist()
