"""Policies kept while an agent learns, so that it can be told afterwards how good it was when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.storage import load_policy, policy_about, save_policy
from worldmodel.agents.tasks.play import PolicyActor, play
from worldmodel.errors import WorldModelError
from worldmodel.files import write_json
from worldmodel.real_env import EnvConfig

SNAPSHOTS = "snapshots"  # folder of a run


class Snapshots:
    """Keeps `count` policies in `folder`, the k-th when k / count of the budget of frames is used; 0: none."""

    @classmethod
    def within(cls, folder: Path, count: int, budget: int | None) -> Snapshots | None:
        """None for a count of 0. Raises WorldModelError where frames are not what limits the run."""
        if not count:
            return None
        if budget is None or count < 0:
            raise WorldModelError(
                f"snapshots={count} are spaced by frames: give frames= as the run's end, and a count from 0 on."
            )
        return cls(folder, count, budget)

    def __init__(self, folder: Path, count: int, budget: int) -> None:
        self._folder, self._count, self._budget = folder, count, budget
        self._kept = max((int(path.name) for path in _saved(folder)), default=0)

    def due(self, frames: int) -> bool:
        """Whether one is to be kept after so many frames."""
        return self._part(frames) > self._part(self._kept)

    def keep(self, policy: ActorCritic, frames: int, seconds: float) -> None:
        """Keep this one."""
        about = {"frames": frames, "seconds": seconds}
        save_policy(policy, self._folder / f"{frames:012d}", about)
        self._kept = frames

    def _part(self, frames: int) -> int:
        return frames * self._count // self._budget


@dataclass(frozen=True)
class Snapshot:
    """What a kept policy was worth in the real environment: returns of single episodes, after so many frames and
    seconds of learning."""

    frames: int
    seconds: float
    returns: tuple[float, ...]


def score_snapshots(
    folder: str | Path, env: Mapping[str, Any], episodes: int, seed: int, out: str | Path
) -> list[Snapshot]:
    """Play a few real episodes, the same ones, with every kept policy; also written to `out` as JSON.

    env: EnvConfig fields.
    """
    found, config = [], EnvConfig.from_json(env)
    for path in _saved(Path(folder)):
        policy, about = load_policy(path), policy_about(path)
        played = play(PolicyActor(policy), config, episodes, seed, desc=f"score {int(path.name):,}")
        returns = tuple(float(np.sum(p.rewards)) for p in played)
        found.append(Snapshot(int(about["frames"]), float(about["seconds"]), returns))
    rows: list[dict[str, Any]] = [asdict(snapshot) for snapshot in found]
    write_json(out, {"env": config.to_json(), "episodes": episodes, "seed": seed, "rows": rows})
    return found


def _saved(folder: Path) -> list[Path]:
    return sorted(item for item in folder.glob("[0-9]*") if (item / "policy.json").is_file())
