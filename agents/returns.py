"""Targets for a critic from the rewards of a rollout."""

import torch
from torch import Tensor


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
