import pytest
import torch
from tiny_world import tiny_network

from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.heads import TwoHotReward, symexp, symlog


def test_two_hot_represents_any_reward_in_range_exactly():
    head = TwoHotReward(features=4, reward_range=(-3.0, 5.0), num_bins=41)
    logits = torch.zeros(1, 41, requires_grad=True)
    for reward in (-3.0, -0.731, 0.0, 2.5, 5.0):
        share = torch.autograd.grad(head.loss(logits, torch.tensor([reward])).sum(), logits)[0]
        two_hot = 1 / 41 - share  # softmax minus target is the gradient
        assert two_hot.sum().item() == pytest.approx(1.0, abs=1e-5)
        assert (two_hot > 1e-4).sum() <= 2
        mean = (two_hot * symlog(symexp(head.bins))).sum()
        assert mean.item() == pytest.approx(symlog(torch.tensor(reward)).item(), abs=1e-4)


def test_a_constant_reward_has_bins_and_comes_out_again():
    head = TwoHotReward(features=4, reward_range=(0.0, 0.0), num_bins=5)
    assert head.expected(torch.zeros(1, 1, 5)).abs().item() < 1e-6


def test_termination_probability_is_that_of_the_world_not_of_the_training_clips():
    """Trained where the odds of an end are 50 times higher, the optimal logit is log(50 p / (1 - p))."""
    denoiser = Denoiser(tiny_network(termination_odds=50.0), NoiseConfig())
    p = torch.tensor([0.01, 0.2, 0.9])
    logit = torch.log(50 * p / (1 - p))
    torch.testing.assert_close(denoiser.termination_probability(logit), p)
