"""What a physics report says, as data: one page and one JSON are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.controls import Control
from worldmodel.evaluation.metrics.trust import Spread, Warned
from worldmodel.evaluation.moments.grounds import ProbeNote
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.rows.closed_loop import ClosedLoop
from worldmodel.evaluation.rows.measures import Measured, Number
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import Interval

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Order:
    """Mean paired difference of nRMSE, worse minus better: its interval lies above 0 where the rows stand as
    expected."""

    better: str
    worse: str
    difference: Interval


@dataclass(frozen=True)
class Split:
    """One set of contexts (id, ood:..., combination) and all rows on it. gaps: "A - B" -> measure -> paired
    difference of two models."""

    name: str
    contexts: int
    episodes: int
    horizon: int
    rows: Mapping[str, Measured]
    orders: list[Order]
    gaps: Mapping[str, Mapping[str, Number]]
    why: str = ""


@dataclass(frozen=True)
class Answer:
    """M6 of one row."""

    numbers: Mapping[str, Number]
    curve: list[Interval]


@dataclass(frozen=True)
class ModelFindings:
    """What is measured of a model alone. arrows and mirrors: M7 by name; spread, warned: M8; closed_loop: M9."""

    symmetry: Mapping[str, Number]
    spread: Spread | NotMeasured
    warned: Warned | NotMeasured
    closed_loop: ClosedLoop | NotMeasured


@dataclass(frozen=True)
class Fan:
    """Futures of one state under eight action sequences: last frames of the simulator and of every model, [8,H,W,C]."""

    step: int
    simulator: Pictures
    models: Mapping[str, Pictures]


@dataclass(frozen=True)
class Strip:
    """An object that goes out of sight and comes back: frames at `steps`, real and of every model [S,H,W,C], and
    where it should be, row and column [S,2] (NaN while it is hidden)."""

    name: str
    steps: list[int]
    real: Pictures
    models: Mapping[str, Pictures]
    places: NDArray[np.float64]


@dataclass(frozen=True)
class Film:
    """A context among the worst of a model: real and dreamt frames [h,H,W,C]; error: its `measure` over all steps,
    "nrmse", or "psnr" [dB] where no state can be read."""

    model: str
    context: int
    episode: int
    error: float
    measure: str
    real: Pictures
    dream: Pictures


@dataclass(frozen=True)
class PhysicsReport:
    """Everything. controls: the negative controls as they came out here; untrusted: metric ("M1") -> the one it
    failed."""

    env: str
    models: list[str]
    config: PhysicsConfig
    probe: ProbeNote
    splits: list[Split]
    answers: Mapping[str, Answer]
    answered: int
    findings: Mapping[str, ModelFindings]
    fans: list[Fan] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)
    films: list[Film] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    untrusted: Mapping[str, str] = field(default_factory=dict)
