"""What the network computes in fewer passes equals the plain formula, and so do its gradients."""

import torch
from torch.nn import functional as F

from worldmodel.model.convolution import Decoder, Encoder, upsampled
from worldmodel.model.fused import modulate, normalised_heads
from worldmodel.model.transformer import ClockRotation, rotate


def numbers(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


def test_modulation_broadcasts_and_so_do_its_gradients() -> None:
    inputs = numbers(2, 3, 5, 4), numbers(2, 3, 1, 4), numbers(2, 1, 1, 4)
    hidden, scale, shift = inputs
    torch.testing.assert_close(modulate(*inputs), hidden * (1 + scale) + shift)
    assert torch.autograd.gradcheck(modulate, inputs)


def test_query_and_key_are_normalised_and_the_value_is_not() -> None:
    def heads(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return normalised_heads(x.unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4))

    x = numbers(2, 5, 24)
    parts = x.unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    query, key = F.rms_norm(parts[:2], (4,), eps=torch.finfo(torch.float32).eps)
    for found, expected in zip(heads(x), (query, key, parts[2]), strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(heads, x)


def test_a_head_of_zeros_has_gradients() -> None:
    parts = torch.zeros(3, 2, 4, requires_grad=True)
    sum(part.sum() for part in normalised_heads(parts)).backward()
    assert parts.grad.isfinite().all()


def test_rotation_turns_the_two_halves_of_a_head_against_one_another() -> None:
    rotation, times, x = ClockRotation(8, window=4), torch.tensor([[3, 9]]), torch.randn(1, 2, 5, 3, 8)
    turns = torch.logspace(0, 1, 4, base=rotation.period / 2).round()
    angle = (2 * torch.pi * times[..., None] * turns / rotation.period)[:, :, None, None]
    first, second = x.chunk(2, dim=-1)
    halves = (
        first * angle.cos() - second * angle.sin(),
        first * angle.sin() + second * angle.cos(),
    )
    torch.testing.assert_close(rotate(x, rotation(times)), torch.cat(halves, dim=-1), atol=1e-5, rtol=1e-4)


def test_the_strided_stem_sees_space_to_depth_frames() -> None:
    for patch, channels in ((2, (8,)), (3, (8,)), (4, ())):
        encoder = Encoder(9, patch, channels, 16, 4)
        x = torch.randn(2, 9, 24, 24)
        torch.testing.assert_close(encoder.embed(x), encoder.stem(F.pixel_unshuffle(x, patch)))


def test_upsampling_is_depth_to_space() -> None:
    (up,) = Decoder(3, 2, (8,), 16, 4).ups
    x = torch.randn(2, 16, 6, 5)
    torch.testing.assert_close(upsampled(up, x), F.pixel_shuffle(up(x), 2))
