"""The uncertainty penalty, where it comes from and whom it may not reach; and how learning time is counted."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from counting_dream import CountingDream, dream_world
from gymnasium import spaces

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.curve import Row, share_outside
from worldmodel.agents.learning.learner import Budget, Penalised, learn, penalised, roll_out
from worldmodel.agents.learning.ppo import PPOConfig
from worldmodel.agents.learning.worlds import Clock
from worldmodel.errors import WorldModelError
from worldmodel.model.state import Transition


class DoubtfulDream(CountingDream):
    """Action 1 pays 1 and is not to be trusted (10 grey levels), action 0 pays 0.5 and is."""

    def __init__(self, doubt: float = 10.0) -> None:
        super().__init__(spaces.Discrete(2), contexts=1)
        self.doubt = doubt

    def step(self, state, action, num_inference_steps=None):
        step = super().step(state, action)
        return replace(step, reward=0.5 + 0.5 * action[:, 1], uncertainty=self.doubt * action[:, 1])


def policy_for(world) -> ActorCritic:
    return ActorCritic(world.frame_shape, world.action_space, channels=8, hidden=32)


def test_a_grey_level_costs_what_it_is_said_to_and_nothing_else_changes() -> None:
    world = dream_world(DoubtfulDream(), num_worlds=8, horizon=4)
    rollout, _ = roll_out(policy_for(world), world, world.reset(0), 4, torch.Generator().manual_seed(0))
    assert torch.equal(rollout.uncertainty, 10.0 * rollout.actions[..., 1]), "of the transition's own frame"
    less = penalised(rollout, 0.03)
    torch.testing.assert_close(less.rewards, rollout.rewards - 0.3 * rollout.actions[..., 1])
    assert less.values is rollout.values and penalised(rollout, 0.0) is rollout


@pytest.mark.parametrize(("penalty", "trusts"), [(0.0, False), (0.1, True)])
def test_a_penalised_agent_leaves_what_the_model_does_not_know(
    tmp_path: Path, penalty: float, trusts: bool
) -> None:
    world = dream_world(DoubtfulDream(), num_worlds=32, horizon=8)
    config = PPOConfig(rollout_steps=8, epochs=4, minibatches=2, gamma=0.5, learning_rate=3e-3)
    rows = learn(
        policy_for(world), world, config, Budget(frames=32 * 8 * 15), tmp_path, 0, Penalised(penalty)
    )
    assert (rows[-1].uncertainty < 1.0) == trusts  # type: ignore[operator]
    assert rows[-1].reward == pytest.approx(0.5 if trusts else 1.0, abs=0.1), "reported without the penalty"
    assert rows[-1].penalty == penalty


def test_what_is_not_known_cannot_be_penalised(tmp_path: Path) -> None:
    world = dream_world(DoubtfulDream(doubt=float("nan")), num_worlds=4, horizon=4)
    config = PPOConfig(rollout_steps=4, epochs=1, minibatches=1)
    with pytest.raises(WorldModelError, match=r"worldmodel calibrate.*measurements\.passes"):
        learn(policy_for(world), world, config, Budget(frames=16), tmp_path / "a", 0, Penalised(0.1))
    rows = learn(policy_for(world), world, config, Budget(frames=16), tmp_path / "b")
    assert rows[-1].uncertainty is None, "not known, and JSON"


class SlowDream(CountingDream):
    """Takes a hundredth of a second for a step."""

    def step(self, state, action, num_inference_steps=None) -> Transition:
        time.sleep(0.01)
        return super().step(state, action)


def test_time_inside_the_world_model_is_told_from_time_outside(tmp_path: Path) -> None:
    world = dream_world(SlowDream(), num_worlds=4, horizon=4)
    config = PPOConfig(rollout_steps=4, epochs=1, minibatches=1)
    rows = learn(policy_for(world), world, config, Budget(frames=4 * 4 * 5), tmp_path)
    for row in rows:
        assert 0.04 <= row.inside <= row.busy
    assert share_outside(rows) == pytest.approx(1 - sum(r.inside for r in rows) / sum(r.busy for r in rows))


def test_the_share_outside_weighs_by_time() -> None:
    row = Row(1, 1.0, *[0.0] * 6, busy=1.0, inside=1.0)
    assert share_outside([row, replace(row, busy=3.0, inside=0.0)]) == 0.75
    assert share_outside([replace(row, busy=0.0, inside=0.0)]) is None


def test_a_clock_counts_its_blocks_alone() -> None:
    clock, begun = Clock(torch.device("cpu")), time.perf_counter()
    with clock.running():
        time.sleep(0.02)
    time.sleep(0.02)
    everything = time.perf_counter() - begun
    assert 0.02 <= clock.seconds() <= everything - 0.02
