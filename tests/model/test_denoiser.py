import torch
from tiny_world import SIZE, WINDOW, tiny_network
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

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


def test_clips_with_a_dreamt_past_either_forget_or_have_targets_of_pure_noise():
    *_, (_, sigma, _, _, _, times) = passes(NoiseConfig(own_share=0.5, own_steps=1))
    gaps = times.diff(dim=1)
    assert (gaps[0] >= WINDOW).all()
    assert (gaps[1:] == 1).all()
    assert (sigma[1] == 1).all()
    assert (sigma[[0, 2, 3]] < 1).any(dim=1).all()


def test_the_dreamt_past_is_sampled_in_two_passes_and_stands_in_for_the_true_one():
    true = passes(NoiseConfig(own_share=0.0))
    own = passes(NoiseConfig(own_share=0.5, own_steps=1))
    assert (len(true), len(own)) == (1, 3)
    assert [set(sigma.flatten().tolist()) for _, sigma, *_ in own[:2]] == [{1.0}, {0.5}]
    past_true, past_own = true[-1][2], own[-1][2]
    assert past_own[:2].sub(past_true[:2]).abs().mean() > 0.2


class OldAutocast(TorchFunctionMode):
    """Caches the casts of weights as torch does before 2.11: those made without gradients are used with them, too."""

    def __init__(self):
        super().__init__()
        self.cast = {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (F.linear, torch.conv2d, F.conv2d) and torch.is_autocast_enabled("cpu"):
            inputs, weight, *rest = args
            weight = self.cast.setdefault(weight, weight.bfloat16())
            args = (inputs, weight, *rest)
        return function(*args, **(kwargs or {}))


def test_in_bfloat16_every_weight_learns_beside_a_dreamt_past(monkeypatch):
    """The dreamt past runs without gradients inside autocast, whose cache then handed weights without one to training:
    under torch 2.9 and 2.10 all convolutions and linear layers of the trunk stayed as they were."""
    denoiser, old = Denoiser(tiny_network(), NoiseConfig(own_share=0.5)), OldAutocast()
    monkeypatch.setattr(torch, "clear_autocast_cache", old.cast.clear)
    with old, torch.autocast("cpu", torch.bfloat16):
        loss, _ = denoiser(batch(), BatchNoise(torch.Generator().manual_seed(1)))
    loss.backward()
    assert not [name for name, weight in denoiser.named_parameters() if weight.grad is None]
