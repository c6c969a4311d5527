"""Fits the map from a dream's free signals to its expected error, and checks it on other episodes.

What a dream is worth depends on how familiar its start is, so the map must have seen unfamiliar worlds too: the
held-out episodes themselves with every picture changed in the same way. A mirrored or dimmed film is a world that the
model never saw, and what truly happens next in it is known. Datasets of other unfamiliar worlds, such as the same scene
with other masses, are held against a map that was fitted without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.evaluation.isotonic import increasing_knots
from worldmodel.evaluation.moments.futures import Futures, draw_futures
from worldmodel.evaluation.psnr import squared_error
from worldmodel.evaluation.reliability import measure_reliability
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Dreams
from worldmodel.model.uncertainty import SIGNALS, Calibration, ErrorMap
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

HELDOUT = "held-out episodes"
BOUND = 0.9  # share of frames whose error the stored upper bound should cover
SHARE = 4  # a familiar set has so many times the moments of an unfamiliar one


@dataclass(frozen=True)
class CalibrationConfig:
    """contexts: held-out moments, half for fitting and half for checking, each dreamt on for `horizon` steps; a quarter
    as many in every unfamiliar world. passes: numbers of denoising passes that get a map; none: the checkpoint's own.
    seed: of all draws."""

    contexts: int = 96
    horizon: int = 32
    passes: Sequence[int] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("contexts", 2 * SHARE), ("horizon", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise WorldModelError(f"{name} is {getattr(self, name)}, expected at least {least}.")
        if any(not isinstance(number, int) or number < 1 for number in self.passes):
            raise WorldModelError(
                f"passes is {list(self.passes)}, expected whole numbers of at least 1: passes=[1,2,4]."
            )


@dataclass(frozen=True)
class Observed:
    """Imagined frames of one world: signals [N,4] (see SIGNALS), error [N] (root mean square, grey levels) and horizon
    [N], the number of steps since the last real frame."""

    signals: Tensor
    error: NDArray[np.float64]
    horizon: NDArray[np.int64]


def calibrate_model(
    model: WorldModel,
    dataset: EpisodeDataset,
    config: CalibrationConfig,
    unfamiliar: Mapping[str, EpisodeDataset] | None = None,
) -> Calibration:
    """Fit on one half of the held-out episodes of `dataset`, check on the other half and on all of `unfamiliar`.

    unfamiliar: name -> episodes of the same environment that training never showed. Raises DatasetError when the
    dataset shows another world or has fewer than two held-out episodes long enough.
    """
    half, other_half = _halves(model, dataset, config)
    fitting, checking = _with_changed_pictures(half), _with_changed_pictures(other_half)
    others = _others(model, unfamiliar or {}, config)
    passes = tuple(config.passes) or (model.num_inference_steps,)
    worlds = [*fitting.values(), *checking.values(), *others.values()]
    total = len(passes) * sum(futures.horizon for futures in worlds)
    maps, measured = {}, {}
    with progress(total=total, desc="calibrating", unit="step") as bar:
        for number in passes:
            seen, kept_back, elsewhere = (
                {name: _observe(model, futures, number, config, bar.update) for name, futures in part.items()}
                for part in (fitting, checking, others)
            )
            maps[number] = fit(list(seen.values()))
            measured[number] = _measured(maps[number], seen, kept_back, elsewhere)
    return Calibration(maps, measured).to(model.device)


def _observe(
    model: WorldModel, futures: Futures, passes: int, config: CalibrationConfig, tick: Callable[[], object]
) -> Observed:
    """Dream every future under its own actions; only steps that really happened count."""
    seeds = config.seed + torch.arange(len(futures))
    dreams = Dreams.begin(model, futures.context_frames, futures.context_actions, seeds, passes)
    signals, errors = [], []
    for action, true in zip(futures.actions.unbind(1), futures.frames.unbind(1), strict=True):
        frame = dreams.step(action).frame
        signals.append(dreams.state.evidence.signals(frame).cpu())
        errors.append(squared_error(float_to_frames(frame).cpu(), true).sqrt())
        tick()
    valid = futures.valid
    horizon = torch.arange(1, futures.horizon + 1).expand_as(valid)
    return Observed(
        torch.stack(signals, dim=1)[valid], torch.stack(errors, dim=1)[valid].numpy(), horizon[valid].numpy()
    )


def fit(observed: Sequence[Observed]) -> ErrorMap:
    """Weights by least squares of log(1 + error) on the logarithms of the signals, none below 0; then isotonic
    regression of the error on the weighted sum.

    The spread between estimates is not there after a single pass: the number of steps stands in for it, as what grows
    along a dream."""
    signals = torch.cat([part.signals for part in observed])
    error = np.concatenate([part.error for part in observed])
    there = dict(zip(SIGNALS, signals.isfinite().all(dim=0).tolist(), strict=True))
    names = [name for name in SIGNALS if there[name] and not (name == "steps" and there["spread"])]
    names, weights = _positive_weights(names, signals, np.log1p(error))
    rough = ErrorMap(dict(zip(names, weights, strict=True)), [0.0, 1.0], [0.0, 1.0])
    scores, errors = increasing_knots(rough.score(signals).double().numpy(), error)
    return ErrorMap(dict(zip(names, weights, strict=True)), scores, errors)


def _positive_weights(
    names: list[str], signals: Tensor, target: NDArray[np.float64]
) -> tuple[list[str], list[float]]:
    """More of any signal must never mean less error: signals with a weight below 0 are left out, worst first."""
    while True:
        columns = [signals[:, SIGNALS.index(name)].double().clamp(min=1e-6).log().numpy() for name in names]
        design = np.stack([*columns, np.ones_like(target)], axis=1)
        weights = np.linalg.lstsq(design, target, rcond=None)[0][:-1]
        if len(names) == 1:
            return names, [max(float(weights[0]), 1e-3)]
        if (weights > 0).all():
            return names, weights.tolist()
        names = [name for place, name in enumerate(names) if place != int(weights.argmin())]


def _measured(
    error_map: ErrorMap,
    seen: Mapping[str, Observed],
    kept_back: Mapping[str, Observed],
    elsewhere: Mapping[str, Observed],
) -> dict[str, Any]:
    """The figures of Reliability on what was not fitted: the held-out episodes as they are and with changed pictures,
    and, if other worlds were given, held-out episodes and these together; then each world alone."""
    factor = _bound(error_map, list(seen.values()))

    def check(observed: Sequence[Observed]) -> dict[str, Any]:
        expected = np.concatenate([_expected(error_map, one) for one in observed])
        error, horizon = (
            np.concatenate([getattr(one, key) for one in observed]) for key in ("error", "horizon")
        )
        return measure_reliability(expected, error, horizon, factor).to_json()

    groups = {"with changed pictures": list(kept_back.values())}
    if elsewhere:
        groups["with unfamiliar worlds"] = [kept_back[HELDOUT], *elsewhere.values()]
    return {
        "bound_factor": factor,
        "bound_share": BOUND,
        "fitted_on": sum(len(one.error) for one in seen.values()),
        "together": {name: check(group) for name, group in groups.items()},
        "worlds": {name: check([one]) for name, one in {**kept_back, **elsewhere}.items()},
    }


def _bound(error_map: ErrorMap, observed: Sequence[Observed]) -> float:
    """Times the expected error, it covers BOUND of the fitting frames."""
    ratios = [part.error / np.maximum(_expected(error_map, part), 1e-6) for part in observed]
    return float(np.quantile(np.concatenate(ratios), BOUND))


def _expected(error_map: ErrorMap, observed: Observed) -> NDArray[np.float64]:
    return error_map(observed.signals).double().numpy()


def _halves(model: WorldModel, dataset: EpisodeDataset, config: CalibrationConfig) -> tuple[Futures, Futures]:
    """Futures of every second held-out episode, and of the others."""
    check_same_world(model, dataset)
    context, heldout = model.world.num_context_frames, dataset.split("heldout")
    usable = heldout[dataset.lengths[heldout] > context - 1]
    if len(usable) < 2:
        raise DatasetError(
            f"{dataset.path} has fewer than two held-out episodes to calibrate on and to check with: collect more."
        )
    first, second = (
        draw_futures(dataset, usable[k::2], context, config.horizon, config.contexts // 2, config.seed + k)
        for k in (0, 1)
    )
    return first, second


def _others(
    model: WorldModel, unfamiliar: Mapping[str, EpisodeDataset], config: CalibrationConfig
) -> dict[str, Futures]:
    context, drawn = model.world.num_context_frames, {}
    for number, (name, dataset) in enumerate(unfamiliar.items(), start=2):
        check_same_world(model, dataset)
        count, everything = config.contexts // SHARE, np.arange(dataset.episodes)
        drawn[name] = draw_futures(dataset, everything, context, config.horizon, count, config.seed + number)
    return drawn


def _with_changed_pictures(futures: Futures) -> dict[str, Futures]:
    """The futures as they are, and a share of them in each changed world."""
    few = _first(futures, max(1, len(futures) // SHARE))
    changed = {
        name: replace(few, context_frames=change(few.context_frames), frames=change(few.frames))
        for name, change in CHANGES.items()
    }
    return {HELDOUT: futures, **changed}


def _first(futures: Futures, count: int) -> Futures:
    return Futures(*(getattr(futures, item.name)[:count] for item in fields(Futures)))


# uint8 [..., H, W, C] -> the same: how a world looks that training never showed.
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored": lambda frames: frames.flip(-2),
    "upside down": lambda frames: frames.flip(-3),
    "other colours": lambda frames: frames.roll(1, dims=-1),
    "negative": lambda frames: 255 - frames,
    "dimmed": lambda frames: frames // 2,
}
