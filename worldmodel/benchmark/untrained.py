"""A world model of random weights: it costs what a trained one costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from worldmodel.arguments import made_of
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.world import StartContexts, WorldSpec
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

_CONTEXT = 4
_PASSES = 2


def untrained_world(
    env: EnvConfig, model: Mapping[str, Any], noise: Mapping[str, Any], seed: int = 0
) -> WorldModel:
    """Weights and start contexts of noise for this environment. Raises EnvError when it cannot be made."""
    real = env.make()
    try:
        action_space, fps = real.action_space, float(real.metadata.get("render_fps") or 30)
    finally:
        real.close()
    codec = ActionCodec(action_space)
    shape = (env.size, env.size, 3)
    torch.manual_seed(seed)
    network = made_of(SpacetimeNetwork, {**model, "frame_shape": shape, "action_dim": codec.size}, "model")
    dynamics = Dynamics(
        Denoiser(network, made_of(NoiseConfig, noise, "noise")), FlowMatchEulerDiscreteScheduler(), _PASSES
    )
    world = WorldSpec(env, action_space, shape, fps, None, (-1.0, 1.0), _CONTEXT)
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (8, _CONTEXT, *shape), dtype=torch.uint8, generator=generator)
    actions = torch.rand((8, _CONTEXT - 1, codec.size), generator=generator) * 2 - 1
    return WorldModel(dynamics, world, StartContexts(frames, actions))
