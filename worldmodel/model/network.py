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
from worldmodel.model.fused import multiply_add
from worldmodel.model.heads import Readout, TwoHotReward
from worldmodel.model.memory import Memory
from worldmodel.model.transformer import ClockRotation, JointBlock, SpacetimeBlock

BLOCKS = {"factorised": SpacetimeBlock, "joint": JointBlock}
PREDICTIONS = ("frame", "velocity")


@dataclass(frozen=True)
class Prediction:
    """One pass over B dreams and T steps: frame [B,T,C,H,W] (estimate of the clean next frame, in [-1,1]),
    reward_logits [B,T,K], termination_logit [B,T], features [B,T,F] (what both heads read)."""

    frame: Tensor
    reward_logits: Tensor
    termination_logit: Tensor
    features: Tensor


class SpacetimeNetwork(ModelMixin, ConfigMixin):
    """Token step t: the noisy next frame z_{t+1} stacked with x_t and those before it, conditioned on sigma and a_t.

    frame_shape (H, W, C); action_dim D of the ActionCodec; history: how many frames, x_t and those before it, are
    stacked (two put velocity in plain sight); patch and channels shape the convolutional encoder, whose grid of tokens
    (H / (patch * 2**levels)) the transformer of `depth` layers and `width` channels reads over `window` time steps, its
    own included. attention: "factorised" (over space, then over time) or "joint"; prediction: what the decoder's output
    means, the clean "frame" or the flow's "velocity". reward_range bounds the reward's bins; termination_odds: how many
    times more an episode's end weighs in the termination loss than any other step.
    """

    @register_to_config
    def __init__(
        self,
        frame_shape: tuple[int, int, int],
        action_dim: int,
        history: int = 2,
        patch: int = 2,
        channels: tuple[int, ...] = (32,),
        width: int = 96,
        depth: int = 2,
        heads: int = 3,
        window: int = 8,
        attention: str = "factorised",
        prediction: str = "frame",
        condition_width: int = 128,
        features: int = 128,
        reward_range: tuple[float, float] = (-1.0, 1.0),
        reward_bins: int = 41,
        termination_odds: float = 1.0,
    ) -> None:
        super().__init__()
        height, frame_width, color = frame_shape
        sizes = (patch, *channels, width, depth, heads, condition_width, features)
        if min(sizes) < 1:
            raise WorldModelError(
                f"model.patch={patch}, model.channels={list(channels)}, model.width={width}, model.depth={depth}, "
                f"model.heads={heads}, model.condition_width={condition_width}, model.features={features}: "
                "each must be at least 1."
            )
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
        if history < 0 or attention not in BLOCKS or prediction not in PREDICTIONS:
            raise WorldModelError(
                f"model.history={history}, model.attention={attention}, model.prediction={prediction}: expected 0 or "
                f"more, one of {', '.join(BLOCKS)}, and one of {', '.join(PREDICTIONS)}."
            )
        self.grid = (height // reduction, frame_width // reduction)
        tokens = self.grid[0] * self.grid[1]
        self.conditioning = Conditioning(action_dim, condition_width)
        self.encoder = Encoder(color * (1 + history), patch, tuple(channels), width, condition_width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.rotation = ClockRotation(width // heads, window)
        self.layers = nn.ModuleList(
            BLOCKS[attention](width, heads, condition_width, i, window) for i in range(depth)
        )
        self.decoder = Decoder(color, patch, tuple(channels), width, condition_width)
        self.gates = Gates(condition_width) if prediction == "frame" else None
        self.readout = Readout(width, tokens, condition_width, features)
        self.reward = TwoHotReward(features, tuple(reward_range), reward_bins)  # type: ignore[arg-type]
        self.termination = nn.Linear(features, 1)

    @property
    def device(self) -> torch.device:
        """Where the weights are; ModelMixin's own walks through all modules at each call."""
        return self.position.device

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
        """noisy [B,T,C,H,W], sigma [B,T]; past [B,T,history*C,H,W] (x_t first), past_sigma [B,T]; action
        [B,T,D]; times int64 [B,T]. Without memory the T steps attend one another (training); with it, what it holds
        too, and their own keys and values are written into it."""
        batch, steps = sigma.shape
        condition = self.conditioning(sigma, past_sigma, action)
        per_frame = condition.flatten(0, 1)
        grid, skips = self.encoder(torch.cat([noisy, past], dim=2).flatten(0, 1), per_frame)
        tokens = grid.permute(0, 2, 3, 1).reshape(batch, steps, -1, grid.shape[1]) + self.position.to(
            grid.dtype
        )
        tokens = self._transform(tokens, condition, times, memory)
        grid = tokens.reshape(batch * steps, *self.grid, -1).permute(0, 3, 1, 2)
        output = self.decoder(grid, skips, per_frame).to(noisy.dtype, memory_format=torch.contiguous_format)
        # Sums of almost equal numbers and the heads stay in float32 when the trunk runs in bfloat16.
        with torch.autocast(noisy.device.type, enabled=False):
            features = self.readout(tokens.float(), condition.float())
            return Prediction(
                frame=self._frame(output.view(noisy.shape), noisy, sigma, past),
                reward_logits=self.reward(features),
                termination_logit=self.termination(features).squeeze(-1),
                features=features,
            )

    def _frame(self, output: Tensor, noisy: Tensor, sigma: Tensor, past: Tensor) -> Tensor:
        if self.gates is None:  # the output is the flow's velocity dz/dsigma = (z - x) / sigma
            return noisy - sigma[:, :, None, None, None] * output
        keep_noisy, keep_last = self.gates(sigma)
        frame = multiply_add(output, noisy, keep_noisy)
        if self.config.history:
            frame = multiply_add(frame, past[:, :, : noisy.shape[2]], keep_last)
        return frame

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
