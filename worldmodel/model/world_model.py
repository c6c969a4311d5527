"""WorldModel: learned dynamics together with the world they belong to and the real starts they can dream from."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from worldmodel.errors import WorldModelError
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.state import DreamState, Imagination, Transition
from worldmodel.model.world import StartContexts, WorldSpec


class WorldModel:
    """begin a dream from real frames, observe more of them, step it an action at a time, or imagine a whole rollout."""

    def __init__(self, dynamics: Dynamics, world: WorldSpec, contexts: StartContexts) -> None:
        self.dynamics = dynamics
        self.world = world
        self.contexts = contexts

    @property
    def network(self) -> SpacetimeNetwork:
        """The trained network."""
        return self.dynamics.denoiser.network

    @property
    def device(self) -> torch.device:
        """Where the weights are, and so the dreams."""
        return self.dynamics.device

    @property
    def num_inference_steps(self) -> int:
        """Denoising passes a step takes unless told otherwise."""
        return self.dynamics.num_inference_steps

    def is_calibrated(self, num_inference_steps: int) -> bool:
        """Whether a step of so many passes tells its expected error; else Transition.uncertainty is NaN."""
        calibration = self.dynamics.calibration
        return calibration is not None and num_inference_steps in calibration.maps

    @property
    def precision(self) -> str:
        """The number format of the network's trunk: "float32" or "bfloat16"."""
        return self.dynamics.precision

    def to(self, device: str | torch.device, precision: str | None = None) -> WorldModel:
        """Move weights and calibration, and set the trunk's number format; see Dynamics.to."""
        self.dynamics.to(device, precision)
        return self

    def without_graphs(self) -> WorldModel:
        """The same weights, stepped kernel by kernel: neither hooks nor counters see into a CUDA graph."""
        dynamics = copy.copy(self.dynamics)
        dynamics.captured = None
        return WorldModel(dynamics, self.world, self.contexts)

    def starting_from(self, contexts: StartContexts) -> WorldModel:
        """The same model with other real moments to start from."""
        return WorldModel(self.dynamics, self.world, contexts)

    def begin(self, frames: Tensor, actions: Tensor, seeds: Tensor) -> DreamState:
        """Dreams that continue real frames; arguments as Dynamics.begin, checked against this world."""
        self._check_context(frames, actions)
        return self.dynamics.begin(frames, actions, seeds)

    def observe(self, state: DreamState, action: Tensor, frame: Tensor) -> None:
        """Take in what really followed; arguments as Dynamics.observe, checked against this world."""
        expected = (len(state), *self.world.frame_shape)
        if frame.dtype != torch.uint8 or tuple(frame.shape) != expected:
            raise WorldModelError(
                f"The frame that followed must be uint8 {list(expected)}, got "
                f"{str(frame.dtype).removeprefix('torch.')} {list(frame.shape)}."
            )
        if tuple(action.shape) != (len(state), self.world.codec.size):
            raise WorldModelError(
                f"{len(state)} frames that followed need the encoded actions that led to them, of shape "
                f"{[len(state), self.world.codec.size]}, got {list(action.shape)}."
            )
        self.dynamics.observe(state, action, frame)

    def step(self, state: DreamState, action: Tensor, num_inference_steps: int | None = None) -> Transition:
        """One imagined step of every dream, in place; see Dynamics.step."""
        return self.dynamics.step(state, action, num_inference_steps)

    def imagine(
        self, state: DreamState, actions: Tensor, num_inference_steps: int | None = None
    ) -> Imagination:
        """A whole imagined rollout; see Dynamics.imagine."""
        return self.dynamics.imagine(state, actions, num_inference_steps)

    def _check_context(self, frames: Tensor, actions: Tensor) -> None:
        if (
            frames.dtype != torch.uint8
            or frames.ndim != 5
            or tuple(frames.shape[2:]) != self.world.frame_shape
        ):
            raise WorldModelError(
                f"Context frames must be uint8 [B, n, {', '.join(map(str, self.world.frame_shape))}], "
                f"got {str(frames.dtype).removeprefix('torch.')} {list(frames.shape)}."
            )
        expected = (frames.shape[0], frames.shape[1] - 1, self.world.codec.size)
        if tuple(actions.shape) != expected:
            raise WorldModelError(
                f"{frames.shape[1]} context frames need encoded actions of shape {list(expected)}, "
                f"got {list(actions.shape)}."
            )
