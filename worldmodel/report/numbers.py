"""The numbers of a report as plain JSON."""

from __future__ import annotations

import math
import sys
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from worldmodel.evaluation.evaluation import Evaluation
from worldmodel.evaluation.looks import COLOUR, SHARPNESS
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.psnr import CONVENTION
from worldmodel.machine import Machine


def evaluation_numbers(result: Evaluation) -> dict[str, Any]:
    """Everything measured except the frames."""
    futures, noisy, other = result.films.futures, result.noisy, result.counterfactual
    played = noisy and {
        "share": noisy.share,
        "repeats_exactly_without_noise": noisy.frames is not None,
        "restored_by": noisy.restored_by,
        "reason": noisy.reason,
    }
    chance, long = result.chance, result.long_dreams
    random = None if chance is None or isinstance(chance, NotMeasured) else chance.deterministic
    content = {
        "fidelity": {
            **_all(result.fidelity),
            "horizon": result.fidelity.horizon,
            "convention": CONVENTION,
            "simulator_with_action_noise": played,
        },
        "long_dreams": long
        and {
            **_all(long, "shown", "films", "shown_steps"),
            "colour_convention": COLOUR,
            "gradient_convention": SHARPNESS,
        },
        "permanence": result.permanence and _all(result.permanence, "films"),
        "chance": chance
        and {
            **_all(chance, "context", "dream_frames", "real_frames", "shown_step"),
            **({} if random is None else {"deterministic": random}),
        },
        "counterfactual": {
            "actions": other.names,
            "contexts": other.contexts,
            "dream_separation": other.dream_separation,
            "restored_by": other.real and other.real.restored_by,
            "reason": other.reason,
            "response": other.response,
        },
        "cost": result.cost,
        "films": {"episodes": futures.episodes.tolist(), "starts": futures.starts.tolist()},
    }
    return dict(plain(content))


def written(kind: str, machine: Machine) -> dict[str, Any]:
    """What every JSON of a report begins with."""
    return {
        "format": kind,
        "version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["worldmodel", *sys.argv[1:]]),
        "machine": plain(machine),
    }


def plain(value: Any) -> Any:
    """As JSON holds it: dataclasses become objects, arrays and tuples lists, NaN and infinities null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = _all(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _all(value: Any, *but: str) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name not in but}
