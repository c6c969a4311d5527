"""Agents as `worldmodel agent train` leaves them: their real returns and how they learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.errors import WorldModelError
from worldmodel.files import read_json

SCORE, CURVE = "score.json", "learning_curve.json"
RANDOM = "random actions"


@dataclass(frozen=True)
class Gap:
    """Mean returns of one agent from the same starts in the dream and in reality; 95 % interval of the difference."""

    dream: float
    real: float
    interval: tuple[float, float]
    pairs: int


@dataclass(frozen=True)
class AgentResult:
    """One agent: returns of its real episodes, their mean with its 95 % interval, the share of episodes that ended by
    themselves; where it learned ("dream", "real", or None), from how many frames; its learning curve's rows."""

    name: str
    returns: list[float]
    mean: float
    interval: tuple[float, float]
    terminated_share: float
    world: str | None = None
    frames: int = 0
    seconds: float = 0.0
    gap: Gap | None = None
    curve: tuple[dict[str, float], ...] = ()

    @property
    def imagined(self) -> bool:
        """Whether it learned in a dream."""
        return self.world == "dream"


def read_agents(folders: Mapping[str, str]) -> list[AgentResult]:
    """The agents in these folders by name, spaces for underscores; then random actions as scored beside the first.

    Raises WorldModelError naming a file that is missing or not what it should be."""
    agents: list[AgentResult] = []
    baseline: list[AgentResult] = []
    for name, folder in folders.items():
        score, curve = read_json(Path(folder) / SCORE), read_json(Path(folder) / CURVE)
        try:
            agents.append(_agent(name.replace("_", " "), score, curve))
            baseline = baseline or [_scored(RANDOM, score["random"])]
        except (KeyError, TypeError, ValueError) as error:
            raise WorldModelError(
                f"{folder} holds no score of an agent ({error!r}): write it with `worldmodel agent train`."
            ) from error
    return agents + baseline


def _agent(name: str, score: dict[str, Any], curve: dict[str, Any]) -> AgentResult:
    gap = score["gap"]
    return _scored(
        name,
        score["agent"],
        world=score["trained"]["world"],
        frames=int(score["trained"]["frames"]),
        seconds=float(score["trained"]["seconds"]),
        gap=gap and Gap(gap["dream"], gap["real"], (gap["interval"][0], gap["interval"][1]), gap["pairs"]),
        curve=tuple(curve["rows"]),
    )


def _scored(name: str, score: dict[str, Any], **learned: Any) -> AgentResult:
    low, high = score["interval"]
    return AgentResult(
        name, score["returns"], score["mean"], (low, high), score["terminated_share"], **learned
    )
