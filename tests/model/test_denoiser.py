from dataclasses import replace

import torch
from tiny_world import SIZE, tiny_network
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from worldmodel.episode import Batch
from worldmodel.frames import frames_to_float
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


def test_dreams_teach_the_heads_alone():
    """With nearly all clips dreamt, what is left of the trunk's gradient is that of the one clip that is not."""
    denoiser = Denoiser(tiny_network(), NoiseConfig(dream_share=0.75, dream_depth=2))
    with torch.no_grad():
        denoiser.network.decoder.out.weight.normal_(std=0.05)
    frames = batch().frames.clone()
    frames[:3] = 0  # what the dreams begin from and are held against

    def trunk_gradient(content):
        denoiser.zero_grad()
        loss, _ = denoiser(content, BatchNoise(torch.Generator().manual_seed(1)))
        loss.backward()
        network = denoiser.network
        return network.encoder.stem.weight.grad.clone(), network.readout.project.weight.grad.clone()

    true, other = trunk_gradient(batch()), trunk_gradient(replace(batch(), frames=frames))
    assert torch.allclose(true[0], other[0], atol=1e-7)
    assert not torch.allclose(true[1], other[1], atol=1e-7)


def test_a_deeper_dream_starts_from_the_frames_of_the_shallower_one():
    denoiser = Denoiser(tiny_network(), NoiseConfig(dream_share=0.5, dream_depth=1))
    with torch.no_grad():  # a fresh network copies: let it draw something of its own
        denoiser.network.decoder.out.weight.normal_(std=0.05)
    frames = frames_to_float(batch().frames)
    noise = torch.randn(CLIPS, STEPS, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))

    def dream(depth):
        denoiser.noise = NoiseConfig(dream_depth=depth)
        seed = next(s for s in range(99) if drawn(s).integer(1, depth + 1) == depth)
        return denoiser._dream(frames, batch().actions, noise, drawn(seed)).frame

    def drawn(seed):
        return BatchNoise(torch.Generator().manual_seed(seed))

    first, third = dream(1), dream(3)
    assert torch.allclose(first[:, 0], third[:, 0], atol=1e-6), "the first step's past is given"
    assert not torch.allclose(first[:, 2], third[:, 2], atol=1e-3)


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


def test_in_bfloat16_every_weight_learns_beside_dreams(monkeypatch):
    """Dreams run without gradients inside autocast, whose cache then handed weights without one to training: under
    torch 2.9 and 2.10 all convolutions and linear layers of the trunk stayed as they were."""
    denoiser, old = Denoiser(tiny_network(), NoiseConfig(dream_share=0.5)), OldAutocast()
    monkeypatch.setattr(torch, "clear_autocast_cache", old.cast.clear)
    with torch.no_grad():  # layers that start at zero pass no gradient on
        for weight in denoiser.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    with old, torch.autocast("cpu", torch.bfloat16):
        for seed in range(2):  # a second batch after the first one's dreams
            denoiser.zero_grad()
            loss, _ = denoiser(batch(), BatchNoise(torch.Generator().manual_seed(seed)))
            loss.backward()
    for name, weight in denoiser.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
