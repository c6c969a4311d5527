"""Which true features a picture can tell at all: nobody is asked where a ball is that cannot be seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.moments.rollouts import Truth
from worldmodel.evaluation.moments.state_spec import StateSpec

SEEN = 0.5  # of its usual area: an object that shows less is not in plain sight
FRAMES = 3  # in a row, as many as a probe reads


def in_plain_sight(truth: Truth, spec: StateSpec, objects: tuple[str, ...]) -> NDArray[np.float64]:
    """The true features [N,h,D], NaN where their object is not in plain sight, now or in the two frames before.

    Decided by the truth alone: what a dream loses is not excused. Features of what has no mask are always asked for.
    """
    features = truth.features.copy()
    for thing, name in enumerate(objects):
        whole = truth.unoccluded_area[..., thing]
        if not (whole > 0).any():
            continue
        area = np.concatenate([truth.first_views.area[:, None], truth.views.area], axis=1)[..., thing]
        seen = area >= SEEN * np.median(whole[whole > 0])
        plain = seen[:, 1:].copy()
        for before in range(1, FRAMES):
            # What was before the context's last frame is not known, and taken to be as there.
            plain &= np.pad(seen, ((0, 0), (before, 0)), mode="edge")[:, 1 : plain.shape[1] + 1]
        own = np.array([feature.object == name for feature in spec.features])
        features[np.logical_and.outer(~plain, own)] = np.nan
    return features
