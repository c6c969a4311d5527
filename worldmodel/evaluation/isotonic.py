"""Isotonic regression: the best increasing function through noisy points, kept as a few plain numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KNOTS = 32


def isotonic_regression(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The non-decreasing sequence [N] closest to `values` in weighted squares, by pooling adjacent violators (Ayer et
    al., 1955)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, total, length = value, weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, mass, count = blocks.pop()
            mean = (before * mass + mean * total) / (mass + total)
            total, length = mass + total, count + length
        blocks.append((mean, total, length))
    return np.concatenate([np.full(length, mean) for mean, _, length in blocks])


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
    y = isotonic_regression(y, total)
    if len(x) == 1:
        return [float(x[0]), float(x[0]) + 1.0], [float(y[0])] * 2
    return x.tolist(), y.tolist()
