"""Does the dream call the end of an episode when it comes?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.statistics import Bootstrap, Interval, separation, share

THRESHOLD = 0.5  # a termination probability above this counts as "over"
TOLERANCE = 1  # a call so many steps from the true end is right


@dataclass(frozen=True)
class Calls:
    """Each dream calls its end at most once: at the first step whose probability is above THRESHOLD.

    dreams: how many; ends: those whose truth ends; called: those that call an end up to TOLERANCE steps after the true
    one, or, where the truth goes on, as far as it is known; hits: those that call it within TOLERANCE steps of the true
    end. precision = hits / called, recall = hits / ends, with 95 % intervals over episodes (None without any).
    """

    dreams: int
    ends: int
    called: int
    hits: int
    precision: Interval | None
    recall: Interval | None


@dataclass(frozen=True)
class Endings:
    """whole: of dreams of whole futures; near: of dreams begun a few steps before a true end (None without ends).

    Over all steps of both: how many, how many of them ended; separation: how often an end gets a higher probability
    than another step (area under the ROC curve, chance 0.5); the mean probability at true ends and elsewhere.
    """

    whole: Calls
    near: Calls | None
    steps: int
    ends: int
    separation: float | None
    probability_at_ends: float | None
    probability_elsewhere: float | None


def measure_endings(
    whole: tuple[Tensor, Futures], near: tuple[Tensor, Futures] | None = None, seed: int = 0
) -> Endings:
    """Imagined probabilities [B,h or more] against the ends of these futures."""
    sets = [whole] if near is None else [whole, near]
    scores = np.concatenate([_of_valid(chance, futures) for chance, futures in sets])
    true = np.concatenate([futures.terminated[futures.valid].numpy() for _, futures in sets])
    return Endings(
        whole=count_calls(*whole, seed),
        near=None if near is None else count_calls(*near, seed),
        steps=len(true),
        ends=int(true.sum()),
        separation=separation(scores, true),
        probability_at_ends=_mean(scores[true]),
        probability_elsewhere=_mean(scores[~true]),
    )


def count_calls(chance: Tensor, futures: Futures, seed: int) -> Calls:
    """chance [B,h']: probability of the end after each imagined step; h' may be more than the futures' h."""
    over = chance.numpy() > THRESHOLD
    last = futures.valid.sum(1).numpy() - 1
    ends = futures.terminated.numpy()[np.arange(len(last)), last]
    first = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1] + TOLERANCE)
    called = first <= last + TOLERANCE * ends
    hits = called & ends & (np.abs(first - last) <= TOLERANCE)
    bootstrap = Bootstrap(futures.episodes.numpy(), seed=seed)
    return Calls(
        len(last),
        int(ends.sum()),
        int(called.sum()),
        int(hits.sum()),
        bootstrap.one(share(hits, called)).known,
        bootstrap.one(share(hits, ends)).known,
    )


def _of_valid(chance: Tensor, futures: Futures) -> np.ndarray:
    return chance[:, : futures.horizon][futures.valid].double().numpy()


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
