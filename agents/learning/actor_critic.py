"""A small policy and value function over pixels."""

# B batch, H W C frame, D size of an encoded action

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import gymnasium as gym
import torch
from torch import Tensor, nn

from worldmodel.agents.learning.distributions import ActionDistribution, ActionHead
from worldmodel.model.state import DreamState
from worldmodel.spaces import ActionCodec

STACKED_FRAMES = 2  # x_t and x_{t-1}: velocity in plain sight
_SMALLEST_SCALE = 1e-2


def observation(last: Tensor, previous: Tensor) -> Tensor:
    """What an agent sees at x_t, in dreams and in reality: float [B,2C,H,W] in [-1,1], x_t first, then x_{t-1}.

    At an episode's start x_0 stands for the frame before it.
    """
    return torch.cat([last, previous], dim=1)


def deviation(values: Tensor) -> Tensor:
    """Standard deviation of all values; 0 of a single one, such as the last step that a budget allows one world."""
    return values.std(correction=min(1, values.numel() - 1))


@dataclass(frozen=True)
class Outlook:
    """What the agent makes of B observations: a distribution over encoded actions, and value [B] in units of reward."""

    actions: ActionDistribution
    value: Tensor


class ActorCritic(nn.Module):
    """Patches of 4 pixels, two 3x3 convolutions, one hidden layer, and heads for action and value.

    frame_shape (H, W, C); about 2 MFLOP for two 32x32 frames; larger ones: more strided convolutions. The value head
    predicts normalised returns; `rescale_values` moves its units without changing what it says (PopArt, van Hasselt et
    al., 2016), so that the same learning rate serves rewards of any size.
    """

    value_mean: Tensor
    value_scale: Tensor
    rescalings: Tensor

    def __init__(
        self,
        frame_shape: tuple[int, int, int],
        action_space: gym.Space[Any],
        channels: int = 32,
        hidden: int = 128,
        init_std: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.frame_shape, self.action_space = frame_shape, action_space
        self.config = {"channels": channels, "hidden": hidden, "init_std": init_std}
        self.codec = ActionCodec(action_space)
        layout = self.codec.layout
        with torch.random.fork_rng(devices=[]):  # only the initial weights come from torch's global generator
            torch.manual_seed(seed)
            self.trunk = _trunk(frame_shape, channels, hidden)
            self.actor = nn.Sequential(
                _linear(hidden, hidden), nn.SiLU(), ActionHead(hidden, layout, init_std)
            )
            self.critic = nn.Sequential(_linear(hidden, hidden), nn.SiLU(), _linear(hidden, 1, gain=0.1))
        self.register_buffer("value_mean", torch.zeros(()))
        self.register_buffer("value_scale", torch.ones(()))
        self.register_buffer("rescalings", torch.zeros(()))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, observation: Tensor) -> Outlook:
        """observation: float [B,2C,H,W], see `observation`."""
        height, width, color = self.frame_shape
        expected = (STACKED_FRAMES * color, height, width)
        assert observation.shape[1:] == expected, (
            f"observation {list(observation.shape)}, expected [B, *{expected}]"
        )
        hidden = self.trunk(observation.contiguous(memory_format=torch.channels_last))
        value = self.critic(hidden)[:, 0] * self.value_scale + self.value_mean
        return Outlook(self.actor(hidden), value)

    def sees(self, state: DreamState) -> Tensor:
        """What it sees of B dreams: the argument of `forward`."""
        return observation(state.last, state.previous)

    @torch.no_grad()
    def follow_returns(self, returns: Tensor, decay: float) -> None:
        """Move the value head's units to the mean and deviation of recent returns; `decay`: the weight of the past."""
        decay = min(decay, 1 - 1 / (1 + self.rescalings.item()))
        mean = torch.lerp(returns.mean(), self.value_mean, decay)
        scale = torch.lerp(deviation(returns), self.value_scale, decay)
        self.rescale_values(mean, scale)
        self.rescalings += 1

    @torch.no_grad()
    def rescale_values(self, mean: Tensor, scale: Tensor) -> None:
        """Set the units of the value head's output; the values it predicts stay the same."""
        scale = scale.clamp(min=_SMALLEST_SCALE)
        last: nn.Linear = self.critic[-1]  # type: ignore[assignment]
        last.weight.mul_(self.value_scale / scale)
        last.bias.mul_(self.value_scale).add_(self.value_mean - mean).div_(scale)
        self.value_mean.copy_(mean)
        self.value_scale.copy_(scale)


def _trunk(frame_shape: tuple[int, int, int], channels: int, hidden: int) -> nn.Sequential:
    height, width, color = frame_shape
    layers: list[nn.Module] = [
        _conv(STACKED_FRAMES * color, channels, kernel=4, stride=4),
        nn.SiLU(),
        _conv(channels, channels, kernel=3),
        nn.SiLU(),
    ]
    height, width = height // 4, width // 4
    while max(height, width) > 8:
        layers += [_conv(channels, channels, kernel=3, stride=2), nn.SiLU()]
        height, width = (height + 1) // 2, (width + 1) // 2
    layers += [nn.Flatten(), _linear(channels * height * width, hidden), nn.LayerNorm(hidden), nn.SiLU()]
    return nn.Sequential(*layers)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2 if kernel == 3 else 0)
    return _orthogonal(conv, gain=2**0.5)


def _linear(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    return _orthogonal(nn.Linear(inputs, outputs), gain)


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _orthogonal(layer: Layer, gain: float) -> Layer:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
