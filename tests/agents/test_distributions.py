"""Sampling, probabilities and entropies over encoded actions of every space, against torch.distributions."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions as reference

from worldmodel.agents.learning.distributions import ActionDistribution, ActionHead, clamp_action
from worldmodel.spaces import ActionCodec

SPACES = {
    "box": spaces.Box(-2.0, 4.0, (3,)),
    "unbounded": spaces.Box(-np.inf, np.inf, (2,)),
    "discrete": spaces.Discrete(5, start=2),
    "multidiscrete": spaces.MultiDiscrete([2, 3]),
    "multibinary": spaces.MultiBinary(4),
    "dict": spaces.Dict({"a": spaces.Box(-1.0, 1.0, (2,)), "b": spaces.MultiBinary(2), "c": spaces.Discrete(3)}),
}  # fmt: skip


def head_and_distribution(space: gym.Space, batch: int = 6) -> tuple[ActionCodec, ActionDistribution]:
    codec, generator = ActionCodec(space), torch.Generator().manual_seed(1)
    head = ActionHead(7, codec.layout, init_std=0.5)
    torch.nn.init.normal_(head.linear.weight, std=0.5, generator=generator)
    return codec, head(torch.randn(batch, 7, generator=generator))


@pytest.mark.parametrize("name", SPACES)
def test_samples_and_modes_decode_into_the_space_and_back(name: str) -> None:
    space = SPACES[name]
    codec, distribution = head_and_distribution(space)
    generator = torch.Generator().manual_seed(0)
    for action in (distribution.sample(generator), distribution.mode()):
        action = clamp_action(action, codec.layout)
        stored = codec.decode(action.detach().numpy())
        for row in stored:
            codec.check(codec.restore(row))
        torch.testing.assert_close(torch.from_numpy(codec.encode(stored)), action, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SPACES)
def test_sampling_follows_the_generator_alone(name: str) -> None:
    _, distribution = head_and_distribution(SPACES[name])
    first = distribution.sample(torch.Generator().manual_seed(3))
    torch.manual_seed(99)
    assert torch.equal(first, distribution.sample(torch.Generator().manual_seed(3)))


def test_gaussians_agree_with_torch() -> None:
    _, distribution = head_and_distribution(SPACES["box"])
    normal = reference.Normal(distribution.parameters, distribution.log_std.exp())
    action = distribution.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(distribution.log_prob(action), normal.log_prob(action).sum(-1))
    torch.testing.assert_close(distribution.entropy(), normal.entropy().sum(-1))


def test_categoricals_agree_with_torch() -> None:
    _, distribution = head_and_distribution(SPACES["multidiscrete"])
    parts = [
        reference.OneHotCategorical(logits=distribution.parameters[:, run])
        for run in (slice(0, 2), slice(2, 5))
    ]
    action = distribution.sample(torch.Generator().manual_seed(0))
    expected = parts[0].log_prob(action[:, :2]) + parts[1].log_prob(action[:, 2:])
    torch.testing.assert_close(distribution.log_prob(action), expected)
    torch.testing.assert_close(distribution.entropy(), parts[0].entropy() + parts[1].entropy())


def test_bernoullis_agree_with_torch() -> None:
    _, distribution = head_and_distribution(SPACES["multibinary"])
    bits = reference.Bernoulli(logits=distribution.parameters)
    action = distribution.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(distribution.log_prob(action), bits.log_prob(action).sum(-1))
    torch.testing.assert_close(distribution.entropy(), bits.entropy().sum(-1))


def test_a_mixed_space_adds_its_parts_up() -> None:
    codec, distribution = head_and_distribution(SPACES["dict"])
    boxes, bits, run = distribution.parts.boxes, distribution.parts.bits, codec.layout.one_hots[0]
    assert sorted([*boxes.tolist(), *bits.tolist(), *range(run.start, run.stop)]) == list(range(codec.size))
    action = distribution.sample(torch.Generator().manual_seed(0))
    logits = distribution.parameters
    expected = reference.Normal(logits[:, boxes], 0.5).log_prob(action[:, boxes]).sum(-1)
    expected = expected + reference.Bernoulli(logits=logits[:, bits]).log_prob(action[:, bits]).sum(-1)
    expected = expected + reference.OneHotCategorical(logits=logits[:, run]).log_prob(action[:, run])
    torch.testing.assert_close(distribution.log_prob(action), expected)


def test_frequencies_match_probabilities() -> None:
    _, distribution = head_and_distribution(SPACES["discrete"], batch=1)
    many = ActionDistribution(
        distribution.parameters.expand(20_000, -1), distribution.log_std, distribution.parts
    )
    frequency = many.sample(torch.Generator().manual_seed(0)).mean(0)
    torch.testing.assert_close(frequency, distribution.parameters[0].softmax(-1), atol=0.02, rtol=0)


def test_choices_are_those_of_torchs_multinomial() -> None:
    """A learner that was stopped goes on as if it had not been, whichever version it began with."""
    _, distribution = head_and_distribution(SPACES["discrete"], batch=50)
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    expected = torch.multinomial(distribution.parameters.softmax(-1), 1, generator=second)[:, 0]
    assert distribution.sample(first).argmax(-1).equal(expected)


@pytest.mark.parametrize(("low", "expected"), [(-2.0, 1.0), (-np.inf, 3.0)])
def test_clamping_where_all_numbers_or_none_are_bounded(low: float, expected: float) -> None:
    layout = ActionCodec(spaces.Box(low, -low, (2,), np.float32)).layout
    assert clamp_action(torch.full((1, 2), 3.0), layout).tolist() == [[expected] * 2]


def test_clamping_leaves_unbounded_numbers_alone() -> None:
    space = spaces.Box(np.array([-2.0, -np.inf], np.float32), np.array([4.0, np.inf], np.float32))
    clamped = clamp_action(torch.tensor([[3.0, 3.0], [-3.0, -3.0]]), ActionCodec(space).layout)
    assert clamped.tolist() == [[1.0, 3.0], [-1.0, -3.0]]


def test_a_row_is_the_same_distribution() -> None:
    _, distribution = head_and_distribution(SPACES["box"])
    action = torch.zeros(1, 3)
    assert distribution.row(2).log_prob(action).item() == pytest.approx(
        distribution.log_prob(action.expand(6, 3))[2].item()
    )
