"""Convolutional blocks of the encoder and decoder. Tensors are [B*T, C, H, W] in channels-last memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.model.conditioning import modulate


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
        """x [B*T,C,H,W] -> grid [B*T,width,h,w] and one skip per level, finest first."""
        x = self.stem(F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last))
        skips = []
        for block, down in zip(self.blocks, self.downs, strict=True):
            x = block(x, condition)
            skips.append(x)
            x = down(x)
        return x, skips


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
            joined = F.pixel_shuffle(up(x), 2) + skip
            x = block(joined.contiguous(memory_format=torch.channels_last), condition)
        return F.pixel_shuffle(self.out(F.silu(x)), self.patch)
