"""The networks of a probe: pixels to objects, pixels to free key points, and both to a state."""

# B frames, n objects, K key points, D features, H W size; S stacks of STACK frames, newest first

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STACK = 3  # frames a state is read from: the step's own and the two before
MOMENTS = 8  # numbers that MaskHead.moments tells of an object
# Cover below the first is nothing, above the second all of it: thousands of pixels of little cover would make an area.
COVER_RAMP = (0.04, 0.15)


class MaskHead(nn.Module):
    """How much of every pixel each object covers. Sees 15 by 15 pixels around it."""

    def __init__(self, objects: int, channels: int = 16) -> None:
        super().__init__()
        self.objects = objects
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=4, dilation=4),
            nn.ReLU(),
            nn.Conv2d(channels, objects + 1, 1),
        )
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def logits(self, frames: Tensor) -> Tensor:
        """float [B,3,H,W] in [-1,1] -> [B,n+1,H,W]; the last is the background."""
        return self.layers(
            frames.contiguous(memory_format=torch.channels_last)
        )  # three times as fast on a CPU

    def forward(self, frames: Tensor) -> Tensor:
        """Cover [B,n,H,W] in [0,1]; see COVER_RAMP."""
        cover, (low, high) = self.logits(frames).softmax(dim=1)[:, :-1], COVER_RAMP
        return cover * ((cover - low) / (high - low)).clamp(0, 1)

    @staticmethod
    def moments(masks: Tensor) -> Tensor:
        """[B,n,H,W] -> [B,n,MOMENTS]: square root of the area's share of the picture; row and column of the centroid in
        [-1,1]; second moments (row, column, both); which are all 0 where there is nothing, and 1 if there is something;
        and the covered share of the picture's outermost pixels, beyond which an object may go on."""
        height, width = masks.shape[-2:]
        rows = torch.linspace(-1, 1, height, device=masks.device)
        columns = torch.linspace(-1, 1, width, device=masks.device)
        down, across = masks.sum(-1), masks.sum(-2)
        area = down.sum(-1)
        least = area.clamp(min=1e-6)
        row, column = (down @ rows) / least, (across @ columns) / least
        rr = (down @ rows.square()) / least - row.square()
        cc = (across @ columns.square()) / least - column.square()
        rc = torch.einsum("bnhw,h,w->bn", masks, rows, columns) / least - row * column
        rim = (
            masks[..., 0, :].sum(-1)
            + masks[..., -1, :].sum(-1)
            + masks[..., 0].sum(-1)
            + masks[..., -1].sum(-1)
        )
        there = (area > 0.5).float()
        size = (area / (height * width)).sqrt()
        parts = [
            size,
            row,
            column,
            4 * rr,
            4 * cc,
            4 * rc,
            torch.ones_like(row),
            rim / (2 * (height + width)),
        ]
        return torch.stack(parts, dim=-1) * there[..., None]


class KeyPoints(nn.Module):
    """K free points of attention (spatial softmax), for what no object mask shows."""

    def __init__(self, points: int, channels: int = 24) -> None:
        super().__init__()
        self.points = points
        self.layers = nn.Sequential(
            nn.Conv2d(5, channels, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(channels, points, 1),
        )
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def forward(self, frames: Tensor) -> Tensor:
        """float [B,3,H,W] -> [B,3K]: row and column in [-1,1], and how sure."""
        height, width = frames.shape[-2:]
        rows = torch.linspace(-1, 1, height).view(1, 1, -1, 1).expand(len(frames), 1, height, width)
        columns = torch.linspace(-1, 1, width).view(1, 1, 1, -1).expand(len(frames), 1, height, width)
        maps = self.layers(torch.cat([frames, rows, columns], dim=1)) * self.sharpness.exp()
        tall, wide = maps.shape[-2:]
        share = maps.flatten(2).softmax(dim=-1).unflatten(2, (tall, wide))
        row = share.sum(-1) @ torch.linspace(-1, 1, tall)
        column = share.sum(-2) @ torch.linspace(-1, 1, wide)
        return torch.cat([row, column, torch.tanh(maps.amax((2, 3)) / 10)], dim=1)


class Readout(nn.Module):
    """Standardised numbers from a description: a linear map and what a small network adds."""

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.linear = nn.Linear(inputs, outputs)
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first, second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.layers = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)

    def forward(self, seen: Tensor) -> Tensor:
        """[...,inputs] -> [...,outputs]."""
        seen = ((seen - self.mean) / self.scale).clamp(-6, 6)
        return self.linear(seen) + self.layers(seen)

    @torch.no_grad()
    def fit_linear(self, seen: Tensor, target: Tensor, known: Tensor, ridge: float = 1e-6) -> None:
        """Standardise the inputs [S,inputs] and solve for the linear part in closed form; target, known [S,outputs]."""
        self.mean.copy_(seen.mean(0))
        self.scale.copy_(seen.std(0).clamp(min=1e-4))
        design = ((seen - self.mean) / self.scale).clamp(-6, 6).double()
        design = torch.cat([design, torch.ones(len(design), 1, dtype=torch.float64)], dim=1)
        for i in range(target.shape[1]):
            a, b = design[known[:, i]], target[known[:, i], i].double()
            gram = a.T @ a + ridge * max(1, len(a)) * torch.eye(a.shape[1], dtype=torch.float64)
            solved = torch.linalg.solve(gram, a.T @ b)
            self.linear.weight[i], self.linear.bias[i] = solved[:-1].float(), solved[-1].float()


def stacked(values: Tensor) -> Tensor:
    """[N,W,...] of frames running -> [N,W-STACK+1,STACK,...] of every frame and those before, newest first."""
    count = values.shape[1] - STACK + 1
    places = [slice(STACK - 1 - age, STACK - 1 - age + count) for age in range(STACK)]
    return torch.stack([values[:, place] for place in places], dim=2)


def motion(places: Tensor, known: Tensor) -> Tensor:
    """What speeds are read from: places [...,STACK,P], newest first, as the newest and the changes from frame to frame
    (speeds lie in small differences of large numbers), 0 where not known [...,STACK,P], and which are known."""
    now = torch.where(known, places, 0.0)
    both = known[..., :-1, :] & known[..., 1:, :]
    changes = torch.where(both, places[..., :-1, :] - places[..., 1:, :], 0.0)
    return torch.cat([now[..., 0, :], changes.flatten(-2), known.float().flatten(-2)], dim=-1)


def spoilt(frames: Tensor, generator: torch.Generator) -> Tensor:
    """float [B,3,H,W] in [-1,1] (or [B,STACK,3,H,W], each stack alike) with random brightness, contrast, colour
    cast, blur and noise; a third stays as it is. A probe must not mind what a dream's picture lacks in polish."""
    stacked = frames if frames.ndim == 5 else frames[:, None]
    count = len(stacked)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    on = (draw(count, 1, 1, 1, 1) > 1 / 3).float()
    gain = 1 + on * (0.4 * draw(count, 1, 1, 1, 1) - 0.2)
    cast = on * (0.16 * draw(count, 1, 3, 1, 1) - 0.08)
    changed = stacked * gain + cast + on * (0.3 * draw(count, 1, 1, 1, 1) - 0.15)
    blurred = F.avg_pool2d(F.pad(changed.flatten(0, 1), (1, 1, 1, 1), mode="replicate"), 3, 1).view_as(
        changed
    )
    mix = on * draw(count, 1, 1, 1, 1) * (draw(count, 1, 1, 1, 1) > 0.5)
    changed = changed + mix * (blurred - changed)
    level = on * 0.14 * draw(count, 1, 1, 1, 1) * (draw(count, 1, 1, 1, 1) > 0.4)
    changed = changed + level * torch.randn(changed.shape, generator=generator)
    return changed.clamp(-1, 1).view_as(frames)
