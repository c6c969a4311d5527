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
from worldmodel.model.network import Drawing, Prediction, SpacetimeNetwork
from worldmodel.model.precision import without_gradients
from worldmodel.noise import BatchNoise

# The velocity weight 1 / sigma**2 is capped here: nearly clean targets would drown all others.
SIGMA_FLOOR = 0.2
# Of a clip's first step when it cuts an episode: its velocity is unknown, its error irreducible.
START_WEIGHT = 0.1


@dataclass(frozen=True)
class NoiseConfig:
    """How training draws noise levels, and what each head's loss weighs.

    Target: clean share 1 - sigma is logit-normal(clean_mean, clean_std), or 0 (pure noise) with probability pure_noise.
    Past frames: level uniform in [0, past_max]; imagination tells the network `past_told`. In dream_share of the clips
    the heads learn from the model's own dream, 1 to dream_depth steps deep, and the trunk learns nothing.
    """

    clean_mean: float = -1.2
    clean_std: float = 1.3
    pure_noise: float = 0.1
    past_max: float = 0.4
    past_told: float = 0.1
    dream_share: float = 0.125
    dream_depth: int = 4
    reward_weight: float = 0.01
    termination_weight: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.dream_share < 1:
            raise WorldModelError(
                f"noise.dream_share is {self.dream_share}, expected at least 0 and less than 1."
            )
        if self.dream_depth < 1:
            raise WorldModelError(f"noise.dream_depth is {self.dream_depth}, expected at least 1.")


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
        dreamt = draw.count(self.noise.dream_share * clips)
        held = draw.held(dreamt)
        sigma, past_sigma = self._draw_levels(clips, steps, draw)
        noise = draw.normal(clips, *target.shape[1:])
        noisy = interpolate(target, noise, sigma)
        past = self._noised_past(frames, self._draw_past(clips, target, draw), past_sigma)
        true = slice(held, None)  # the clips after those that dream
        drawing = self.network.draw(
            noisy[true],
            sigma[true],
            past[true],
            past_sigma[true],
            batch.actions[true],
            _clip_times(sigma)[true],
        )
        heads = drawing
        if held:
            dream = self._dream(frames[:held], batch.actions[:held], noise[:held], draw)
            heads = Drawing.concatenate([dream, drawing])
        prediction = self.network.read(heads)
        with torch.autocast(frames.device.type, enabled=False):
            return self._loss(drawing.frame, prediction, target, sigma, batch, (clips - dreamt) / draw.world)

    @without_gradients()
    def _dream(self, frames: Tensor, actions: Tensor, noise: Tensor, draw: BatchNoise) -> Drawing:
        """What the model draws when it goes on by itself from the first of these frames [B,n+1,C,H,W].

        The heads must know dreams: taught by true pasts alone, they are wrong about rewards a few steps into one. The
        trunk must not learn from them: where a dreamt past puts a thing elsewhere, the true next frame is the wrong
        answer to it, and the network learns to blur and to distrust its past and its actions. All positions are drawn
        at once, in one pass each, from the previous round's frames (a Jacobi iteration): after k rounds each carries
        the error of a k-step dream, at the cost of k passes rather than of a rollout.
        """
        one = torch.ones(noise.shape[:2], device=noise.device)
        told, times = one * self.noise.past_told, _clip_times(one)
        own = frames
        for _ in range(draw.integer(1, self.noise.dream_depth + 1)):
            past = stacked_past(own[:, :-1], self.network.config.history)
            drawing = self.network.draw(noise, one, past, told, actions, times)
            own = torch.cat([frames[:, :1], drawing.frame.clamp(-1, 1)], dim=1)
        return drawing

    def denoise(
        self, noisy: Tensor, sigma: Tensor, past: Tensor, action: Tensor, times: Tensor, memory: Memory
    ) -> Prediction:
        """One pass of imagination; shapes as SpacetimeNetwork.forward, past frames told as `past_told`."""
        past_sigma = torch.full_like(sigma, self.noise.past_told)
        return self.network(noisy, sigma, past, past_sigma, action, times, memory)

    def termination_probability(self, logit: Tensor) -> Tensor:
        """Probability of the end in the world, from a logit trained with ends weighing termination_odds times more."""
        return torch.sigmoid(logit - math.log(self.network.config.termination_odds))

    def _draw_past(self, clips: int, target: Tensor, draw: BatchNoise) -> Tensor:
        """Noise for the stacked past of targets [B,n,C,H,W]: [B,n,history*C,H,W]."""
        steps, channels, *size = target.shape[1:]
        return draw.normal(clips, steps, self.network.config.history * channels, *size)

    def _noised_past(self, frames: Tensor, noise: Tensor, past_sigma: Tensor) -> Tensor:
        """The stacked past of every step of a clip, noised: [B,n+1,C,H,W] -> [B,n,history*C,H,W]."""
        return interpolate(stacked_past(frames[:, :-1], self.network.config.history), noise, past_sigma)

    def _draw_levels(self, clips: int, steps: int, draw: BatchNoise) -> tuple[Tensor, Tensor]:
        clean = torch.sigmoid(self.noise.clean_mean + self.noise.clean_std * draw.normal(clips, steps))
        pure = draw.uniform(clips, steps) < self.noise.pure_noise
        sigma = torch.where(pure, 1.0, 1.0 - clean)
        return sigma, self._draw_past_levels(clips, steps, draw)

    def _draw_past_levels(self, clips: int, steps: int, draw: BatchNoise) -> Tensor:
        return draw.uniform(clips, steps) * self.noise.past_max

    def _loss(
        self,
        frame: Tensor,
        prediction: Prediction,
        target: Tensor,
        sigma: Tensor,
        batch: Batch,
        clips: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """frame [B',n,C,H,W]: of the last B' of the B clips, those whose frames are learned, of which processes hold
        `clips` on average; all else over all B."""
        weight = batch.valid.to(sigma.dtype)
        # For both heads every transition of the data counts the same, however often clips show it.
        even = weight * batch.importance
        reward = (even * self.network.reward.loss(prediction.reward_logits, batch.rewards)).mean()
        ended = batch.terminated.to(sigma.dtype)
        balanced = even * torch.where(batch.terminated, self.network.config.termination_odds, 1.0)
        termination = F.binary_cross_entropy_with_logits(prediction.termination_logit, ended, weight=balanced)
        weight[:, 0] *= torch.where(batch.at_start, 1.0, START_WEIGHT)
        weight, target, sigma = (part[len(part) - len(frame) :] for part in (weight, target, sigma))
        error = (frame - target).square().mean(dim=(2, 3, 4))
        whole = clips * error.shape[1]
        drawn = (weight * error / sigma.clamp(min=SIGMA_FLOOR).square()).sum() / whole
        loss = drawn + self.noise.reward_weight * reward + self.noise.termination_weight * termination
        metrics = {
            "loss": loss,
            "frame": drawn,
            "reward": reward,
            "termination": termination,
            "error": error.sum() / whole,
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
