import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from tiny_world import tiny_world_model

from worldmodel.errors import WorldModelError
from worldmodel.model.sampler import euler_sample, noise_schedule


def gaussian_denoiser(mean, std):
    """The exact posterior mean of x ~ N(mean, std^2) given x_sigma = (1 - sigma) x + sigma noise."""

    def denoise(z, sigma):
        gain = (1 - sigma) * std**2 / ((1 - sigma) ** 2 * std**2 + sigma**2)
        return SimpleNamespace(frame=mean + gain * (z - (1 - sigma) * mean))

    return denoise


def test_euler_converges_to_the_exact_gaussian_with_order_one():
    """Flow matching's ODE carries N(0,1) noise to mean + std * noise."""
    noise = torch.randn(4096, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = 2.0 + 0.5 * noise
    errors = []
    for passes in (20, 40, 80):
        sigmas = noise_schedule(FlowMatchEulerDiscreteScheduler(), passes)
        prediction, _ = euler_sample(gaussian_denoiser(2.0, 0.5), noise, sigmas)
        errors.append((prediction.frame - exact).abs().mean().item())
    assert errors[2] < 0.02
    for coarse, fine in pairwise(errors):
        assert 0.8 < math.log2(coarse / fine) < 1.2


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_parity_with_the_diffusers_scheduler(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    sigmas = noise_schedule(scheduler, 4)
    denoise = gaussian_denoiser(1.0, 0.3)
    noise = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    z = noise
    for timestep, sigma in zip(scheduler.timesteps, sigmas, strict=False):
        velocity = (z - denoise(z, sigma).frame) / sigma
        z = scheduler.step(velocity, timestep, z).prev_sample
    ours, _ = euler_sample(denoise, noise, sigmas)
    torch.testing.assert_close(ours.frame, z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_schedule_runs_from_pure_noise_to_data_in_exactly_so_many_passes(passes):
    sigmas = noise_schedule(FlowMatchEulerDiscreteScheduler(), passes)
    assert sigmas == pytest.approx([1 - i / passes for i in range(passes + 1)])


def test_spread_is_the_change_between_the_last_two_estimates():
    estimates = iter([torch.full((2, 3), 0.5), torch.tensor([[0.5] * 3, [0.0] * 3])])
    _, spread = euler_sample(
        lambda z, sigma: SimpleNamespace(frame=next(estimates)), torch.randn(2, 3), [1.0, 0.5, 0.0]
    )
    assert spread.tolist() == [0.0, 0.5]
    _, single = euler_sample(lambda z, sigma: SimpleNamespace(frame=z), torch.randn(2, 3), [1.0, 0.0])
    assert single.isnan().all()


@pytest.mark.parametrize("passes", [0, -1])
def test_less_than_one_pass_is_refused_and_never_taken_for_the_default(passes: int) -> None:
    with pytest.raises(WorldModelError, match=f"num_inference_steps is {passes}"):
        noise_schedule(FlowMatchEulerDiscreteScheduler(), passes)
    model = tiny_world_model()
    state = model.begin(
        model.contexts.frames[:1], model.contexts.actions[:1], torch.zeros(1, dtype=torch.int64)
    )
    with pytest.raises(WorldModelError, match=f"num_inference_steps is {passes}"):
        model.step(state, torch.zeros(1, model.world.codec.size), passes)
