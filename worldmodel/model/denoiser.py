"""Training and denoising in one class, so that both corrupt and condition frames in the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.episode import Batch
from worldmodel.frames import frames_to_float
from worldmodel.model.memory import Memory
from worldmodel.model.network import Prediction, SpacetimeNetwork
from worldmodel.noise import BatchNoise

# The velocity weight 1 / sigma**2 is capped here: nearly clean targets would drown all others.
SIGMA_FLOOR = 0.2
# Of a clip's first step when it cuts an episode: its velocity is unknown, its error irreducible.
START_WEIGHT = 0.1


@dataclass(frozen=True)
class NoiseConfig:
    """How training draws noise levels, and what each head's loss weighs.

    Target: clean share 1 - sigma is logit-normal(clean_mean, clean_std), or 0 (pure noise) with probability pure_noise.
    Past frames: level uniform in [0, past_max]; imagination tells the network `past_told`. That much noise on the past
    makes dreams last: a network that has only seen clean pasts lets an object fade once it has drawn it too faint.
    """

    clean_mean: float = -1.2
    clean_std: float = 1.3
    pure_noise: float = 0.3
    past_max: float = 0.4
    past_told: float = 0.1
    reward_weight: float = 0.001
    termination_weight: float = 0.001


class Denoiser(nn.Module):
    """x_sigma = (1 - sigma) x + sigma noise (flow matching); the network predicts x, weighted as a velocity error.

    An independent level per step (Diffusion Forcing, Chen et al., 2024) lets one network remember and denoise; the
    stacked past frames are always nearly clean, so every position of a clip trains against a clean past in one pass.
    """

    def __init__(self, network: SpacetimeNetwork, noise: NoiseConfig) -> None:
        super().__init__()
        self.network = network
        self.noise = noise

    def forward(self, batch: Batch, draw: BatchNoise) -> tuple[Tensor, dict[str, Tensor]]:
        """(loss, metrics) of a batch, or of this process's clips of it; the metrics are detached scalars. All chance
        comes from `draw`. The loss is float32 whatever the network computes in."""
        frames = frames_to_float(batch.frames)
        target = frames[:, 1:]
        clips, steps = len(frames) * draw.world, target.shape[1]
        sigma, past_sigma = self._draw_levels(clips, steps, draw)
        noisy = interpolate(target, draw.normal(clips, *target.shape[1:]), sigma)
        past = stacked_past(frames[:, :-1], self.network.config.history)
        past = interpolate(past, draw.normal(clips, *past.shape[1:]), past_sigma)
        prediction = self.network(noisy, sigma, past, past_sigma, batch.actions, _clip_times(sigma))
        with torch.autocast(frames.device.type, enabled=False):
            return self._loss(prediction, target, sigma, batch)

    def denoise(
        self, noisy: Tensor, sigma: Tensor, past: Tensor, action: Tensor, times: Tensor, memory: Memory
    ) -> Prediction:
        """One pass of imagination; shapes as SpacetimeNetwork.forward, past frames told as `past_told`."""
        past_sigma = torch.full_like(sigma, self.noise.past_told)
        return self.network(noisy, sigma, past, past_sigma, action, times, memory)

    def termination_probability(self, logit: Tensor) -> Tensor:
        """Probability of the end in the world, from a logit trained with ends weighing termination_odds times more."""
        return torch.sigmoid(logit - math.log(self.network.config.termination_odds))

    def _draw_levels(self, clips: int, steps: int, draw: BatchNoise) -> tuple[Tensor, Tensor]:
        clean = torch.sigmoid(self.noise.clean_mean + self.noise.clean_std * draw.normal(clips, steps))
        pure = draw.uniform(clips, steps) < self.noise.pure_noise
        return torch.where(pure, 1.0, 1.0 - clean), draw.uniform(clips, steps) * self.noise.past_max

    def _loss(
        self, prediction: Prediction, target: Tensor, sigma: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.valid.to(sigma.dtype)
        weight[:, 0] *= torch.where(batch.at_start, 1.0, START_WEIGHT)
        error = (prediction.frame - target).square().mean(dim=(2, 3, 4))
        frame = (weight * error / sigma.clamp(min=SIGMA_FLOOR).square()).mean()
        # For both heads every transition of the data counts the same, however often clips show it.
        even = weight * batch.importance
        reward = (even * self.network.reward.loss(prediction.reward_logits, batch.rewards)).mean()
        ended = batch.terminated.to(sigma.dtype)
        balanced = even * torch.where(batch.terminated, self.network.config.termination_odds, 1.0)
        termination = F.binary_cross_entropy_with_logits(prediction.termination_logit, ended, weight=balanced)
        loss = frame + self.noise.reward_weight * reward + self.noise.termination_weight * termination
        metrics = {
            "loss": loss,
            "frame": frame,
            "reward": reward,
            "termination": termination,
            "error": error.mean(),
        }
        return loss, {name: value.detach() for name, value in metrics.items()}


def interpolate(x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """x_sigma = (1 - sigma) x + sigma noise, sigma [B,T] over x [B,T,C,H,W]."""
    return torch.lerp(x, noise, sigma[:, :, None, None, None])


def stacked_past(frames: Tensor, history: int) -> Tensor:
    """x_t, x_{t-1}, ... of every step t: [B,n,C,H,W] -> [B,n,history*C,H,W]; before the first frame lies the first."""
    steps = torch.arange(frames.shape[1], device=frames.device)
    ages = torch.arange(history, device=frames.device)
    index = (steps[:, None] - ages).clamp(min=0)
    return frames[:, index].flatten(2, 3)


def _clip_times(sigma: Tensor) -> Tensor:
    return torch.arange(sigma.shape[1], device=sigma.device).expand(sigma.shape)
