"""Where dreams start, and what follows their last step: moments of a dataset, and the critic's word."""

from pathlib import Path
from typing import Any

import pytest
import torch
from counting_dream import SIZE, CountingDream, CountingState, dream_world
from gymnasium import spaces
from tiny_world import tiny_world_model
from torch import Tensor

from worldmodel.agents.learning.actor_critic import ActorCritic, observation
from worldmodel.agents.learning.learner import Budget, learn
from worldmodel.agents.learning.ppo import PPOConfig, lambda_returns
from worldmodel.agents.learning.train import starts_from
from worldmodel.agents.learning.worlds import World, dream_envs
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.frames import frames_to_float
from worldmodel.model.state import Transition
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import WorldModel


def ladder(rungs: Tensor) -> Tensor:
    """uint8 frames [B,SIZE,SIZE,3] with one bright column, where the agent stands."""
    frames = torch.zeros(*rungs.shape, SIZE, SIZE, 3, dtype=torch.uint8)
    frames[torch.arange(len(rungs)), :, rungs] = 255
    return frames


class LadderDream(CountingDream):
    """Starts on any of the rungs 1 to 5. On each, one action leads to the rung below, the other ends the dream; what
    pays 1 is to come to rung 0, which ends it, too. Which action it is differs from rung to rung."""

    RIGHT = torch.tensor([0, 1, 0, 0, 1, 1])

    def __init__(self) -> None:
        super().__init__(spaces.Discrete(2))
        frames = ladder(torch.arange(1, 6))[:, None].repeat(1, 2, 1, 1, 1)
        self.contexts = StartContexts(frames, torch.zeros(5, 1, 2))

    def step(
        self, state: CountingState, action: Tensor, num_inference_steps: int | None = None
    ) -> Transition:
        rung = state.last[:, 0, 0].argmax(-1)
        right = action.argmax(-1) == self.RIGHT[rung]
        below = (rung - right.long()).clamp(min=0)
        state.previous, state.last = state.last, frames_to_float(ladder(below))
        nothing = torch.zeros(len(rung))
        reached = right & (below == 0)
        over = ~right | reached
        return Transition(state.last, reached.float(), over.float(), nothing, nothing[:, None], over)


@pytest.mark.parametrize("bootstrapped", [True, False])
def test_what_lies_beyond_a_short_horizon_is_the_critics_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bootstrapped: bool
) -> None:
    """Dreams of two steps never get from rungs 3 to 5 to the reward: without the critic nothing is learned there."""
    if not bootstrapped:

        def cut(*arguments: Any) -> Tensor:
            rewards, next_values, terminated, truncated, *rest = arguments
            return lambda_returns(rewards, next_values, terminated | truncated, truncated & False, *rest)

        monkeypatch.setattr("worldmodel.agents.learning.ppo.lambda_returns", cut)
    world = dream_world(LadderDream(), num_worlds=32, horizon=2)
    policy = ActorCritic(world.frame_shape, world.action_space, channels=8, hidden=32)
    config = PPOConfig(rollout_steps=8, epochs=4, minibatches=2, gamma=0.9, learning_rate=3e-3)
    learn(policy, world, config, Budget(frames=32 * 8 * 30), tmp_path)
    frames = frames_to_float(ladder(torch.arange(1, 6)))
    with torch.no_grad():
        chances = policy(observation(frames, frames)).actions.parameters.softmax(-1)
    right = chances[torch.arange(5), LadderDream.RIGHT[1:]]
    assert right[:2].min() > 0.9, "the reward lies within two steps"
    assert (right[2:].min() > 0.9) == bootstrapped


def test_dreams_start_at_moments_of_the_training_episodes(tmp_path: Path) -> None:
    model = tiny_world_model()
    data = tmp_path / "data"
    held = {"_target_": "worldmodel.agents.exploration.HeldActions"}
    env = {**model.world.env.to_json(), "kwargs": {"max_episode_steps": 12}}
    collect(env, held, data, 8, workers=0)
    starts = starts_from(str(data), model, 40, seed=3)
    assert len(starts) == 40
    seen = first_seen(model, starts)
    dataset = EpisodeDataset(data)
    moments = []
    for index in dataset.split("train"):
        frames = frames_to_float(
            torch.from_numpy(dataset.episode(int(index)).frames[:-1])
        )  # nothing follows the last
        known = model.world.num_context_frames - 1
        moments += list(observation(frames[known:], frames[known - 1 : -1]))
    true = torch.stack(moments)
    for dream in seen:
        assert (true == dream).flatten(1).all(dim=1).any()
    assert len(seen.unique(dim=0)) > 10
    assert torch.equal(first_seen(model, starts_from(str(data), model, 40, seed=3)), seen)
    assert not torch.equal(first_seen(model, None), seen), "not at the checkpoint's own"


def first_seen(model: WorldModel, starts: StartContexts | None) -> Tensor:
    return World(dream_envs(model, 32, starts=starts), 0, 4).reset(0)
