"""Training and denoising in one class, so that both corrupt and condition frames in the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.episode import Batch
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.memory import Memory
from worldmodel.model.network import Prediction, SpacetimeNetwork

# The velocity weight 1 / sigma**2 is capped here: nearly clean targets would drown all others.
SIGMA_FLOOR = 0.2
# Of a clip's first step when it cuts an episode: its velocity is unknown, its error irreducible.
START_WEIGHT = 0.1


@dataclass(frozen=True)
class NoiseConfig:
    """How training draws noise levels, and what each head's loss weighs.

    Target: clean share 1 - sigma is logit-normal(clean_mean, clean_std), or 0 (pure noise) with probability pure_noise.
    Past frames: level uniform in [0, past_max]. Imagination tells the network `past_told`. In own_share of the clips
    the past frames are the model's own predictions, 1 to own_passes steps deep, and all targets pure noise.
    """

    clean_mean: float = -1.2
    clean_std: float = 1.3
    pure_noise: float = 0.1
    past_max: float = 0.1
    past_told: float = 0.03
    own_share: float = 0.5
    own_passes: int = 3
    reward_weight: float = 0.01
    termination_weight: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.own_share <= 1:
            raise WorldModelError(f"noise.own_share is {self.own_share}, expected a share between 0 and 1.")
        if self.own_passes < 1:
            raise WorldModelError(f"noise.own_passes is {self.own_passes}, expected at least 1.")


class Denoiser(nn.Module):
    """x_sigma = (1 - sigma) x + sigma noise (flow matching); the network predicts x, weighted as a velocity error.

    An independent level per step (Diffusion Forcing, Chen et al., 2024) lets one network remember and denoise; the
    stacked past frames are always nearly clean, so every position of a clip trains against a clean past in one pass.
    """

    def __init__(self, network: SpacetimeNetwork, noise: NoiseConfig) -> None:
        super().__init__()
        self.network = network
        self.noise = noise

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """(loss, metrics) of a batch; the metrics are detached scalars. Noise comes from `generator` alone."""
        frames = frames_to_float(batch.frames)
        target = frames[:, 1:]
        own = round(self.noise.own_share * len(frames))
        sigma, past_sigma = self._draw_levels(target.shape[:2], target.device, generator)
        sigma[:own] = 1.0  # a less noisy target would tell the true past that these clips must do without
        noisy = interpolate(target, _normal_like(target, generator), sigma)
        known = self._own_predictions(frames, own, batch.actions, generator)
        past = self._noised_past(known, past_sigma, generator)
        prediction = self.network(noisy, sigma, past, past_sigma, batch.actions, _clip_times(sigma))
        return self._loss(prediction, target, sigma, batch)

    @torch.no_grad()
    def _own_predictions(
        self, frames: Tensor, count: int, actions: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The clips' frames [B,n+1,C,H,W], in the first `count` clips replaced by what the model dreams there.

        A network that has only seen true pasts lets an object fade once it has drawn it a little too faint. All
        positions are predicted at once from the previous round's predictions (a Jacobi iteration), so after k rounds
        each frame carries the error of a k-step dream, at the cost of k passes rather than of a rollout.
        """
        if count == 0:
            return frames
        rounds = int(
            torch.randint(1, self.noise.own_passes + 1, (), generator=generator, device=frames.device)
        )
        own, steps = frames[:count], actions.shape[1]
        sigma = frames.new_ones(count, steps)
        for _ in range(rounds):
            past_sigma = self._draw_past_levels(sigma, generator)
            past = self._noised_past(own, past_sigma, generator)
            noise = _normal_like(own[:, 1:], generator)
            dreamt = self.network(noise, sigma, past, past_sigma, actions[:count], _clip_times(sigma)).frame
            own = torch.cat([frames[:count, :1], dreamt.clamp(-1, 1)], dim=1)
        return torch.cat([own, frames[count:]])

    def denoise(
        self, noisy: Tensor, sigma: Tensor, past: Tensor, action: Tensor, times: Tensor, memory: Memory
    ) -> Prediction:
        """One pass of imagination; shapes as SpacetimeNetwork.forward, past frames told as `past_told`."""
        past_sigma = torch.full_like(sigma, self.noise.past_told)
        return self.network(noisy, sigma, past, past_sigma, action, times, memory)

    def termination_probability(self, logit: Tensor) -> Tensor:
        """Probability of the end in the world, from a logit trained on clips in which ends are more frequent."""
        return torch.sigmoid(logit - math.log(self.network.config.termination_odds))

    def _noised_past(self, frames: Tensor, past_sigma: Tensor, generator: torch.Generator) -> Tensor:
        """The stacked past of every step of a clip, noised: [B,n+1,C,H,W] -> [B,n,history*C,H,W]."""
        past = stacked_past(frames[:, :-1], self.network.config.history)
        return interpolate(past, _normal_like(past, generator), past_sigma)

    def _draw_levels(
        self, shape: torch.Size, device: torch.device, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        normal = torch.randn(shape, generator=generator, device=device)
        clean = torch.sigmoid(self.noise.clean_mean + self.noise.clean_std * normal)
        pure = torch.rand(shape, generator=generator, device=device) < self.noise.pure_noise
        sigma = torch.where(pure, 1.0, 1.0 - clean)
        return sigma, self._draw_past_levels(sigma, generator)

    def _draw_past_levels(self, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """Noise levels of the past frames, as many as there are in `sigma` [B,T]."""
        return torch.rand(sigma.shape, generator=generator, device=sigma.device) * self.noise.past_max

    def _loss(
        self, prediction: Prediction, target: Tensor, sigma: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.valid.to(sigma.dtype)
        weight[:, 0] *= torch.where(batch.at_start, 1.0, START_WEIGHT)
        error = (prediction.frame - target).square().mean(dim=(2, 3, 4))
        frame = (weight * error / sigma.clamp(min=SIGMA_FLOOR).square()).mean()
        reward = (weight * self.network.reward.loss(prediction.reward_logits, batch.rewards)).mean()
        ended = batch.terminated.to(prediction.termination_logit.dtype)
        termination = F.binary_cross_entropy_with_logits(prediction.termination_logit, ended, weight=weight)
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


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
