"""The network's contract: shapes, determinism, rescaling of values."""

import pytest
import torch
from gymnasium import spaces

from worldmodel.agents.learning.actor_critic import ActorCritic, observation

BOX = spaces.Box(-1.0, 1.0, (2,))


def frames(batch: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, 6, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("size", [16, 32, 64, 84])
@pytest.mark.parametrize("space", [BOX, spaces.Discrete(4)])
def test_any_frame_size_and_space(size: int, space: spaces.Space) -> None:
    policy = ActorCritic((size, size, 3), space)
    outlook = policy(frames(5, size))
    assert outlook.value.shape == (5,)
    assert outlook.actions.parameters.shape == (5, policy.codec.size)


def test_the_seed_alone_decides_the_first_weights() -> None:
    before = torch.random.get_rng_state()
    first, second, other = (ActorCritic((32, 32, 3), BOX, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was used"
    x = frames(3)
    assert torch.equal(first(x).value, second(x).value)
    assert not torch.equal(first(x).value, other(x).value)


def test_a_new_policy_is_unbiased() -> None:
    outlook = ActorCritic((32, 32, 3), BOX)(frames(8))
    assert outlook.actions.parameters.abs().max() < 0.1
    assert outlook.actions.log_std.exp().tolist() == [1.0, 1.0]


def test_rescaling_keeps_the_values() -> None:
    policy, x = ActorCritic((32, 32, 3), BOX), frames(8)
    before = policy(x).value
    policy.rescale_values(torch.tensor(-20.0), torch.tensor(7.0))
    policy.rescale_values(torch.tensor(-3.0), torch.tensor(0.5))
    torch.testing.assert_close(policy(x).value, before, atol=1e-4, rtol=1e-4)


def test_units_follow_the_returns_at_once_and_then_slowly() -> None:
    policy = ActorCritic((32, 32, 3), BOX)
    policy.follow_returns(torch.tensor([-30.0, -10.0]), decay=0.9)
    assert policy.value_mean.item() == -20.0, "the first returns set the units"
    for _ in range(20):
        policy.follow_returns(torch.tensor([-30.0, -10.0]), decay=0.9)
    policy.follow_returns(torch.tensor([-20.0, 0.0]), decay=0.9)
    assert policy.value_mean.item() == pytest.approx(-19.0)


def test_constant_returns_do_not_divide_by_zero() -> None:
    policy = ActorCritic((32, 32, 3), BOX)
    policy.follow_returns(torch.full((4,), 2.0), decay=0.9)
    assert torch.isfinite(policy(frames(2)).value).all()


def test_the_newest_frame_comes_first() -> None:
    last, previous = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    assert observation(last, previous)[0, :, 0, 0].tolist() == [1, 1, 1, 0, 0, 0]


def test_a_wrong_shape_names_both() -> None:
    with pytest.raises(AssertionError, match=r"\[1, 6, 16, 16\].*6, 32, 32"):
        ActorCritic((32, 32, 3), BOX)(frames(1, 16))


def test_it_is_small() -> None:
    assert sum(p.numel() for p in ActorCritic((32, 32, 3), BOX).parameters()) < 400_000
