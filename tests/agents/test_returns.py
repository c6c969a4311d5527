"""Lambda-returns against loops that follow the definition literally."""

import pytest
import torch

from worldmodel.agents.learning.ppo import lambda_returns

GAMMA, LAM = 0.9, 0.8


def random_rollout(seed: int, steps: int = 12, worlds: int = 5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.rand(steps, worlds, generator=generator)
    return {
        "rewards": torch.randn(steps, worlds, generator=generator, dtype=torch.float64),
        "next_values": torch.randn(steps, worlds, generator=generator, dtype=torch.float64),
        "terminated": ends < 0.15,
        "truncated": (ends >= 0.15) & (ends < 0.3),
    }


def n_step_reference(rewards, next_values, terminated, truncated, gamma, lam) -> torch.Tensor:
    """The definition (Sutton and Barto, eq. 12.3): R_t = (1 - lam) sum_n lam^(n-1) G_{t:t+n}; the last, the rest."""
    steps, worlds = rewards.shape
    result = torch.zeros_like(rewards)
    for b in range(worlds):
        for t in range(steps):
            n_step, paid = [], 0.0
            for k in range(t, steps):
                paid += gamma ** (k - t) * rewards[k, b].item()
                over = bool(terminated[k, b])
                ahead = 0.0 if over else gamma ** (k - t + 1) * next_values[k, b].item()
                n_step.append(paid + ahead)
                if over or truncated[k, b]:
                    break
            last = len(n_step) - 1
            result[t, b] = lam**last * n_step[last] + sum((1 - lam) * lam**n * n_step[n] for n in range(last))
    return result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lam", [0.0, 0.8, 1.0])
def test_equals_the_weighted_n_step_returns(seed: int, lam: float) -> None:
    rollout = random_rollout(seed)
    expected = n_step_reference(**rollout, gamma=GAMMA, lam=lam)
    torch.testing.assert_close(lambda_returns(**rollout, gamma=GAMMA, lam=lam), expected)


def test_minus_values_equals_the_generalised_advantage() -> None:
    """Schulman et al., 2016, eq. 16: the sum of discounted temporal differences, cut where an episode ends."""
    rollout = random_rollout(7)
    rollout["truncated"][:] = False  # then next_values[t] is values[t + 1] wherever the episode goes on
    values = torch.randn(13, 5, dtype=torch.float64)
    rollout["next_values"] = values[1:]
    advantages = torch.zeros(12, 5, dtype=torch.float64)
    ahead = torch.zeros(5, dtype=torch.float64)
    for t in reversed(range(12)):
        goes_on = (~rollout["terminated"][t]).double()
        difference = rollout["rewards"][t] + GAMMA * goes_on * values[t + 1] - values[t]
        ahead = advantages[t] = difference + GAMMA * LAM * goes_on * ahead
    returns = lambda_returns(**rollout, gamma=GAMMA, lam=LAM)
    torch.testing.assert_close(returns - values[:-1], advantages)


@pytest.mark.parametrize("name", ["rewards", "next_values", "terminated", "truncated"])
def test_a_shift_by_one_step_changes_the_result(name: str) -> None:
    """Guards the reference tests: each of them fails if an argument is off by one."""
    rollout = random_rollout(3)
    right = lambda_returns(**rollout, gamma=GAMMA, lam=LAM)
    shifted = {**rollout, name: rollout[name].roll(1, dims=0)}
    assert not torch.allclose(lambda_returns(**shifted, gamma=GAMMA, lam=LAM), right)


def test_termination_pays_nothing_more_and_truncation_pays_the_critic() -> None:
    rewards, next_values = torch.tensor([[1.0], [1.0]]), torch.tensor([[10.0], [20.0]])
    no, yes = torch.tensor([[False], [False]]), torch.tensor([[True], [False]])
    terminated = lambda_returns(rewards, next_values, yes, no, 0.5, 1.0)
    truncated = lambda_returns(rewards, next_values, no, yes, 0.5, 1.0)
    assert terminated[:, 0].tolist() == [1.0, 11.0]
    assert truncated[:, 0].tolist() == [6.0, 11.0]
