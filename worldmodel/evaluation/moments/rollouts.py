"""What travels between contexts, sources, probes and metrics: arrays of N contexts and h steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.real_env import EnvConfig

Floats = NDArray[np.float64]
# predict(context_frames uint8 [N,k,H,W,C], actions as stored [N,k-1+h,...]) -> frames uint8 [N,h,H,W,C].
# The first k-1 actions lie between the context frames, the next one leads to the first frame predicted.
Predict = Callable[[NDArray[np.uint8], NDArray[Any]], NDArray[np.uint8]]

ID, COMBINATION = "id", "combination"


@dataclass(frozen=True)
class Contexts:
    """N moments from which dreams and all reference rows go on (time as in Episode).

    frames uint8 [N,k,H,W,C], of which the last shows states float64 [N,S] (mjSTATE_INTEGRATION); context_actions
    [N,k-1,...] between them; actions [N,h,...] recorded from there on, as ActionCodec stores them. seeds int64 [N] and
    options: what the episode was reset with, which is not part of a state. episodes int64 [N]: contexts of the same
    number are not independent. ids int64 [N]: the dream's noise follows from it. split: "id", "ood:NAME" or
    "combination".
    """

    env: EnvConfig
    frames: NDArray[np.uint8]
    context_actions: NDArray[Any]
    actions: NDArray[Any]
    states: Floats
    seeds: NDArray[np.int64]
    options: tuple[Mapping[str, Any], ...]
    episodes: NDArray[np.int64]
    ids: NDArray[np.int64]
    split: str = ID

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in ("env", "split") and len(value) != len(self.frames):
                raise WorldModelError(f"{item.name} has {len(value)} rows for {len(self.frames)} contexts.")

    def __len__(self) -> int:
        """N."""
        return len(self.frames)

    @property
    def horizon(self) -> int:
        """h, the number of recorded steps after a context."""
        return self.actions.shape[1]

    def select(self, index: NDArray[np.int64]) -> Contexts:
        """The contexts at `index` [K]; repeats are allowed, and dream with the same noise."""
        parts = {
            item.name: getattr(self, item.name)[index]
            for item in fields(self)
            if item.name not in ("env", "options", "split")
        }
        return replace(self, **parts, options=tuple(self.options[i] for i in index.tolist()))

    def repeated(self, times: int) -> Contexts:
        """Every context `times` times running: [N*times], for branches."""
        return self.select(np.repeat(np.arange(len(self)), times))

    def under(self, actions: NDArray[Any]) -> Contexts:
        """The same moments with other actions [N,h,...] to follow."""
        return replace(self, actions=actions)


@dataclass(frozen=True)
class Views:
    """What is seen of n objects, each [..., n]: area in pixels; row and column of the centroid, and spread, the root
    mean square distance of the object's pixels from it, in pixels (all three NaN where nothing is seen)."""

    area: Floats
    row: Floats
    column: Floats
    spread: Floats

    def apply(self, change: Callable[[Floats], Floats]) -> Views:
        """The same change (a selection, a reshape) to every array."""
        return Views(*(change(getattr(self, item.name)) for item in fields(self)))


def views_of(masks: NDArray[np.floating[Any]]) -> Views:
    """From masks [..., n, H, W], the share of each pixel that the object covers, in [0, 1]."""
    height, width = masks.shape[-2:]
    down, across = masks.sum(axis=-1, dtype=np.float64), masks.sum(axis=-2, dtype=np.float64)
    area = down.sum(axis=-1)
    rows, columns = np.arange(height), np.arange(width)
    with np.errstate(divide="ignore", invalid="ignore"):
        row, column = down @ rows / area, across @ columns / area
        power = (down @ rows**2 + across @ columns**2) / area - row**2 - column**2
    return Views(area, row, column, np.sqrt(np.maximum(power, 0.0)))


@dataclass(frozen=True)
class Truth:
    """What the simulator knew of a row.

    features [N,h,D]; views [N,h,n] of the visible parts and unoccluded_area [N,h,n] as in a scene's info, n = 0 where
    the environment tells of no objects; contacts [N,h,8,4] (geom1, geom2, distance [m], normal force [N]; unused rows
    -1); energy [N,h,2] (potential, kinetic [J]). first...: the same of the context's last frame, [N,D] and [N,n]. masks
    float16 [N,h,n,H,W] only where asked for.
    """

    features: Floats
    views: Views
    unoccluded_area: Floats
    contacts: Floats
    energy: Floats
    first: Floats
    first_views: Views
    first_unoccluded_area: Floats
    masks: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Rollouts:
    """One row of a table: what followed the contexts.

    frames uint8 [N,h,H,W,C]; valid bool [N,h], False after the step that ended the true episode (frames and truth then
    repeat the last ones); truth of a row made by a simulator, else None; features [N,h,D] of a row that is made of
    states alone (constant velocity) and has no frames (None); uncertainty [N,h] as a dream tells it.
    """

    name: str
    frames: NDArray[np.uint8] | None
    valid: NDArray[np.bool_]
    truth: Truth | None = None
    features: Floats | None = None
    uncertainty: Floats | None = None


@dataclass(frozen=True)
class Reading:
    """What a probe sees in frames: features [N,h,D] (NaN where it cannot tell) and views [N,h,n]."""

    features: Floats
    views: Views


class Probe(Protocol):
    """A frozen instrument, fitted on real frames only. A feature or object below its gate is not reported."""

    spec: StateSpec
    objects: tuple[str, ...]
    version: str  # a hash of all it depends on

    @property
    def trusted_features(self) -> NDArray[np.bool_]:
        """bool [D]: R^2 of at least 0.95 on held-out real frames."""

    @property
    def trusted_objects(self) -> NDArray[np.bool_]:
        """bool [n]: IoU of at least 0.9 on held-out real frames."""

    def read(self, past: NDArray[np.uint8], frames: NDArray[np.uint8]) -> Reading:
        """Of frames uint8 [N,h,H,W,C] that follow past uint8 [N,k,H,W,C]; each is read with the two before it."""


class Source(Protocol):
    """Whatever continues contexts: a simulator, a dream, a rule, or anybody's model."""

    @property
    def name(self) -> str:
        """Of its row."""

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """contexts.actions decide what follows; contexts of equal id get the same noise."""


@dataclass(frozen=True)
class Predicted:
    """A Source from any callable predict(context_frames, actions) -> frames (see Predict)."""

    name: str
    predict: Predict

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """Raises WorldModelError when the callable returns anything but uint8 frames of the right shape."""
        actions = np.concatenate([contexts.context_actions, contexts.actions], axis=1)
        # Copies: what it does to its arguments, or later to what it returned, must not reach other rows.
        frames = np.array(self.predict(contexts.frames.copy(), actions))
        expected = (len(contexts), contexts.horizon, *contexts.frames.shape[2:])
        if frames.shape != expected or frames.dtype != np.uint8:
            got = f"{frames.dtype} {list(frames.shape)}"
            raise WorldModelError(
                f"{self.name} must return frames uint8 {list(expected)}, one for every action after the context, "
                f"got {got}."
            )
        return Rollouts(self.name, frames, np.ones(expected[:2], bool))


@dataclass(frozen=True)
class Branches:
    """K futures of every context that differ by their actions alone. actions [N,K,h,...]: branch 0 does nothing, branch
    1 is what was recorded, the others are random."""

    contexts: Contexts
    actions: NDArray[Any]

    @property
    def count(self) -> int:
        """K."""
        return self.actions.shape[1]

    def flat(self) -> Contexts:
        """As N*K contexts: what any Source continues; `unflat` undoes it."""
        return self.contexts.repeated(self.count).under(self.actions.reshape(-1, *self.actions.shape[2:]))

    def unflat(self, array: NDArray[Any]) -> NDArray[Any]:
        """[N*K, ...] -> [N, K, ...]."""
        return array.reshape(len(self.contexts), self.count, *array.shape[1:])
