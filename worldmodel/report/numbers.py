"""The numbers of a report as plain JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from worldmodel.evaluation.action_noise import NoisySimulator
from worldmodel.evaluation.chance import Chance
from worldmodel.evaluation.counterfactual import Counterfactual
from worldmodel.evaluation.evaluation import Evaluation
from worldmodel.evaluation.long_dreams import LongDreams
from worldmodel.evaluation.looks import COLOUR, SHARPNESS
from worldmodel.evaluation.memory import Permanence
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.psnr import CONVENTION
from worldmodel.report.agents import AgentResult


def evaluation_numbers(result: Evaluation) -> dict[str, Any]:
    """Everything measured except the frames."""
    futures = result.films.futures
    return plain(
        {
            "fidelity": {
                **asdict(result.fidelity),
                "horizon": result.fidelity.horizon,
                "convention": CONVENTION,
                "simulator_with_action_noise": _noisy(result.noisy),
            },
            "long_dreams": _long_dreams(result.long_dreams),
            "permanence": _permanence(result.permanence),
            "chance": _chance(result.chance),
            "counterfactual": _counterfactual(result.counterfactual),
            "cost": asdict(result.cost),
            "films": {"episodes": futures.episodes.tolist(), "starts": futures.starts.tolist()},
        }
    )


def agent_numbers(agents: list[AgentResult]) -> dict[str, Any]:
    """Scores and learning curves by name."""
    return plain({agent.name: agent.to_json() for agent in agents})


def plain(value: Any) -> Any:
    """As JSON holds it: NaN and infinities become null, tuples lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _counterfactual(result: Counterfactual) -> dict[str, Any]:
    return {
        "actions": result.names,
        "contexts": result.contexts,
        "dream_separation": result.dream_separation,
        "restored_by": result.real.restored_by if result.real else None,
        "reason": result.reason,
        "response": asdict(result.response) if result.response else None,
    }


def _noisy(result: NoisySimulator | None) -> dict[str, Any] | None:
    if result is None:
        return None
    exact = result.frames is not None
    return {
        "share": result.share,
        "repeats_exactly_without_noise": exact,
        "restored_by": result.restored_by,
        "reason": result.reason,
    }


def _long_dreams(result: LongDreams | None) -> dict[str, Any] | None:
    if result is None:
        return None
    pictures = ("shown", "films", "shown_steps")
    numbers = asdict(replace(result, shown=np.empty(0), films=np.empty(0)))
    kept = {key: value for key, value in numbers.items() if key not in pictures}
    return {**kept, "colour_convention": COLOUR, "gradient_convention": SHARPNESS}


def _permanence(result: Permanence | NotMeasured | None) -> dict[str, Any] | None:
    if not isinstance(result, Permanence):
        return asdict(result) if result else None
    return {"durations": [asdict(duration) for duration in result.durations], "reach": result.reach}


def _chance(result: Chance | NotMeasured | None) -> dict[str, Any] | None:
    if not isinstance(result, Chance):
        return asdict(result) if result else None
    pictures, none = ("context", "dream_frames", "real_frames", "shown_step"), np.empty(0)
    numbers = asdict(replace(result, context=none, dream_frames=none, real_frames=none))
    kept = {key: value for key, value in numbers.items() if key not in pictures}
    return {**kept, "deterministic": result.deterministic}
