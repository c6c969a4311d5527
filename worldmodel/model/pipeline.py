"""The diffusers face of a world: load it and make video with it as with any diffusers pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.utils import BaseOutput
from torch import Tensor

from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork


@dataclass
class WorldModelOutput(BaseOutput):
    """frames uint8 [B,h,H,W,C]; rewards, termination_probability float [B,h]."""

    frames: Tensor
    rewards: Tensor
    termination_probability: Tensor


class WorldModelPipeline(DiffusionPipeline):
    """Frames and actions in, the video that follows out. A checkpoint folder is one of these, and the scheduler may be
    swapped for another flow-matching one. past_told: the noise level the network is told its past frames have."""

    def __init__(
        self, network: SpacetimeNetwork, scheduler: FlowMatchEulerDiscreteScheduler, past_told: float = 0.03
    ) -> None:
        super().__init__()
        self.register_modules(network=network, scheduler=scheduler)
        self.register_to_config(past_told=past_told)

    @torch.no_grad()
    def __call__(
        self, frames: Tensor, actions: Tensor, num_inference_steps: int = 2, seed: int = 0
    ) -> WorldModelOutput:
        """frames uint8 [B,n,H,W,C], known; actions float32 [B,n-1+h,D] as ActionCodec encodes them: those between the
        known frames, then h more. Member i of the batch draws its noise from seed + i."""
        denoiser = Denoiser(self.network, NoiseConfig(past_told=self.config.past_told))
        dynamics = Dynamics(denoiser, self.scheduler, num_inference_steps)
        known = frames.shape[1] - 1
        state = dynamics.begin(frames, actions[:, :known], seed + torch.arange(len(frames)))
        rollout = dynamics.imagine(state, actions[:, known:])
        return WorldModelOutput(
            frames=rollout.frames,
            rewards=rollout.rewards,
            termination_probability=rollout.termination_probability,
        )
