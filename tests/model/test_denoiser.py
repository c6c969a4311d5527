import pytest
import torch
from tiny_world import SIZE, tiny_network

from worldmodel.episode import Batch
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.noise import BatchNoise

CLIPS, STEPS = 4, 3


def batch():
    generator = torch.Generator().manual_seed(0)
    shape = (CLIPS, STEPS + 1, SIZE, SIZE, 3)
    return Batch(
        frames=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        actions=torch.randn(CLIPS, STEPS, 2, generator=generator),
        rewards=torch.zeros(CLIPS, STEPS),
        terminated=torch.zeros(CLIPS, STEPS, dtype=torch.bool),
        valid=torch.ones(CLIPS, STEPS, dtype=torch.bool),
        at_start=torch.zeros(CLIPS, dtype=torch.bool),
        importance=torch.ones(CLIPS, STEPS),
    )


def passes(noise):
    """Arguments (noisy, sigma, past, past_sigma, action, times) of every pass through the network in one loss."""
    denoiser, seen = Denoiser(tiny_network(), noise), []
    denoiser.network.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    denoiser(batch(), BatchNoise(torch.Generator().manual_seed(1)))
    return seen


def test_one_pass_a_step_over_true_pasts_noised_as_much_as_the_network_is_told():
    ((_, sigma, past, past_sigma, _, _),) = passes(NoiseConfig(past_max=0.4, pure_noise=0.5))
    ((_, _, clean, none, _, _),) = passes(NoiseConfig(past_max=0.0))
    assert (none == 0).all() and (past_sigma >= 0).all() and (past_sigma <= 0.4).all()
    noise = (past - (1 - past_sigma[:, :, None, None, None]) * clean) / past_sigma[:, :, None, None, None]
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert 0.2 < (sigma == 1).float().mean() < 0.8


def test_every_weight_learns_in_bfloat16():
    denoiser = Denoiser(tiny_network(), NoiseConfig())
    with torch.no_grad():  # layers that start at zero pass no gradient on
        for weight in denoiser.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = denoiser(batch(), BatchNoise(torch.Generator().manual_seed(0)))
    loss.backward()
    for name, weight in denoiser.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
