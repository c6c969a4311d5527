"""The numbers of a report as plain JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from worldmodel.evaluation.counterfactual import Counterfactual
from worldmodel.evaluation.evaluation import Evaluation
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
            },
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
