"""`worldmodel agent train`: learn in the dream, or in the real environment, and be scored in the real one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from worldmodel.agents.actor_critic import ActorCritic
from worldmodel.agents.learn import Budget, Row, learn
from worldmodel.agents.play import PolicyActor, RandomActor, play
from worldmodel.agents.ppo import PPOConfig
from worldmodel.agents.score import Score, dream_gap
from worldmodel.agents.storage import save_policy
from worldmodel.agents.worlds import DreamWorld, RealWorld, World
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.files import read_json, remove_temporaries, write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig
from worldmodel.run_settings import keep_settings

SCORE_SEED = 1_000_003  # added to the seed: an agent is never scored on the episodes it learned in


@dataclass(frozen=True)
class Scoring:
    """How to score: episodes, seed, and whether actions are sampled instead of the likeliest ones being taken."""

    episodes: int = 50
    seed: int = 0
    sample: bool = False


def train_agent(
    out: str,
    network: Mapping[str, Any],
    ppo: Mapping[str, Any],
    checkpoint: str | None = None,
    world: str = "dream",
    env: Mapping[str, Any] | None = None,
    frames: int | None = None,
    minutes: float | None = None,
    num_worlds: int = 64,
    horizon: int = 96,
    num_inference_steps: int = 1,
    episodes: int = 50,
    sample: bool = False,
    seed: int = 0,
    device: str | None = None,
) -> Path:
    """Train an agent and score it in the real environment; the same command goes on where it was stopped.

    checkpoint: a world model, which also names the real environment; env: EnvConfig fields, for world="real" without a
    checkpoint; network: arguments of ActorCritic; ppo: PPOConfig. Writes policy/, learning_curve.json and score.json
    into `out`; returns the path of score.json.
    """
    on = chosen_device(device)
    model = _model(checkpoint, world, env, on)
    reality = model.world.env if model is not None else EnvConfig.from_json(env or {})
    run, budget, config = Path(out), Budget(frames, minutes), PPOConfig(**ppo)
    settings = {"world": world, "env": reality.to_json(), "num_worlds": num_worlds, "seed": seed}
    settings |= {"network": dict(network), "ppo": dict(ppo)}
    if model is not None and world == "dream":
        _check_horizon(horizon, config.rollout_steps)
        settings |= {"horizon": horizon, "num_inference_steps": num_inference_steps}
        settings["checkpoint"] = str(find_checkpoint(checkpoint or "").resolve())
        place: World = DreamWorld(model, num_worlds, horizon, num_inference_steps, seed)
    else:
        model = None
        place = RealWorld(reality, num_worlds, seed, on)
    try:
        _prepare(run, settings)
        policy = ActorCritic(place.frame_shape, place.action_space, seed=seed, **network).to(on)
        rows = learn(policy, place, config, budget, run / "checkpoints", seed)
    finally:
        place.close()
    trained = {"world": world, "frames": rows[-1].frames, "seconds": rows[-1].seconds}
    _write_learning(run, policy, rows, trained)
    scoring = Scoring(episodes, seed + SCORE_SEED, sample)
    if not _already_scored(run, trained, scoring):
        content = score_agent(policy, reality, scoring, model, num_inference_steps)
        write_json(run / "score.json", {**content, "trained": trained})
    return run / "score.json"


def score_agent(
    policy: ActorCritic,
    env: EnvConfig,
    scoring: Scoring,
    model: WorldModel | None = None,
    num_inference_steps: int = 1,
) -> dict[str, Any]:
    """JSON: "agent" and "random" on the same episodes of the real environment; and with a model the "gap" between
    what the agent earns in dreams and in reality."""
    keep = model.world.num_context_frames if model is not None else 1
    count, seed = scoring.episodes, scoring.seed
    actor = PolicyActor(policy, scoring.sample, seed)
    played = play(actor, env, count, seed, keep=keep, desc="score agent")
    baseline = play(RandomActor(policy.action_space, seed), env, count, seed, desc="score random")
    gap = None if model is None else dream_gap(policy, model, played, num_inference_steps, seed)
    return {
        "format": "worldmodel-agent-score",
        "version": 1,
        "env": env.to_json(),
        "scoring": asdict(scoring),
        "agent": Score.of(played).to_json(),
        "random": Score.of(baseline).to_json(),
        "gap": None if gap is None else gap.to_json(),
    }


def _model(
    checkpoint: str | None, world: str, env: Mapping[str, Any] | None, on: torch.device
) -> WorldModel | None:
    if world not in ("dream", "real"):
        raise WorldModelError(f"world is {world!r}, expected dream or real.")
    if checkpoint is not None and env is not None:
        raise WorldModelError(
            "Give checkpoint= or env=, not both: a checkpoint names its own real environment."
        )
    if checkpoint is None and world == "dream":
        raise WorldModelError("world=dream needs checkpoint=, the folder that `worldmodel train` wrote.")
    if checkpoint is None and env is None:
        raise WorldModelError("world=real needs env= (such as env=push) or the checkpoint= of a world model.")
    return None if checkpoint is None else load_world_model(checkpoint, on)


def _check_horizon(horizon: int, rollout_steps: int) -> None:
    if horizon % rollout_steps and rollout_steps % horizon:
        raise WorldModelError(
            f"horizon={horizon} and ppo.rollout_steps={rollout_steps} must divide: dreams restart between rollouts."
        )


def _write_learning(run: Path, policy: ActorCritic, rows: list[Row], trained: dict[str, Any]) -> None:
    save_policy(policy, run / "policy", trained)
    write_json(run / "learning_curve.json", {"trained": trained, "rows": [asdict(row) for row in rows]})


def _already_scored(run: Path, trained: dict[str, Any], scoring: Scoring) -> bool:
    if not (run / "score.json").exists():
        return False
    old = read_json(run / "score.json")
    return old.get("trained") == trained and old.get("scoring") == asdict(scoring)


def _prepare(run: Path, settings: dict[str, Any]) -> None:
    """Make the run folder, clear what a killed call left half-written, and refuse other settings than its own."""
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    remove_temporaries(run)
    remove_temporaries(run / "checkpoints")
    keep_settings(run / "settings.json", settings)
