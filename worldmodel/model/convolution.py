"""Convolutional blocks of the encoder and decoder. Tensors are [B*T, C, H, W] in channels-last memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.model.fused import modulate


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(silu(modulated norm(x))))): norm over channels, modulated by the step's conditioning."""

    def __init__(self, channels: int, condition_width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(condition_width, 2 * channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [B*T,C,H,W], condition [B*T,E] -> [B*T,C,H,W]."""
        scale, shift = self.modulation(condition)[:, None, None].chunk(2, dim=-1)
        pixels = x.permute(0, 2, 3, 1)  # channels last: a view, and layer_norm's fast path
        normed = modulate(F.layer_norm(pixels, pixels.shape[-1:]), scale, shift)
        hidden = self.conv1(F.silu(normed).permute(0, 3, 1, 2))
        return x + self.conv2(F.silu(hidden))


class Encoder(nn.Module):
    """Space-to-depth, then per level a residual block and a strided convolution: frame -> grid of tokens, skips.

    Without levels it is a plain patch embedding."""

    def __init__(
        self, in_channels: int, patch: int, channels: tuple[int, ...], width: int, condition_width: int
    ) -> None:
        super().__init__()
        self.patch = patch
        first, kernel = (channels[0], 3) if channels else (width, 1)
        self.stem = nn.Conv2d(in_channels * patch**2, first, kernel, padding=kernel // 2)
        self.blocks = nn.ModuleList(ResidualBlock(c, condition_width) for c in channels)
        outputs = (*channels, width)[1:]
        self.downs = nn.ModuleList(
            nn.Conv2d(c, out, 3, stride=2, padding=1) for c, out in zip(channels, outputs, strict=True)
        )

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x [B*T,C,H,W] -> grid [B*T,width,h,w] and one skip per level, finest first, in the condition's dtype."""
        x = self.embed(x.to(condition.dtype, memory_format=torch.channels_last))
        skips = []
        for block, down in zip(self.blocks, self.downs, strict=True):
            x = block(x, condition)
            skips.append(x)
            x = down(x)
        return x, skips

    def embed(self, x: Tensor) -> Tensor:
        """self.stem(F.pixel_unshuffle(x, patch)) as one convolution with stride `patch`: only its small kernel is
        rearranged."""
        patch, size = self.patch, self.stem.kernel_size[0]
        kernel = self.stem.weight.unflatten(1, (-1, patch, patch)).permute(0, 1, 4, 2, 5, 3)
        kernel = kernel.reshape(len(kernel), -1, patch * size, patch * size)
        return F.conv2d(x, kernel, self.stem.bias, stride=patch, padding=patch * (size // 2))


class Decoder(nn.Module):
    """The encoder mirrored: each level is upsampled, added to its skip and refined. The last layer starts at 0."""

    def __init__(
        self, out_channels: int, patch: int, channels: tuple[int, ...], width: int, condition_width: int
    ) -> None:
        super().__init__()
        self.patch = patch
        inputs = (*channels, width)[1:]
        self.ups = nn.ModuleList(nn.Conv2d(i, 4 * c, 1) for i, c in zip(inputs, channels, strict=True))
        self.blocks = nn.ModuleList(ResidualBlock(c, condition_width) for c in channels)
        last, kernel = (channels[0], 3) if channels else (width, 1)
        self.out = nn.Conv2d(last, out_channels * patch**2, kernel, padding=kernel // 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, skips: list[Tensor], condition: Tensor) -> Tensor:
        """grid [B*T,width,h,w] and skips, finest first -> [B*T,C,H,W]."""
        for up, block, skip in reversed(list(zip(self.ups, self.blocks, skips, strict=True))):
            x = block(upsampled(up, x) + skip, condition)  # type: ignore[arg-type]
        return F.pixel_shuffle(self.out(F.silu(x)), self.patch)


def upsampled(up: nn.Conv2d, x: Tensor) -> Tensor:
    """pixel_shuffle(up(x), 2), with the kernel's channels in an order that leaves whole pixels together."""
    assert up.bias is not None
    weight = up.weight.flatten(1).unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1)
    bias = up.bias.unflatten(0, (-1, 4)).t().flatten()
    pixels = F.linear(x.permute(0, 2, 3, 1), weight, bias)  # [B*T,h,w,4C]
    batch, height, width, _ = pixels.shape
    pixels = pixels.view(batch, height, width, 2, 2, -1).transpose(2, 3)
    return pixels.reshape(batch, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)
