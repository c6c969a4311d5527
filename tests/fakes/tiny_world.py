"""A world model with random weights, small enough for tests."""

import gymnasium as gym
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.uncertainty import Calibration, ErrorMap
from worldmodel.model.world import StartContexts, WorldSpec
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig

SIZE, WINDOW, CONTEXT = 8, 4, 3
PUSH_LIKE = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def tiny_network(action_dim: int = 2, **overrides: object) -> SpacetimeNetwork:
    """Random everywhere: layers that start at zero would hide wrong wiring."""
    torch.manual_seed(0)
    settings = {
        "frame_shape": (SIZE, SIZE, 3),
        "channels": (8,),
        "width": 16,
        "depth": 2,
        "heads": 2,
        "window": WINDOW,
        "condition_width": 16,
        "features": 16,
    }
    network = SpacetimeNetwork(action_dim=action_dim, **(settings | overrides))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network


def tiny_world_model(
    action_space: gym.Space = PUSH_LIKE,
    max_episode_steps: int | None = 10,
    ends: bool = False,
    size: int = SIZE,
    env_id: str = "worldmodel/Push-v0",
) -> WorldModel:
    """A dream of random weights with 5 start contexts, whose every step ends the episode, or none."""
    world = WorldSpec(
        env=EnvConfig(id=env_id, size=size),
        action_space=action_space,
        frame_shape=(size, size, 3),
        fps=10.0,
        max_episode_steps=max_episode_steps,
        reward_range=(-1.0, 1.0),
        num_context_frames=CONTEXT,
    )
    action_dim = world.codec.size
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (5, CONTEXT, size, size, 3), dtype=torch.uint8, generator=generator)
    actions = torch.rand((5, CONTEXT - 1, action_dim), generator=generator)
    network = tiny_network(action_dim, frame_shape=(size, size, 3))
    denoiser = Denoiser(network, NoiseConfig())
    torch.nn.init.zeros_(denoiser.network.termination.weight)
    torch.nn.init.constant_(denoiser.network.termination.bias, 20.0 if ends else -20.0)
    calibration = Calibration({2: ErrorMap({"spread": 1.0}, [-5.0, 5.0], [0.0, 50.0])}, {2: {}})
    dynamics = Dynamics(
        denoiser, FlowMatchEulerDiscreteScheduler(), num_inference_steps=2, calibration=calibration
    )
    return WorldModel(dynamics, world, StartContexts(frames, actions))
