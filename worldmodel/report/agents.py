"""Agents as `worldmodel agent` leaves them: their real returns and how they learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.errors import WorldModelError
from worldmodel.files import read_json

SCORE, CURVE = "score.json", "learning_curve.json"


@dataclass(frozen=True)
class AgentResult:
    """One agent: returns of its real episodes, their mean with a 95 % interval, and the rows of its learning curve."""

    name: str
    returns: list[float]
    mean: float
    interval: tuple[float, float]
    score: dict[str, Any]
    curve: list[dict[str, float]]

    @property
    def imagined(self) -> bool:
        """Whether it learned in a dream."""
        return self.score.get("world") == "dream"


def read_agents(folders: Mapping[str, str]) -> list[AgentResult]:
    """The agents in these folders, by the name they are shown with. Raises WorldModelError naming a missing file."""
    return [_read(name, Path(folder)) for name, folder in folders.items()]


def _read(name: str, folder: Path) -> AgentResult:
    score = read_json(folder / SCORE)
    try:
        low, high = score["interval"]
        returns, mean = [float(value) for value in score["returns"]], float(score["mean"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorldModelError(
            f"{folder / SCORE} is no score of an agent ({error!r}): write it with `worldmodel agent`."
        ) from error
    curve = read_json(folder / CURVE) if (folder / CURVE).exists() else []
    return AgentResult(name, returns, mean, (low, high), score, curve)
