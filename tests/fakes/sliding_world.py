"""A dream that is known exactly: a square on an empty picture slides by what the action says."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from worldmodel.frames import frames_to_float
from worldmodel.model.state import Transition
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

SIZE, SQUARE, SPEED = 24, 4, 2.0


def picture(places: Tensor) -> Tensor:
    """uint8 [...,SIZE,SIZE,3] with a red square around `places` [...,2] (x, y in pixels), smoothed at its edges."""
    grid = torch.arange(SIZE)
    across, down = (
        (SQUARE / 2 + 0.5 - (grid - places[..., axis, None]).abs()).clamp(0, 1) for axis in (0, 1)
    )
    cover = (down[..., :, None] * across[..., None, :])[..., None]
    colours = torch.tensor([200.0, 30.0, 30.0]), torch.tensor([90.0, 90.0, 90.0])
    return (cover * colours[0] + (1 - cover) * colours[1]).round().to(torch.uint8)


@dataclass
class SlidingState:
    places: Tensor
    recent: Tensor

    @property
    def last(self) -> Tensor:
        return self.recent[:, 0]

    def __len__(self) -> int:
        return len(self.places)

    def select(self, index: Tensor) -> "SlidingState":
        return SlidingState(self.places[index].clone(), self.recent[index].clone())


class SlidingWorld:
    """Stands for a WorldModel; it finds the square in the frame a dream begins from."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.world = SimpleNamespace(
            codec=ActionCodec(space),
            action_space=space,
            frame_shape=(SIZE, SIZE, 3),
            num_context_frames=2,
            fps=10.0,
            env=EnvConfig("worldmodel/Push-v0", size=SIZE),
        )
        self.begun: list[int] = []

    def begin(self, frames: Tensor, actions: Tensor, seeds: Tensor) -> SlidingState:
        assert actions.shape[1] == frames.shape[1] - 1
        self.begun.append(frames.shape[1])
        red = frames[:, -1, ..., 0].double() - 90
        mass, grid = red.sum((1, 2)), torch.arange(SIZE).double()
        places = torch.stack([(red.sum(axis) * grid).sum(1) / mass for axis in (1, 2)], dim=1).float()
        video = frames_to_float(frames)
        return SlidingState(places, torch.stack([video[:, -1], video[:, max(-2, -frames.shape[1])]], dim=1))

    def step(self, state: SlidingState, action: Tensor, num_inference_steps: int | None = None) -> Transition:
        state.places = (state.places + SPEED * action).clamp(SQUARE, SIZE - SQUARE)
        frame = frames_to_float(picture(state.places))
        state.recent = torch.stack([frame, state.recent[:, 0]], dim=1)
        nothing = torch.zeros(len(action))
        return Transition(frame, nothing, nothing, nothing + 1.0, nothing[:, None], nothing.bool())
