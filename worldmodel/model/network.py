"""The causal spacetime network: one pass predicts the clean next frame, the reward and the end of the episode."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from worldmodel.errors import WorldModelError
from worldmodel.model.conditioning import Conditioning, NoiseLevelEmbedding
from worldmodel.model.convolution import Decoder, Encoder
from worldmodel.model.heads import Readout, TwoHotReward
from worldmodel.model.memory import Memory
from worldmodel.model.transformer import ClockRotation, TransformerBlock

STACKED_FRAMES = 2  # x_t and x_{t-1}: the second puts velocity in plain sight


@dataclass(frozen=True)
class Prediction:
    """One pass over B dreams and T steps: frame [B,T,C,H,W] (estimate of the clean next frame, in [-1,1]),
    reward_logits [B,T,K], termination_logit [B,T], features [B,T,F] (what both heads read)."""

    frame: Tensor
    reward_logits: Tensor
    termination_logit: Tensor
    features: Tensor


class SpacetimeNetwork(ModelMixin, ConfigMixin):
    """Token step t: the noisy next frame z_{t+1} stacked with x_t and x_{t-1}, conditioned on sigma and a_t.

    frame_shape (H, W, C); action_dim D of the ActionCodec; patch and channels shape the convolutional encoder, whose
    grid of tokens (H / (patch * 2**levels)) the transformer of `depth` layers and `width` channels reads over `window`
    time steps, its own included. reward_range bounds the reward's bins; termination_odds: how many times higher the
    odds of an episode's end are in the training clips than in the world.
    """

    @register_to_config
    def __init__(
        self,
        frame_shape: tuple[int, int, int],
        action_dim: int,
        patch: int = 2,
        channels: tuple[int, ...] = (32,),
        width: int = 96,
        depth: int = 2,
        heads: int = 3,
        window: int = 8,
        condition_width: int = 128,
        features: int = 128,
        reward_range: tuple[float, float] = (-1.0, 1.0),
        reward_bins: int = 41,
        termination_odds: float = 1.0,
    ) -> None:
        super().__init__()
        height, frame_width, color = frame_shape
        reduction = patch * 2 ** len(channels)
        if height % reduction or frame_width % reduction:
            raise WorldModelError(
                f"Frames of {height}x{frame_width} pixels do not divide into this network's grid: "
                f"height and width must be multiples of {reduction}."
            )
        if width % heads or (width // heads) % 2:
            raise WorldModelError(f"model.width={width} does not divide into {heads} heads of even size.")
        if window < 1 or reward_bins < 2:
            raise WorldModelError("model.window must be at least 1 and model.reward_bins at least 2.")
        self.grid = (height // reduction, frame_width // reduction)
        tokens = self.grid[0] * self.grid[1]
        self.conditioning = Conditioning(action_dim, condition_width)
        self.encoder = Encoder(color * (1 + STACKED_FRAMES), patch, tuple(channels), width, condition_width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.rotation = ClockRotation(width // heads, window)
        self.layers = nn.ModuleList(
            TransformerBlock(width, heads, condition_width, i, window) for i in range(depth)
        )
        self.decoder = Decoder(color, patch, tuple(channels), width, condition_width)
        self.gates = Gates(condition_width)
        self.readout = Readout(width, tokens, condition_width, features)
        self.reward = TwoHotReward(features, tuple(reward_range), reward_bins)  # type: ignore[arg-type]
        self.termination = nn.Linear(features, 1)

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        past: Tensor,
        past_sigma: Tensor,
        action: Tensor,
        times: Tensor,
        memory: Memory | None = None,
    ) -> Prediction:
        """noisy [B,T,C,H,W], sigma [B,T]; past [B,T,2C,H,W] (x_t and x_{t-1}), past_sigma [B,T]; action [B,T,D];
        times int64 [B,T]. Without memory the T steps attend one another (training); with it, what it holds too, and
        their own keys and values are written into it."""
        batch, steps = sigma.shape
        condition = self.conditioning(sigma, past_sigma, action)
        per_frame = condition.flatten(0, 1)
        grid, skips = self.encoder(torch.cat([noisy, past], dim=2).flatten(0, 1), per_frame)
        tokens = grid.permute(0, 2, 3, 1).reshape(batch, steps, -1, grid.shape[1]) + self.position
        tokens = self._transform(tokens, condition, times, memory)
        grid = tokens.reshape(batch * steps, *self.grid, -1).permute(0, 3, 1, 2)
        output = self.decoder(grid, skips, per_frame).unflatten(0, (batch, steps))
        keep_noisy, keep_last = self.gates(sigma)
        last = past[:, :, : noisy.shape[2]]
        features = self.readout(tokens, condition)
        return Prediction(
            frame=output + keep_noisy * noisy + keep_last * last,
            reward_logits=self.reward(features),
            termination_logit=self.termination(features).squeeze(-1),
            features=features,
        )

    def _transform(self, tokens: Tensor, condition: Tensor, times: Tensor, memory: Memory | None) -> Tensor:
        if memory is not None:
            memory.claim(times)
        rotation = self.rotation(times)
        for layer in self.layers:
            tokens = layer(tokens, condition, rotation, times, memory)
        return tokens

    def new_memory(self, batch: int) -> Memory:
        """An empty memory for `batch` dreams."""
        config = self.config
        head_dim = config.width // config.heads
        tokens = self.grid[0] * self.grid[1]
        return Memory.empty(
            batch, config.depth, config.window, tokens, config.heads, head_dim, self.position.detach()
        )


class Gates(nn.Module):
    """How much of z and of x_t the output carries, given sigma; they start at 0 and 1: copy, then change."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = NoiseLevelEmbedding(width)
        self.out = nn.Linear(width, 2)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([0.0, 1.0]))

    def forward(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """[B,T] -> two gates [B,T,1,1,1]."""
        noisy, last = self.out(torch.nn.functional.silu(self.embed(sigma)))[..., None, None].unbind(dim=2)
        return noisy[..., None], last[..., None]
