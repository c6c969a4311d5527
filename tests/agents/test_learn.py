"""The learning loop: alignment through the whole pipeline, solvable dreams, credit over time, budgets, going on."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from counting_dream import CountingDream, dream_world, level, picture
from gymnasium import spaces

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.learner import Budget, Row, learn, roll_out
from worldmodel.agents.learning.ppo import PPOConfig
from worldmodel.agents.learning.storage import saved_learners
from worldmodel.agents.learning.worlds import World
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.state import Transition

FAST = PPOConfig(rollout_steps=4, epochs=2, minibatches=2)


def counting(worlds: int = 8, horizon: int = 4, **arguments: Any) -> World:
    return dream_world(CountingDream(**arguments), num_worlds=worlds, horizon=horizon)


def policy_for(world: World, seed: int = 0) -> ActorCritic:
    return ActorCritic(world.frame_shape, world.action_space, channels=8, hidden=32, seed=seed)


def test_a_rollout_is_aligned() -> None:
    """Everything at [t] belongs to the transition from x_t to x_{t+1}; an off-by-one anywhere fails exactly."""
    world = counting(horizon=3, ends_at=22, contexts=2)
    policy = policy_for(world)
    rollout, after = roll_out(policy, world, world.reset(0), 6, torch.Generator().manual_seed(0))
    number = level(rollout.observations.flatten(0, 1)[:, :3]).unflatten(0, (6, 8))
    paid = 1000.0 * number + rollout.actions[..., 0].clamp(-1, 1)
    torch.testing.assert_close(rollout.rewards, paid)
    assert torch.equal(rollout.terminated, (number + 1) % 22 == 0)
    restarts = torch.tensor([False, False, True, False, False, True])[:, None]
    assert torch.equal(rollout.truncated, restarts & ~rollout.terminated)
    with torch.no_grad():
        outlook = policy(rollout.observations.flatten(0, 1))
        torch.testing.assert_close(rollout.values.flatten(), outlook.value)
        log_probs = outlook.actions.log_prob(rollout.actions.flatten(0, 1))
        torch.testing.assert_close(rollout.log_probs.flatten(), log_probs)
        led_to = frames_to_float(picture(torch.stack([number + 1, number], dim=2)))  # x_{t+1}, then x_t
        expected = policy(led_to.flatten(0, 1).flatten(1, 2)).value.unflatten(0, (6, 8))
    goes_on = ~rollout.terminated  # after an end the value is never used
    torch.testing.assert_close(rollout.next_values[goes_on], expected[goes_on])
    assert set((level(after[:, :3]) % 20).tolist()) == {0}, "all dreams restarted after step 6"


class MatchingDream(CountingDream):
    """The picture is dark or bright; pays 1 for the action that names it, then shows a new one.

    With delay, what pays is naming the picture before: the first action is judged when its picture is gone."""

    def __init__(self, delay: bool = False) -> None:
        super().__init__(spaces.Discrete(2))
        self.delay = delay
        numbers = torch.tensor([0, 200])[:, None].expand(2, 3)
        self.contexts = SimpleNamespace(frames=picture(numbers), actions=torch.zeros(2, 2, 2))
        self.contexts = type(CountingDream().contexts)(self.contexts.frames, self.contexts.actions)

    def step(self, state, action, num_inference_steps=None):
        bright = (level(state.previous if self.delay else state.last) > 100).long()
        reward = (action.argmax(-1) == bright).float()
        state.seed = state.seed * 6364136223846793005 + 1442695040888963407
        following = frames_to_float(picture(200 * ((state.seed >> 40) & 1)))
        state.previous, state.last = state.last, following
        nothing = torch.zeros(len(reward))
        return Transition(following, reward, nothing, nothing, nothing[:, None], nothing.bool())


@pytest.mark.parametrize("delay", [False, True])
def test_a_solvable_dream_is_solved(tmp_path: Path, delay: bool) -> None:
    world = dream_world(MatchingDream(delay), num_worlds=32, horizon=8)
    config = PPOConfig(rollout_steps=8, epochs=4, minibatches=2, gamma=0.5, learning_rate=3e-3)
    rows = learn(policy_for(world), world, config, Budget(frames=32 * 8 * 25), tmp_path)
    assert rows[0].reward == pytest.approx(0.5, abs=0.15)
    assert rows[-1].reward > 0.95


class GatedDream(CountingDream):
    """Pays one step late: x_{t+1} shows a_t, and r_{t+1} is what x_{t+1} shows, whatever a_{t+1} is.

    Only an agent whose credit reaches one step back can learn here."""

    def __init__(self) -> None:
        super().__init__(spaces.Discrete(2), contexts=1)

    def step(self, state, action, num_inference_steps=None):
        reward = (level(state.last) > 100).float()
        following = frames_to_float(picture(200 * action.argmax(-1)))
        state.previous, state.last = state.last, following
        nothing = torch.zeros(len(reward))
        return Transition(following, reward, nothing, nothing, nothing[:, None], nothing.bool())


@pytest.mark.parametrize(("gamma", "learns"), [(0.9, True), (0.0, False)])
def test_credit_reaches_the_action_that_earned_it(tmp_path: Path, gamma: float, learns: bool) -> None:
    world = dream_world(GatedDream(), num_worlds=32, horizon=8)
    config = PPOConfig(rollout_steps=8, epochs=4, minibatches=2, gamma=gamma, learning_rate=3e-3)
    rows = learn(policy_for(world), world, config, Budget(frames=32 * 8 * 20), tmp_path)
    assert (rows[-1].reward > 0.8) == learns  # 7 of 8 steps can pay: the first shows the context


def test_a_dream_that_pays_nothing_is_refused(tmp_path: Path) -> None:
    world = counting(pay=0.0)
    with pytest.raises(WorldModelError, match="rewards are exactly zero") as error:
        learn(policy_for(world), world, FAST, Budget(frames=1000), tmp_path)
    assert "\n" not in str(error.value)


def test_losses_that_are_not_finite_are_refused_and_the_checkpoint_is_kept(tmp_path: Path) -> None:
    world = counting()
    learn(policy_for(world), world, FAST, Budget(frames=64), tmp_path)
    broken = counting(pay=float("nan"))
    with pytest.raises(WorldModelError, match=r"lower ppo\.learning_rate"):
        learn(policy_for(broken), broken, FAST, Budget(frames=128), tmp_path)
    assert [folder.name for folder in saved_learners(tmp_path)] == ["000000000064"]


def run(folder: Path, frames: int, total: int) -> tuple[ActorCritic, list[Row]]:
    """Learn up to `frames` of `total`."""
    world = counting()
    policy = policy_for(world)
    budget = SimpleNamespace(
        frames=total, minutes=None, share=Budget(frames=total).share, steps=Budget(frames=frames).steps
    )
    return policy, learn(policy, world, FAST, budget, folder)  # type: ignore[arg-type]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, rows = run(tmp_path / "whole", 320, 320)
    run(tmp_path / "parts", 128, 320)
    parts, again = run(tmp_path / "parts", 320, 320)
    assert [row.frames for row in again] == [row.frames for row in rows] == list(range(32, 321, 32))
    assert [row.reward for row in again] == [row.reward for row in rows]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert len(saved_learners(tmp_path / "parts")) == 1, "older checkpoints are removed"


def test_a_run_that_is_over_changes_nothing(tmp_path: Path) -> None:
    first, rows = run(tmp_path, 64, 64)
    second, again = run(tmp_path, 64, 64)
    assert again == rows
    assert torch.equal(first.actor[0].weight, second.actor[0].weight)


def test_the_budget_is_never_exceeded(tmp_path: Path) -> None:
    world = counting()
    rows = learn(policy_for(world), world, FAST, Budget(frames=100), tmp_path)
    assert [row.frames for row in rows] == [32, 64, 96], "100 is no multiple of 8 worlds: 96 is the most"


def test_a_budget_of_less_than_one_step_is_a_mistake(tmp_path: Path) -> None:
    world = counting()
    with pytest.raises(WorldModelError, match="one step of 8 worlds takes more than frames=7"):
        learn(policy_for(world), world, FAST, Budget(frames=7), tmp_path)


def test_time_runs_out_too(tmp_path: Path) -> None:
    world = counting()
    rows = learn(policy_for(world), world, FAST, Budget(minutes=0.01), tmp_path)
    assert rows and 0.6 <= rows[-1].seconds < 10


def test_a_budget_must_end() -> None:
    with pytest.raises(WorldModelError, match="frames= or minutes="):
        Budget()


def test_a_last_step_of_a_single_world_spoils_nothing(tmp_path: Path) -> None:
    """Nine frames of one world: the last update has one transition, whose deviation is 0 and not NaN."""
    world = counting(worlds=1)
    policy = policy_for(world)
    rows = learn(policy, world, FAST, Budget(frames=9), tmp_path)
    assert rows[-1].frames == 9
    assert all(weight.isfinite().all() for weight in policy.state_dict().values())


def test_fewer_frames_than_it_has_learned_from_are_refused(tmp_path: Path) -> None:
    world = counting()
    learn(policy_for(world), world, FAST, Budget(frames=64), tmp_path)
    with pytest.raises(WorldModelError, match="learned from 64 frames already, more than frames=32"):
        learn(policy_for(world), world, FAST, Budget(frames=32), tmp_path)


@pytest.mark.parametrize("budget", [{"frames": -5}, {"minutes": 0.0}])
def test_a_budget_is_more_than_nothing(budget: dict[str, float]) -> None:
    with pytest.raises(WorldModelError, match="expected more than 0"):
        Budget(**budget)  # type: ignore[arg-type]
