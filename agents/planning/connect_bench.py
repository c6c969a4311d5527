"""`worldmodel connect bench`: are the actions found in the dream right in the simulator, from state to known state?"""

# P pairs, h steps apart, S random sequences

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from worldmodel.agents.planning.connect import ConnectConfig, connect, random_plans
from worldmodel.agents.planning.planner import PlannerConfig
from worldmodel.arguments import made_of
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.moments.action_changes import scaled_actions
from worldmodel.evaluation.moments.contexts import fresh_contexts
from worldmodel.evaluation.moments.rollouts import Contexts
from worldmodel.evaluation.moments.simulator import restore
from worldmodel.evaluation.moments.subject import Bodies, moving_bodies
from worldmodel.evaluation.statistics import rank_correlation
from worldmodel.files import read_json, write_json
from worldmodel.model.checkpoint import load_world_model, place_of
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress
from worldmodel.report.numbers import plain
from worldmodel.run_settings import keep_settings
from worldmodel.spaces import ActionCodec

DISTANCE = (
    "mean over the moving bodies of the distance of their centres of mass from where they are in the goal's state, in "
    "metres; velocities, and turns about a centre, do not count"
)
BASELINES = ("random_mean", "random_one", "nothing")


def connect_bench(
    checkpoint: str,
    out: str,
    policy: Mapping[str, Any],
    planner: Mapping[str, Any],
    pairs: int = 50,
    steps: int = 20,
    motion: bool = True,
    random_plans: int = 8,
    random_sequences: int = 32,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
) -> Path:
    """Connect `pairs` pairs of states that `policy` took `steps` steps between, in the dream; then take the found
    actions in the simulator, from the first state.

    Beside them: `random_sequences` random action sequences a pair, and none. A pair that is done is never done again,
    whatever stops the whole. Writes pairs/NNN.json and connect_bench.json into `out`; returns the latter. Raises
    EnvError where the world's environment is not made by MuJoCo.
    """
    for name, value, least in (
        ("pairs", pairs, 1),
        ("random_sequences", random_sequences, 1),
        ("steps", steps, 2),
    ):
        if value < least:
            raise WorldModelError(f"{name} is {value}, expected at least {least}.")
    search = made_of(PlannerConfig, planner, "planner")
    config = ConnectConfig(steps, search, motion, random_plans, seed)
    model, folder = load_world_model(checkpoint, chosen_device(device), precision), Path(out)
    told: dict[str, Any] = {
        "checkpoint": place_of(checkpoint),
        "policy": dict(policy),
        "planner": asdict(config.search),
    }
    told |= {"steps": steps, "motion": motion, "random_plans": random_plans, "seed": seed}
    told |= {"random_sequences": random_sequences, "precision": model.precision}
    keep_settings(folder / "settings.json", told)
    contexts = fresh_contexts(model.world.env, pairs, model.world.num_context_frames, steps, seed, policy)
    rows = []
    for number in progress(range(pairs), desc="pairs", unit="pair"):
        path = folder / "pairs" / f"{number:03d}.json"
        if not path.exists():
            write_json(path, plain(_pair(model, contexts, number, config, random_sequences)))
        rows.append(read_json(path))
        # Of those that there are so far: a long run can be looked at before it is done.
        write_json(folder / "connect_bench.json", plain({**told, "pairs": rows, **summary(rows)}))
    _say(summary(rows))
    return folder / "connect_bench.json"


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """In what share of pairs the found actions end nearer than each baseline, and medians of what remains."""
    found = np.array([row["found"] for row in rows])
    told = [row["plausibility"]["distance"]["found"] for row in rows]
    against = {name: np.array([row[name] for row in rows]) for name in BASELINES}
    return {
        "distance": DISTANCE,
        "count": len(rows),
        "nearer_than": {name: float((found < other).mean()) for name, other in against.items()},
        "median": {"found": float(np.median(found))} | {n: float(np.median(o)) for n, o in against.items()},
        "mean": {"found": float(found.mean())} | {n: float(o.mean()) for n, o in against.items()},
        # Whether the distance that the dream tells says how far the simulator is off.
        "rank_correlation_of_dreamt_and_true_distance": rank_correlation(told, found),
        "mean_of_each": {name: _mean_of_each(rows, f"{name}_of_each") for name in ("found", "nothing")},
    }


def _mean_of_each(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    """Of every body, over the pairs in which it is there."""
    names = dict.fromkeys(name for row in rows for name in row[key])
    return {name: float(np.mean([row[key][name] for row in rows if name in row[key]])) for name in names}


def _pair(
    model: WorldModel, contexts: Contexts, number: int, config: ConnectConfig, sequences: int
) -> dict[str, Any]:
    env, codec = contexts.env.make(), model.world.codec
    try:
        recorded = contexts.actions[number]
        simulator = _Simulator(env, contexts, number)
        frames, goal = simulator.play(recorded)
        bodies = simulator.bodies
        config = replace(config, seed=config.seed * 1_000_003 + number)
        made = connect(
            model,
            contexts.frames[number],
            contexts.context_actions[number],
            frames[-2:] if config.motion else frames[-1:],
            config,
            quiet=True,
        )
        found = bodies.apart(simulator.play(made.actions)[1], goal)
        others = random_plans(model, replace(config, random_plans=sequences, seed=config.seed + 500_009))
        random = [bodies.apart(simulator.play(actions)[1], goal).mean() for actions in others]
        nothing = bodies.apart(simulator.play(scaled_actions(recorded, codec, 0.0))[1], goal)
        truth = bodies.apart(simulator.play(recorded)[1], goal)
    finally:
        env.close()
    return {
        "pair": number,
        "found": float(found.mean()),
        "found_of_each": dict(zip(bodies.names, found.tolist(), strict=True)),
        "random_mean": float(np.mean(random)),
        "random_one": float(random[0]),
        "nothing": float(nothing.mean()),
        "nothing_of_each": dict(zip(bodies.names, nothing.tolist(), strict=True)),
        "recorded": float(truth.mean()),
        "plausibility": made.plausibility(),
    }


class _Simulator:
    """The true environment at one context, as often as needed."""

    def __init__(self, env: gym.Env[Any, Any], contexts: Contexts, number: int) -> None:
        self._env, self._contexts, self._number = env, contexts, number
        self._codec = ActionCodec(env.action_space)
        info = restore(env, contexts, number)
        self.bodies: Bodies = moving_bodies(env, info)

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Frames uint8 [h,H,W,C] and where the bodies are at the end; an episode that ends stays as it is then."""
        restore(self._env, self._contexts, self._number)
        codec, frames, ended = self._codec, [], False
        for action in actions:
            if not ended:
                frame, _, ended, _, _ = self._env.step(codec.restore(action))
            frames.append(np.array(frame))
        return np.stack(frames), self.bodies.places(self._env)


def _say(found: dict[str, Any]) -> None:
    nearer, median = found["nearer_than"], found["median"]
    print(
        f"{found['count']} pairs: {median['found']:.3f} m remain (median), {median['random_mean']:.3f} m after random "
        f"actions, {median['nothing']:.3f} m after none; nearer than the mean random sequence in "
        f"{nearer['random_mean']:.0%} of pairs, than one of them in {nearer['random_one']:.0%}"
    )
