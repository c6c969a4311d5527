"""Proximal policy optimisation: one pure update from a rollout (Schulman et al., 2017)."""

# T steps of a rollout, B worlds, N = T * B transitions, M of a minibatch

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from worldmodel.agents.learning.actor_critic import ActorCritic, deviation
from worldmodel.errors import WorldModelError


@dataclass(frozen=True)
class PPOConfig:
    """rollout_steps T of every world between two updates; epochs passes over them in `minibatches` parts; lam: of the
    lambda-returns; clip: of the probability ratio; entropy, value: weights in the loss; scale_decay: of the running
    mean and deviation of returns, in which values are learned. learning_rate falls linearly to final_learning_rate."""

    rollout_steps: int = 32
    epochs: int = 4
    minibatches: int = 16
    gamma: float = 0.96
    lam: float = 0.95
    clip: float = 0.3
    entropy: float = 0.0
    value: float = 0.5
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-4
    gradient_clip: float = 5.0
    scale_decay: float = 0.9

    def __post_init__(self) -> None:
        for name in ("rollout_steps", "epochs", "minibatches"):
            if getattr(self, name) < 1:
                raise WorldModelError(f"ppo.{name} is {getattr(self, name)}, expected at least 1.")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise WorldModelError(f"ppo.{name} is {getattr(self, name)}, expected 0 to 1.")


@dataclass(frozen=True)
class Rollout:
    """T steps in B worlds; everything at [t] belongs to the transition from x_t to x_{t+1} (see Episode).

    observations [T,B,2C,H,W]; actions [T,B,D] as sampled; log_probs, rewards, values (of x_t), next_values (of the
    frame each transition led to) [T,B]; terminated, truncated bool [T,B]; uncertainty [T,B], see TensorStep.
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    values: Tensor
    next_values: Tensor
    terminated: Tensor
    truncated: Tensor
    uncertainty: Tensor


@dataclass(frozen=True)
class Minibatch:
    """M transitions: observations [M,2C,H,W], actions [M,D]; log_probs, advantages, returns [M]."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor


def lambda_returns(
    rewards: Tensor, next_values: Tensor, terminated: Tensor, truncated: Tensor, gamma: float, lam: float
) -> Tensor:
    """R_t = r_t + gamma * (1 - terminated_t) * ((1 - lam) * V(x_{t+1}) + lam * R_{t+1}): Sutton and Barto, eq. 12.18.

    All tensors are [T,B] and belong to the transition from x_t to x_{t+1} (see Episode). next_values[t] is the critic's
    value of the frame that transition led to: where an episode was truncated that is its last frame, not the first of
    the next one. Nothing follows a terminated transition; after a truncated one, and after the rollout's last, the
    critic stands for what follows. R_t - V(x_t) is the generalised advantage (Schulman et al., 2016, eq. 16).
    """
    for name, tensor in (("next_values", next_values), ("terminated", terminated), ("truncated", truncated)):
        assert tensor.shape == rewards.shape, f"{name} {list(tensor.shape)}, rewards {list(rewards.shape)}"
    returns = torch.empty_like(rewards)
    following = next_values[-1]
    for t in range(len(rewards) - 1, -1, -1):
        following = torch.where(truncated[t], next_values[t], following)
        ahead = torch.lerp(next_values[t], following, lam)
        following = returns[t] = rewards[t] + gamma * torch.where(terminated[t], 0.0, ahead)
    return returns


def ppo_update(
    policy: ActorCritic, optimizer: Optimizer, rollout: Rollout, config: PPOConfig, generator: torch.Generator
) -> dict[str, float]:
    """Improve `policy` on a rollout it has just made; returns the metrics' means. Shuffling comes from `generator`."""
    returns = lambda_returns(
        rollout.rewards, rollout.next_values, rollout.terminated, rollout.truncated, config.gamma, config.lam
    )
    policy.follow_returns(returns, config.scale_decay)
    totals: dict[str, list[Tensor]] = {}
    for minibatch in _minibatches(rollout, returns, config, generator):
        loss, metrics = ppo_loss(policy, minibatch, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_clip)
        optimizer.step()
        for name, value in metrics.items():
            totals.setdefault(name, []).append(value)
    return {name: torch.stack(values).mean().item() for name, values in totals.items()}


def ppo_loss(policy: ActorCritic, batch: Minibatch, config: PPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """(loss, metrics): clipped surrogate, squared value error in units of the returns' deviation, entropy bonus."""
    outlook = policy(batch.observations)
    log_ratio = outlook.actions.log_prob(batch.actions) - batch.log_probs
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    surrogate = torch.minimum(ratio * batch.advantages, clipped * batch.advantages).mean()
    value = ((outlook.value - batch.returns) / policy.value_scale).square().mean()
    entropy = outlook.actions.entropy().mean()
    loss = -surrogate + config.value * value - config.entropy * entropy
    change = (ratio - 1 - log_ratio).mean()  # unbiased, low-variance estimate of KL(old, new)
    metrics = {"policy_loss": -surrogate, "value_loss": value, "entropy": entropy, "kl": change}
    return loss, {name: metric.detach() for name, metric in metrics.items()}


def _minibatches(
    rollout: Rollout, returns: Tensor, config: PPOConfig, generator: torch.Generator
) -> Iterator[Minibatch]:
    advantages = returns - rollout.values
    spread = deviation(advantages).clamp(min=1e-8)
    advantages = (advantages - advantages.mean()) / spread
    parts = (rollout.observations, rollout.actions, rollout.log_probs, advantages, returns)
    flat = [part.flatten(0, 1) for part in parts]
    for _ in range(config.epochs):
        order = torch.randperm(len(flat[0]), generator=generator, device=returns.device)
        for index in order.chunk(config.minibatches):
            yield Minibatch(*(part[index] for part in flat))
