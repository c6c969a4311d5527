"""How wrong an imagined frame is expected to be: signals that a dream gives for free, and the map to an error.

The map is fitted on held-out episodes by worldmodel.evaluation.calibration and stored in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.errors import CheckpointError

SIGNALS = ("travel", "residual", "spread", "steps")
UNIT = "expected root mean square error of the frame, in grey levels of 255"
_EVIDENCE = ("origin", "residual", "spread", "steps")
_SMALLEST = 1e-6  # signals enter by their logarithm


@dataclass
class Evidence:
    """What B dreams have shown of their own error since their last real frame; `observe` advances it in place.

    origin: float [B,C,H,W] in [-1,1], that frame; residual: float [B], how far the memory's pass over the known frames
    missed them (root mean square; NaN where there was only one frame); spread: float [B], sum of the squared distances
    between each step's last two denoising estimates (NaN after a step of a single pass); steps: float [B], how many.
    """

    origin: Tensor
    residual: Tensor
    spread: Tensor
    steps: Tensor

    @classmethod
    def begin(cls, origin: Tensor, residual: Tensor) -> Evidence:
        """No step yet."""
        return cls(origin.clone(), residual, torch.zeros_like(residual), torch.zeros_like(residual))

    def observe(self, spread: Tensor) -> None:
        """One more step, whose last two estimates differ by `spread` [B]."""
        self.spread += spread.float().square()
        self.steps += 1

    def take_in(self, frame: Tensor, error: Tensor, remembered: Tensor) -> None:
        """The last real frame is now this one [B,C,H,W], which the memory's pass over it missed by the mean square
        `error` [B]; the residual so far is of `remembered` steps int64 [B]. Where the memory is full that is a running
        mean, in which a step that is forgotten fades."""
        squared = (self.residual.square() * remembered + error) / (remembered + 1)
        self.residual.copy_(torch.where(self.residual.isnan(), error, squared).sqrt())
        self.origin.copy_(frame)
        self.spread.zero_()
        self.steps.zero_()

    def signals(self, frame: Tensor) -> Tensor:
        """float [B,4], in the order of SIGNALS, for the dreams' current frames float [B,C,H,W]. travel: how far the
        frame is from the last real one (root mean square)."""
        travel = (frame - self.origin).square().flatten(1).mean(dim=1).sqrt()
        return torch.stack([travel, self.residual, self.spread.sqrt(), self.steps], dim=1)

    def select(self, index: Tensor) -> Evidence:
        """Copies of the dreams at `index` (int64 [K], repeats allowed)."""
        return Evidence(self.origin[index], self.residual[index], self.spread[index], self.steps[index])

    def assign(self, index: Tensor, other: Evidence) -> None:
        """Overwrite the dreams at `index` [K] with the K dreams of `other`."""
        for name in _EVIDENCE:
            getattr(self, name)[index] = getattr(other, name)

    def to(self, device: torch.device) -> Evidence:
        """The same on `device`."""
        return Evidence(*(getattr(self, name).to(device) for name in _EVIDENCE))

    @classmethod
    def concatenate(cls, parts: Sequence[Evidence]) -> Evidence:
        """The dreams of all parts, in order."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in _EVIDENCE))


class ErrorMap(nn.Module):
    """Signals -> score -> expected error: a weighted sum of logarithms, then a piecewise linear increasing function.

    weights: signal -> weight, all above 0; what is not named is not used. scores: at least two, increasing; errors: one
    at each, in grey levels, not decreasing: the knots that isotonic regression left. Constant beyond the ends.
    """

    used: Tensor
    weights: Tensor
    scores: Tensor
    errors: Tensor

    def __init__(
        self, weights: Mapping[str, float], scores: Sequence[float], errors: Sequence[float]
    ) -> None:
        super().__init__()
        self._check(weights, scores, errors)
        for name, values in (("scores", scores), ("errors", errors), ("weights", list(weights.values()))):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
        self.register_buffer("used", torch.tensor([SIGNALS.index(name) for name in weights]))

    def score(self, signals: Tensor) -> Tensor:
        """[B,4] -> [B]; NaN where a signal that is used is NaN."""
        return signals[:, self.used].clamp(min=_SMALLEST).log() @ self.weights

    def forward(self, signals: Tensor) -> Tensor:
        """[B,4] -> expected error [B] in grey levels."""
        score = self.score(signals)
        right = torch.searchsorted(self.scores, score).clamp(1, len(self.scores) - 1)
        below, above = self.scores[right - 1], self.scores[right]
        share = ((score - below) / (above - below)).clamp(0, 1)
        return torch.lerp(self.errors[right - 1], self.errors[right], share)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; `from_json` inverts it."""
        names = [SIGNALS[index] for index in self.used.tolist()]
        return {
            "weights": dict(zip(names, self.weights.tolist(), strict=True)),
            "scores": self.scores.tolist(),
            "errors": self.errors.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ErrorMap:
        return cls(content["weights"], content["scores"], content["errors"])

    @staticmethod
    def _check(weights: Mapping[str, float], scores: Sequence[float], errors: Sequence[float]) -> None:
        numbers = [*weights.values(), *scores, *errors]
        known = bool(weights) and set(weights) <= set(SIGNALS) and all(map(math.isfinite, numbers))
        rising = all(a < b for a, b in pairwise(scores))
        growing = all(a <= b for a, b in pairwise(errors))
        if not known or len(scores) != len(errors) or len(scores) < 2 or not rising or not growing:
            raise CheckpointError(
                "The stored map from signals to the expected error is not an increasing function of them: "
                "write it anew with `worldmodel calibrate`."
            )


@dataclass(frozen=True)
class Calibration:
    """maps: number of denoising passes -> its map (their spreads differ); measured: the figures of the held-out check,
    number of passes -> plain JSON, as `worldmodel calibrate` reports them."""

    maps: Mapping[int, ErrorMap]
    measured: Mapping[int, Mapping[str, Any]]

    def expected_error(self, signals: Tensor, num_inference_steps: int) -> Tensor:
        """[B] in grey levels; NaN for a number of passes without a map."""
        error_map = self.maps.get(num_inference_steps)
        return unknown(signals) if error_map is None else error_map(signals)

    def to(self, device: str | torch.device) -> Calibration:
        """Move the maps."""
        for error_map in self.maps.values():
            error_map.to(device)
        return self

    def to_json(self) -> dict[str, Any]:
        return {
            "unit": UNIT,
            "passes": {
                str(passes): {"map": error_map.to_json(), "measured": dict(self.measured[passes])}
                for passes, error_map in sorted(self.maps.items())
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        entries = {int(passes): entry for passes, entry in content["passes"].items()}
        return cls(
            {passes: ErrorMap.from_json(entry["map"]) for passes, entry in entries.items()},
            {passes: entry["measured"] for passes, entry in entries.items()},
        )


def unknown(signals: Tensor) -> Tensor:
    """NaN for each of the B dreams: nothing is pretended without a map."""
    return signals.new_full((len(signals),), torch.nan)
