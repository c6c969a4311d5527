"""Scores of what learns nothing of its own: random actions, and the planner in a world model's dreams."""

# K dreams, D size of an encoded action

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.agents.learning.train import SCORE_SEED
from worldmodel.agents.planner_actor import PlannerActor, load_planner
from worldmodel.agents.planning.planner import Planner
from worldmodel.agents.tasks.play import Actor, Played, RandomActor, play
from worldmodel.agents.tasks.score import Chooser, Score, gap_of
from worldmodel.agents.tasks.scoring import Scoring
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.files import write_json
from worldmodel.model.checkpoint import load_world_model
from worldmodel.model.dreams import Dreams
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig


def score_random(
    out: str,
    checkpoint: str | None = None,
    env: Mapping[str, Any] | None = None,
    num_inference_steps: int = 1,
    episodes: int = 50,
    seed: int = 0,
    device: str | None = None,
) -> Path:
    """Score uniform actions in the real environment that `checkpoint`, a world model, names, and in its dreams; with
    `env` (EnvConfig fields) instead in reality alone. Writes score.json into `out`; returns its path."""
    if (checkpoint is None) == (env is None):
        raise WorldModelError("Give checkpoint=, a world model, or env= (such as env=push): one of them.")
    scoring = Scoring(episodes, seed + SCORE_SEED, sample=True)
    model = None if checkpoint is None else load_world_model(checkpoint, chosen_device(device))
    config = EnvConfig.from_json(env or {}) if model is None else model.world.env
    place = config.make()
    actor = RandomActor(place.action_space, scoring.seed)
    place.close()
    played = _play(actor, config, scoring, model, "score random")
    choose = None if model is None else _at_random(model, seed)
    return _write(out, config, scoring, played, model, choose, num_inference_steps, {})


def score_planner(
    out: str,
    checkpoint: str,
    planner: Mapping[str, Any],
    critic: str | None = None,
    episodes: int = 50,
    at_once: int = 16,
    gap_episodes: int = 8,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
) -> Path:
    """Score a planner in the real environment that `checkpoint`, a world model, names.

    planner, critic: see planning_policy; at_once: episodes planned for in one batch; gap_episodes: of which so many are
    also planned for in dreams; precision: in which to dream, see load_world_model.
    Writes score.json into `out`, with what it cost; returns its path.
    """
    scoring = Scoring(episodes, seed + SCORE_SEED)
    if gap_episodes < 0:
        raise WorldModelError(f"gap_episodes is {gap_episodes}, expected at least 0.")
    model, made = load_planner(checkpoint, planner, critic, chosen_device(device), precision)
    actor = PlannerActor(model, made, scoring.seed)
    began = time.monotonic()
    played = _play(actor, model.world.env, scoring, model, "score planner", at_once)
    cost = {
        "planner": asdict(made.config),
        "frames_per_plan": made.config.frames_per_plan,
        "plans": actor.plans,
        "frames_imagined": actor.frames_imagined,
        "seconds": time.monotonic() - began,
    }
    passes = made.config.num_inference_steps
    choose = _planning(made, scoring.seed) if gap_episodes else None
    few = played[:gap_episodes]
    return _write(out, model.world.env, scoring, played, model, choose, passes, {"cost": cost}, few)


def _play(
    actor: Actor,
    env: EnvConfig,
    scoring: Scoring,
    model: WorldModel | None,
    desc: str,
    at_once: int = 32,
) -> list[Played]:
    keep = 1 if model is None else model.world.num_context_frames
    return play(actor, env, scoring.episodes, scoring.seed, keep=keep, at_once=at_once, desc=desc)


def _write(
    out: str,
    env: EnvConfig,
    scoring: Scoring,
    played: list[Played],
    model: WorldModel | None,
    choose: Chooser | None,
    passes: int,
    more: dict[str, Any],
    pairs: list[Played] | None = None,
) -> Path:
    gap = None
    if model is not None and choose is not None:
        gap = gap_of(choose, model, played if pairs is None else pairs, passes, scoring.seed)
    content = {
        "format": "worldmodel-agent-score",
        "version": 1,
        "env": env.to_json(),
        "scoring": asdict(scoring),
        "agent": Score.of(played).to_json(),
        "gap": None if gap is None else gap.to_json(),
    }
    path = Path(out) / "score.json"
    write_json(path, {**content, **more})
    return path


def _at_random(model: WorldModel, seed: int) -> Chooser:
    """Uniform actions of the world's space, from one stream."""
    codec, space = model.world.codec, model.world.action_space
    rng = np.random.default_rng((seed, SCORE_SEED))
    space.seed(int(rng.integers(2**31)))

    def choose(dreams: Dreams) -> Tensor:
        stored = np.stack([codec.store(space.sample()) for _ in range(len(dreams))])
        return torch.from_numpy(codec.encode(stored)).to(model.device)

    return choose


def _planning(planner: Planner, seed: int) -> Chooser:
    """Plans from where each dream is, as it would from where reality is."""
    pending: list[Tensor] = []
    mean: Tensor | None = None
    decision = 0

    def choose(dreams: Dreams) -> Tensor:
        nonlocal mean, decision
        if not pending:
            count, device = len(dreams), dreams.model.device
            seeds = seed * 1_000_003 + torch.arange(count, device=device)
            start = planner.begin(count) if mean is None else mean
            plans = planner.plan(dreams.state, start, seeds, torch.full_like(seeds, decision))
            mean, decision = planner.shift(plans.mean), decision + 1
            pending.extend(plans.steps[:, : planner.config.replan_every].unbind(dim=1))
        return pending.pop(0)

    return choose
