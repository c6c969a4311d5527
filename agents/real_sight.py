"""What a world model makes of real episodes while they are played, for agents that see its features."""

# K episodes, H W C frame, D size of an encoded action, F features

from __future__ import annotations

import torch
from torch import Tensor

from worldmodel.agents.actor_critic import feature_observation
from worldmodel.model.world_model import DreamState, WorldModel


class RealSight:
    """Takes in the frames of several real episodes, each from its first on, and shows the trunk's features of them.

    A frame is taken in with the action that was really taken before it: see `took`. Of an episode's first frame, to
    which no action led, the trunk knows nothing (see feature_observation).
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        self._episodes: list[int] = []  # those of the states, in their order
        self._state: DreamState | None = None
        self._taken: dict[int, Tensor] = {}

    def see(self, frames: Tensor, episodes: list[int]) -> Tensor:
        """What an agent sees [K,F+1] of the next frames uint8 [K,H,W,C] of these episodes; others are forgotten."""
        place = {episode: k for k, episode in enumerate(episodes)}
        going = [episode for episode in self._episodes if episode in place]
        new = [episode for episode in episodes if episode not in going]
        parts = []
        if going:
            state = self._kept(going)
            taken = torch.stack([self._taken[episode] for episode in going])
            self._model.observe(state, taken, frames[[place[episode] for episode in going]])
            parts.append(state)
        if new:
            first = frames[[place[episode] for episode in new]][:, None]
            no_actions = torch.zeros(len(new), 0, self._model.world.codec.size)
            parts.append(self._model.begin(first, no_actions, torch.tensor(new)))
        self._state = parts[0] if len(parts) == 1 else DreamState.concatenate(parts)
        self._episodes = [*going, *new]
        order = [self._episodes.index(episode) for episode in episodes]
        return feature_observation(self._state.features[order])

    def took(self, actions: Tensor, episodes: list[int]) -> None:
        """These encoded actions float32 [K,D] were taken at the frames seen last."""
        self._taken = dict(zip(episodes, actions, strict=True))

    def _kept(self, episodes: list[int]) -> DreamState:
        """The states of these episodes; they are copied only where others have ended."""
        assert self._state is not None
        if episodes == self._episodes:
            return self._state
        rows = [self._episodes.index(episode) for episode in episodes]
        return self._state.select(torch.tensor(rows, device=self._state.time.device))
