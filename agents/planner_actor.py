"""The planner as an agent of the real environment: it dreams on from what it has really seen, and acts."""

# K episodes, n context frames, C H W frame

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from worldmodel.agents.exploration import with_random_share
from worldmodel.agents.learning.storage import find_policy, load_policy
from worldmodel.agents.planning.planner import Planner, PlannerConfig
from worldmodel.arguments import made_of
from worldmodel.benchmark.timing import torch_threads
from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames, frames_to_float
from worldmodel.model.checkpoint import load_world_model
from worldmodel.model.world_model import DreamState, WorldModel
from worldmodel.policy import Policy


@dataclass
class _Episode:
    """What was really seen and done last, the rest of the plan, and where the next one begins."""

    frames: deque[Tensor]
    actions: deque[Tensor]
    planned: list[Tensor] = field(default_factory=list)
    mean: Tensor | None = None
    decisions: int = 0


class PlannerActor:
    """An Actor (see play) for one play: every decision begins a dream anew from the last frames of the real episode.

    It remembers up to num_context_frames of them, fewer at an episode's start. Chance follows from (seed, episode).
    frames_imagined, plans: what it has cost so far.
    """

    def __init__(self, model: WorldModel, planner: Planner, seed: int = 0) -> None:
        self._model, self._planner, self._seed = model, planner, seed
        self._codec = model.world.codec
        self._episodes: dict[int, _Episode] = {}
        self.plans = 0

    @property
    def frames_imagined(self) -> int:
        """In all plans so far, exactly."""
        return self.plans * self._planner.config.frames_per_plan

    def act(self, observation: Tensor, episodes: list[int]) -> np.ndarray:
        """See Actor."""
        colours = observation.shape[1] // 2
        for frame, number in zip(float_to_frames(observation[:, :colours]), episodes, strict=True):
            self._episode(number).frames.append(frame)
        self._plan([number for number in episodes if not self._episode(number).planned])
        taken = torch.stack([self._episodes[number].planned.pop(0) for number in episodes])
        stored = self._codec.decode(taken.cpu().numpy())
        for action, number in zip(torch.from_numpy(self._codec.encode(stored)), episodes, strict=True):
            self._episodes[number].actions.append(action)
        return stored

    def took(self, action: np.ndarray, episode: int) -> None:
        """This stored action [...] was taken in the episode, not the one that `act` said last."""
        taken = self._episodes[episode].actions
        if taken:  # nothing of it is remembered where a dream begins from a single frame
            taken[-1] = torch.from_numpy(self._codec.encode(action[None]))[0]

    def _episode(self, number: int) -> _Episode:
        if number not in self._episodes:
            count = self._model.world.num_context_frames
            self._episodes[number] = _Episode(deque(maxlen=count), deque(maxlen=max(0, count - 1)))
        return self._episodes[number]

    def _plan(self, due: list[int]) -> None:
        """Make new plans for these episodes, all in one batch."""
        if not due:
            return
        due = sorted(due, key=lambda number: len(self._episodes[number].frames))
        planned = [self._episodes[number] for number in due]
        seeds = torch.tensor([self._seed * 1_000_003 + number for number in due], device=self._model.device)
        decisions = torch.tensor([episode.decisions for episode in planned], device=self._model.device)
        state = self._dreams(planned, seeds * 1_000_003 + decisions)
        fresh = self._planner.begin(1)[0]
        mean = torch.stack([fresh if episode.mean is None else episode.mean for episode in planned])
        plans = self._planner.plan(state, mean, seeds, decisions)
        following = self._planner.shift(plans.mean)
        for episode, steps, ahead in zip(planned, plans.steps, following, strict=True):
            episode.planned = list(steps[: self._planner.config.replan_every])
            episode.mean, episode.decisions = ahead, episode.decisions + 1
        self.plans += len(due)

    def _dreams(self, planned: list[_Episode], seeds: Tensor) -> DreamState:
        """Dreams at these episodes' last frames; they come in the order of how many frames are known."""
        parts, begun = [], 0
        for _, group in groupby(planned, key=lambda episode: len(episode.frames)):
            alike = list(group)
            frames = torch.stack([torch.stack(list(episode.frames)) for episode in alike])
            none = torch.zeros(0, self._codec.size)
            actions = [torch.stack(list(e.actions)) if e.actions else none for e in alike]
            noise = seeds[begun : begun + len(alike)]
            parts.append(self._model.begin(frames, torch.stack(actions), noise))
            begun += len(alike)
        return parts[0] if len(parts) == 1 else DreamState.concatenate(parts)


class PlanningPolicy:
    """The planner as a Policy, one episode at a time."""

    def __init__(
        self, model: WorldModel, planner: Planner, action_space: gym.Space, rng: np.random.Generator
    ) -> None:
        if model.world.action_space != action_space:
            raise WorldModelError(
                f"The dream takes actions of {model.world.action_space}, the environment takes {action_space}."
            )
        self._model, self._planner, self._rng = model, planner, rng
        self.reset()

    def reset(self) -> None:
        """Forget the episode before."""
        self._actor = PlannerActor(self._model, self._planner, int(self._rng.integers(2**31)))

    def act(self, observation: np.ndarray) -> Any:
        """See Policy."""
        if observation.shape != self._model.world.frame_shape:
            shapes = f"{self._model.world.frame_shape}, the environment draws {observation.shape}"
            raise WorldModelError(f"The dream has frames of shape {shapes}: set env.size.")
        frame = frames_to_float(torch.from_numpy(observation)[None])
        with torch_threads(1):
            stored = self._actor.act(torch.cat([frame, frame], dim=1), [0])
        return self._model.world.codec.restore(stored[0])

    def took(self, action: Any) -> None:
        """See CorrectablePolicy."""
        self._actor.took(self._model.world.codec.store(action), 0)


def planning_policy(
    action_space: gym.Space,
    rng: np.random.Generator,
    checkpoint: str,
    planner: Mapping[str, Any] | None = None,
    critic: str | None = None,
    random_share: float = 0.0,
    precision: str | None = None,
) -> Policy:
    """The policy `policy=planner`. checkpoint: a world model; planner: PlannerConfig; critic: a trained agent's policy
    folder, whose value stands for what follows a plan; precision: in which to dream, see load_world_model."""
    model, made = load_planner(checkpoint, planner, critic, precision=precision)
    policy = PlanningPolicy(model, made, action_space, rng)
    return with_random_share(policy, action_space, rng, random_share)


def load_planner(
    checkpoint: str,
    planner: Mapping[str, Any] | None = None,
    critic: str | None = None,
    device: str | torch.device = "cpu",
    precision: str | None = None,
) -> tuple[WorldModel, Planner]:
    """The world model and a planner in it; arguments as of planning_policy."""
    config = made_of(PlannerConfig, planner, "planner")
    model = _model(checkpoint, str(device), precision)
    value = None if critic is None else load_policy(find_policy(critic), device).eval()
    return model, Planner(model, config, value)


@lru_cache(maxsize=1)
def _model(checkpoint: str, device: str, precision: str | None) -> WorldModel:
    """Kept, because collecting makes a policy for every episode."""
    return load_world_model(checkpoint, device, precision)
