"""The update: closed-form losses, and problems it must solve."""

import dataclasses

import pytest
import torch
from gymnasium import spaces

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.ppo import Minibatch, PPOConfig, Rollout, ppo_loss, ppo_update
from worldmodel.errors import WorldModelError

SPACE = spaces.Discrete(2)


def new_policy() -> ActorCritic:
    return ActorCritic((8, 8, 3), SPACE, channels=8, hidden=16)


def observations(count: int) -> torch.Tensor:
    return torch.rand(count, 6, 8, 8, generator=torch.Generator().manual_seed(0))


def minibatch(policy: ActorCritic, advantages: list[float], old_log_prob_shift: float = 0.0) -> Minibatch:
    """Action 0 everywhere; the ratio of new to old probability is exp(-shift)."""
    seen, action = observations(len(advantages)), torch.tensor([[1.0, 0.0]] * len(advantages))
    with torch.no_grad():
        outlook = policy(seen)
        log_probs = outlook.actions.log_prob(action) + old_log_prob_shift
    return Minibatch(seen, action, log_probs, torch.tensor(advantages), outlook.value + 2.0)


def test_losses_of_an_unchanged_policy() -> None:
    policy = new_policy()
    policy.rescale_values(torch.tensor(1.0), torch.tensor(4.0))
    loss, metrics = ppo_loss(policy, minibatch(policy, [1.0, -2.0]), PPOConfig(value=0.5, entropy=0.1))
    assert metrics["policy_loss"].item() == pytest.approx(0.5), "minus the mean advantage"
    assert metrics["value_loss"].item() == pytest.approx((2.0 / 4.0) ** 2), (
        "in units of the returns' deviation"
    )
    assert metrics["entropy"].item() == pytest.approx(0.6931, abs=1e-3), "two choices alike"
    assert metrics["kl"].item() == pytest.approx(0.0, abs=1e-6)
    assert loss.item() == pytest.approx(0.5 + 0.5 * 0.25 - 0.1 * metrics["entropy"].item())


@pytest.mark.parametrize(
    ("advantage", "shift", "objective"),
    [
        (1.0, -1.0, 1.2),  # good and already much likelier: clipped
        (1.0, 1.0, 0.36788),  # good but less likely: not clipped
        (-1.0, 1.0, -0.8),  # bad and already less likely: clipped
        (-1.0, -1.0, -2.71828),  # bad but likelier: not clipped
    ],
)
def test_the_ratio_is_clipped_where_it_has_gone_far_enough(
    advantage: float, shift: float, objective: float
) -> None:
    policy = new_policy()
    _, metrics = ppo_loss(policy, minibatch(policy, [advantage], shift), PPOConfig(clip=0.2))
    assert metrics["policy_loss"].item() == pytest.approx(-objective, rel=1e-4)


def rollout(policy: ActorCritic, steps: int = 4, worlds: int = 8) -> Rollout:
    seen = observations(steps * worlds).unflatten(0, (steps, worlds))
    with torch.no_grad():
        outlook = policy(seen.flatten(0, 1))
        action = outlook.actions.sample(torch.Generator().manual_seed(1))
        log_probs = outlook.actions.log_prob(action)
    no = torch.zeros(steps, worlds, dtype=torch.bool)
    rewards = action[:, 0].unflatten(0, (steps, worlds))  # action 0 pays
    value = outlook.value.unflatten(0, (steps, worlds))
    return Rollout(
        seen,
        action.unflatten(0, (steps, worlds)),
        log_probs.unflatten(0, (steps, worlds)),
        rewards,
        value,
        value,
        no,
        no,
        torch.zeros_like(rewards),
    )


def updated(seed: int, **changes: object) -> tuple[ActorCritic, dict[str, float]]:
    policy = new_policy()
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    config = dataclasses.replace(PPOConfig(epochs=2, minibatches=2), **changes)  # type: ignore[arg-type]
    return policy, ppo_update(policy, optimizer, rollout(policy), config, torch.Generator().manual_seed(seed))


def test_an_update_is_a_pure_function_of_its_generator() -> None:
    weights = [dict(updated(seed)[0].state_dict()) for seed in (1, 1, 2)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_what_pays_becomes_likelier() -> None:
    policy, metrics = updated(0, epochs=20, gamma=0.0)
    probability = policy(observations(32)).actions.parameters.softmax(-1)[:, 0]
    assert probability.min() > 0.55
    assert set(metrics) == {"policy_loss", "value_loss", "entropy", "kl"}


def test_gradients_are_clipped() -> None:
    before = new_policy()
    moved = []
    for limit in (1e-9, 1.0):
        after, _ = updated(0, gradient_clip=limit, epochs=1, minibatches=1)
        moved.append((after.actor[2].linear.weight - before.actor[2].linear.weight).abs().max().item())
    assert moved[0] < 0.2 * moved[1], "Adam divides by the gradient's size, but no longer where eps is larger"


@pytest.mark.parametrize(
    "settings", [{"rollout_steps": 0}, {"epochs": 0}, {"minibatches": 0}, {"gamma": 1.5}]
)
def test_settings_that_make_no_sense(settings: dict[str, float]) -> None:
    (name,) = settings
    with pytest.raises(WorldModelError, match=f"ppo.{name} is"):
        PPOConfig(**settings)  # type: ignore[arg-type]
