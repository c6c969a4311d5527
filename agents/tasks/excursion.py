"""One policy from the same real starts in reality and in the dream, each time acting on what it sees there."""

# K starts, T steps, n context frames

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldmodel.agents.tasks.play import episode_seed
from worldmodel.data.recorder import make_policy
from worldmodel.data.rollout import LONGEST, record_episode
from worldmodel.episode import Episode
from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Dreams
from worldmodel.model.world_model import WorldModel
from worldmodel.policy import Policy
from worldmodel.progress import progress


@dataclass(frozen=True)
class Course:
    """What happened from the end of the context on: frames uint8 [T+1,H,W,C], the first of them the context's last;
    rewards [T]; ended: by itself, at the last step."""

    frames: np.ndarray
    rewards: np.ndarray
    ended: bool

    @property
    def returns(self) -> np.ndarray:
        """The sum of rewards after each frame, [T+1]."""
        return np.concatenate([[0.0], np.cumsum(self.rewards)])


@dataclass(frozen=True)
class Pair:
    """A context, uint8 [n,H,W,C], and what followed in either world."""

    context: np.ndarray
    real: Course
    dream: Course


def both_worlds(
    model: WorldModel, config: Mapping[str, Any], starts: int, steps: int, passes: int, seed: int
) -> list[Pair]:
    """`starts` real episodes of at most `steps` steps, and dreams of as many steps that go on from their first frames.

    config: of the policy, made anew for every episode in each world; in the dream it is first shown the context.
    Raises WorldModelError when no episode is longer than a context.
    """
    context = model.world.num_context_frames
    env = model.world.env.make()
    steps = min(steps, env.get_wrapper_attr("max_episode_steps") or LONGEST)
    episodes: list[Episode] = []
    try:
        for index in progress(range(starts), desc="in reality", unit="episode"):
            policy = _policy(config, model, seed, index)
            episodes.append(record_episode(env, policy, episode_seed(seed, index), steps, {}))
    finally:
        env.close()
    numbered = [(index, episode) for index, episode in enumerate(episodes) if len(episode.rewards) >= context]
    if not numbered:
        raise WorldModelError(
            f"No episode was longer than the context of {context} frames: nothing to dream on from."
        )
    actors = [_shown(_policy(config, model, seed, index), episode, context) for index, episode in numbered]
    kept = [episode for _, episode in numbered]
    dreams = _dream(model, actors, kept, steps - (context - 1), passes, seed)
    return [
        Pair(episode.frames[:context], _real(episode, context), dream)
        for episode, dream in zip(kept, dreams, strict=True)
    ]


def _policy(config: Mapping[str, Any], model: WorldModel, seed: int, index: int) -> Policy:
    return make_policy(config, model.world.action_space, np.random.default_rng((seed, index)))


def _shown(policy: Policy, episode: Episode, context: int) -> Policy:
    """The policy after it has seen all frames of the context but the last."""
    policy.reset()
    for frame in episode.frames[: context - 1]:
        policy.act(frame)
    return policy


def _real(episode: Episode, context: int) -> Course:
    ended = bool(episode.terminated[-1])
    return Course(episode.frames[context - 1 :], episode.rewards[context - 1 :].astype(np.float64), ended)


def _dream(
    model: WorldModel, actors: list[Policy], episodes: list[Episode], steps: int, passes: int, seed: int
) -> list[Course]:
    """All of them at once; each is cut where it ended."""
    context, codec = model.world.num_context_frames, model.world.codec
    given = torch.from_numpy(np.stack([episode.frames[:context] for episode in episodes]))
    actions = torch.from_numpy(
        codec.encode(np.stack([episode.actions[: context - 1] for episode in episodes]))
    )
    dreams = Dreams.begin(model, given, actions, seed + torch.arange(len(episodes)), passes)
    frames, rewards, ended = [given[:, -1].numpy()], [], []

    def choose(_: Dreams) -> torch.Tensor:
        taken = [codec.store(actor.act(frame)) for actor, frame in zip(actors, frames[-1], strict=True)]
        return torch.from_numpy(codec.encode(np.stack(taken)))

    for step in progress(dreams.steps(choose, steps), total=steps, desc="in the dream", unit="step"):
        frames.append(float_to_frames(step.frame).cpu().numpy())
        rewards.append(step.reward.double().cpu().numpy())
        ended.append(step.terminated.cpu().numpy())
    over = np.stack(ended)
    lengths = np.where(over.any(axis=0), over.argmax(axis=0) + 1, len(over))
    return [
        Course(np.stack(frames)[: length + 1, k], np.stack(rewards)[:length, k], bool(over[length - 1, k]))
        for k, length in enumerate(lengths.tolist())
    ]
