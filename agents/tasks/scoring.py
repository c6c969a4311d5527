"""`worldmodel agent score`: what a policy earns in the real environment, and beside it in dreams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.tasks.play import Played, PolicyActor, RandomActor, episode_seed, play
from worldmodel.agents.tasks.score import Score, dream_gap
from worldmodel.agents.trained import TrainedAgent
from worldmodel.data.recorder import make_policy
from worldmodel.data.rollout import LONGEST, record_episode
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.files import write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.model.world_model import WorldModel
from worldmodel.policy import Policy
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig


@dataclass(frozen=True)
class Scoring:
    """How to score: episodes, seed, and whether actions are sampled instead of the likeliest ones being taken."""

    episodes: int = 50
    seed: int = 0
    sample: bool = False

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise WorldModelError(f"{name} is {getattr(self, name)}, expected at least {least}.")


def score_policy(
    out: str,
    policy: Mapping[str, Any],
    checkpoint: str | None = None,
    env: Mapping[str, Any] | None = None,
    episodes: int = 50,
    num_inference_steps: int = 1,
    seed: int = 0,
    device: str | None = None,
) -> Path:
    """Play real episodes with `policy` and, from the same first states, with random actions; writes score.json.

    policy: config of any policy, as for collecting; checkpoint: a world model, which names the real environment and in
    which a trained agent dreams on from the first frames of every episode; env: EnvConfig fields, instead of it.
    """
    if (checkpoint is None) == (env is None):
        raise WorldModelError("Give checkpoint=, a world model, or env= (such as env=push): one of them.")
    scoring = Scoring(episodes, seed, sample=True)
    model = None if checkpoint is None else load_world_model(checkpoint, chosen_device(device))
    reality = model.world.env if model is not None else EnvConfig.from_json(env or {})
    made = _made(policy, reality)
    if isinstance(made, TrainedAgent):
        scoring = replace(scoring, sample=made.sample)
        network = made.network.to(chosen_device(device))
        content = score_agent(network, reality, scoring, model, num_inference_steps)
    else:
        played = play_policy(policy, reality, episodes, seed)
        content = _content(played, reality, scoring)
    path = Path(out) / "score.json"
    source = None if checkpoint is None else str(find_checkpoint(checkpoint))
    write_json(path, {**content, "policy": dict(policy), "checkpoint": source})
    print(summary(content))
    return path


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
    actor = PolicyActor(policy, scoring.sample, scoring.seed)
    played = play(actor, env, scoring.episodes, scoring.seed, keep=keep, desc="score agent")
    content = _content(played, env, scoring)
    if model is not None:
        gap = dream_gap(policy, model, played, num_inference_steps, scoring.seed, scoring.sample)
        content["gap"] = None if gap is None else gap.to_json()
    return content


def play_policy(config: Mapping[str, Any], env: EnvConfig, episodes: int, seed: int) -> list[Played]:
    """Whole episodes of a policy made anew, from its config, for each; their first states are those of `play`."""
    place, played = env.make(), []
    limit = place.get_wrapper_attr("max_episode_steps") or LONGEST
    try:
        for index in progress(range(episodes), desc="score policy", unit="episode"):
            policy = make_policy(config, place.action_space, np.random.default_rng((seed, index)))
            episode = record_episode(place, policy, episode_seed(seed, index), limit, {})
            rewards, ended = episode.rewards.astype(np.float64), bool(episode.terminated[-1])
            played.append(Played(rewards, ended, episode.frames[:1], episode.actions[:0]))
    finally:
        place.close()
    return played


def summary(content: Mapping[str, Any]) -> str:
    """A few lines for the terminal."""
    lines = []
    for name in ("agent", "random"):
        score = content[name]
        (low, high), (least, most) = score["interval"], score["iqm_interval"]
        lines.append(
            f"{name}: mean return {score['mean']:.2f} ({low:.2f} to {high:.2f}), interquartile mean "
            f"{score['iqm']:.2f} ({least:.2f} to {most:.2f}), {len(score['returns'])} episodes"
        )
    if content["gap"] is not None:
        gap = content["gap"]
        low, high = gap["interval"]
        lines.append(
            f"dream minus real return, from the same {gap['pairs']} starts: {gap['difference']:.2f} ({low:.2f} to "
            f"{high:.2f})"
        )
    return "\n".join([*lines, "intervals: 95 %, bootstrap over episodes"])


def _made(config: Mapping[str, Any], env: EnvConfig) -> Policy:
    """The policy, once, to see what it is, and whether it fits."""
    place: gym.Env[Any, Any] = env.make()
    try:
        policy = make_policy(config, place.action_space, np.random.default_rng(0))
        if isinstance(policy, TrainedAgent):
            policy.check_frames(place.observation_space.shape)
        return policy
    finally:
        place.close()


def _content(played: list[Played], env: EnvConfig, scoring: Scoring) -> dict[str, Any]:
    count, seed = scoring.episodes, scoring.seed
    place = env.make()
    random = RandomActor(place.action_space, seed)
    place.close()
    baseline = play(random, env, count, seed, desc="score random")
    return {
        "format": "worldmodel-agent-score",
        "version": 1,
        "env": env.to_json(),
        "scoring": asdict(scoring),
        "agent": Score.of(played).to_json(),
        "random": Score.of(baseline).to_json(),
        "gap": None,
    }
