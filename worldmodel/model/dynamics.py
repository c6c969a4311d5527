"""The verbs of dreaming on plain tensors, pure of any world's contract: begin, observe, step, imagine."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames, frames_to_float
from worldmodel.model.capture import CapturedSteps
from worldmodel.model.denoiser import Denoiser, stacked_past
from worldmodel.model.memory import Memory
from worldmodel.model.network import Prediction
from worldmodel.model.precision import cast_trunk, dtype_of, in_trunk_dtype, trunk_dtype
from worldmodel.model.sampler import euler_sample, noise_schedule
from worldmodel.model.state import DreamState, Imagination, Transition
from worldmodel.model.uncertainty import Calibration, Evidence, unknown
from worldmodel.noise import counter_normal, counter_uniform

CONTEXT_SIGMA = (
    0.03  # noise level at which known frames are written to memory: nearly clean, inside training's range
)


class Dynamics:
    """A denoiser and a noise schedule, run forward in time.

    window: how many steps the dream may look back over, its own included; None: all that the network can.
    calibration: from a dream's signals to its expected error; None: uncertainty is NaN.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        scheduler: FlowMatchEulerDiscreteScheduler,
        num_inference_steps: int,
        window: int | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.denoiser = denoiser.eval()
        self.scheduler = scheduler
        self.num_inference_steps = num_inference_steps
        self.window = window
        self.calibration = calibration
        self.captured: CapturedSteps | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are, and so the dreams."""
        return self.denoiser.network.device

    @property
    def precision(self) -> str:
        """The number format of the network's trunk: "float32" or "bfloat16"."""
        return str(trunk_dtype(self.denoiser.network)).removeprefix("torch.")

    @property
    def lookback(self) -> int:
        """How many steps a dream looks back over, its own included."""
        most = self.denoiser.network.config.window
        return most if self.window is None else min(self.window, most)

    def to(self, device: str | torch.device, precision: str | None = None) -> Dynamics:
        """Move weights and calibration, and set the trunk's number format (see precision.cast_trunk; None: as it is).

        Dreams begun afterwards live there. On a CUDA device they begin and step as CUDA graphs.
        """
        if precision is not None:
            cast_trunk(self.denoiser.network, dtype_of(precision))
        # Convolutions are fastest with the channels last, and the encoder hands them such pictures.
        self.denoiser.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.calibration is not None:
            self.calibration.to(device)
        self.captured = CapturedSteps() if self.device.type == "cuda" else None
        return self

    @torch.no_grad()
    def begin(self, frames: Tensor, actions: Tensor, seeds: Tensor) -> DreamState:
        """Dreams that continue these real frames: uint8 [B,n,H,W,C], the actions between them float32 [B,n-1,D], seeds
        int64 [B]. One pass writes all known steps to memory; only the last `window` of them can be remembered."""
        config = self.denoiser.network.config
        steps = min(frames.shape[1] - 1, config.window)
        known = frames[:, -(steps + max(2, config.history)) :], actions[:, actions.shape[1] - steps :], seeds
        given = [part.to(self.device) for part in known]
        if self.captured is None:
            return self._begin(*given)
        return self.captured.begin(self._begin, self.lookback, *given)

    def _begin(self, frames: Tensor, actions: Tensor, seeds: Tensor) -> DreamState:
        config, steps = self.denoiser.network.config, actions.shape[1]
        kept = max(2, config.history)
        video = frames_to_float(frames)
        memory = self.denoiser.network.new_memory(len(frames))
        memory.window = self.lookback
        residual = video.new_full((len(frames),), torch.nan)
        features = video.new_full((len(frames), config.features), torch.nan)
        if steps:
            past = stacked_past(video[:, :-1], config.history)[:, -steps:]
            known = video[:, -steps:]
            times = torch.arange(steps, device=self.device).expand(len(frames), steps)
            seen = self._remember(memory, known, past, actions, times)
            residual = (seen.frame - known).square().flatten(1).mean(dim=1).sqrt()
            features = seen.features[:, -1].clone()  # no view, which would keep all of them
        time = torch.full((len(frames),), steps, dtype=torch.int64, device=self.device)
        recent = stacked_past(video, kept)[:, -1].unflatten(1, (kept, -1))
        # A copy: `assign` writes into a state, and must not reach the caller's tensors.
        return DreamState(
            memory, recent, time, seeds.clone(), features, Evidence.begin(recent[:, 0], residual)
        )

    @torch.no_grad()
    def observe(self, state: DreamState, action: Tensor, frame: Tensor) -> None:
        """On to a real x_{t+1}, uint8 [B,H,W,C], that a_t float32 [B,D] as encoded has really led to; in place.

        One pass writes it to memory, as `begin` writes known steps, and `state` becomes what begin would have made of
        one frame more. Where steps were imagined before, they are remembered as they are."""
        known = frames_to_float(frame.to(self.device))[:, None]
        times = state.time[:, None]
        seen = self._remember(state.memory, known, self._past(state), action.to(self.device)[:, None], times)
        error = (seen.frame - known).square().flatten(1).mean(dim=1)
        remembered = state.time.clamp(max=self.denoiser.network.config.window - 1)
        state.take_in(known[:, 0], seen.features[:, 0], error, remembered)

    def _remember(
        self, memory: Memory, known: Tensor, past: Tensor, actions: Tensor, times: Tensor
    ) -> Prediction:
        """Write the known steps to memory; returns what the pass made of them."""
        sigma = torch.full(times.shape, CONTEXT_SIGMA, device=self.device)
        return self._denoise(known, sigma, past, actions, times, memory)

    def _past(self, state: DreamState) -> Tensor:
        """The stacked past of the step from x_t, [B,1,history*C,H,W]."""
        return state.recent[:, : self.denoiser.network.config.history].flatten(1, 2)[:, None]

    @torch.no_grad()
    def step(self, state: DreamState, action: Tensor, num_inference_steps: int | None = None) -> Transition:
        """Imagine x_{t+1}, r_t and the end, given a_t float32 [B,D] as encoded; advances `state` in place.

        Costs exactly num_inference_steps passes: the last one writes the memory and feeds both heads."""
        passes = self.num_inference_steps if num_inference_steps is None else num_inference_steps
        action = action.to(self.device)
        if self.captured is None:
            return self._advance(state, action, passes)
        # A graph has the noise levels and the calibration of its recording in it.
        return self.captured.step(self._advance, state, action, passes, (self.scheduler, self.calibration))

    def _advance(self, state: DreamState, action: Tensor, passes: int) -> Transition:
        sigmas = noise_schedule(self.scheduler, passes)
        past = self._past(state)
        action, times = action[:, None], state.time[:, None]

        def denoise(noisy: Tensor, sigma: float) -> Prediction:
            level = noisy.new_full(times.shape, sigma)
            return self._denoise(noisy, level, past, action, times, state.memory)

        noise = counter_normal(state.seed, state.time, tuple(state.last.shape[1:]))
        chance = counter_uniform(state.seed, state.time)
        prediction, spread = euler_sample(denoise, noise[:, None], sigmas)
        frame, features = prediction.frame[:, 0].clamp(-1, 1), prediction.features[:, 0]
        state.advance(frame, spread, features)
        probability = self.denoiser.termination_probability(prediction.termination_logit)[:, 0]
        return Transition(
            frame=frame,
            reward=self.denoiser.network.reward.expected(prediction.reward_logits)[:, 0],
            termination_probability=probability,
            uncertainty=self._expected_error(state.evidence.signals(frame), passes),
            features=features,
            terminated=chance < probability,
        )

    def _denoise(self, *arguments: Any) -> Prediction:
        with in_trunk_dtype(self.denoiser.network):
            return self.denoiser.denoise(*arguments)

    def _expected_error(self, signals: Tensor, passes: int) -> Tensor:
        if self.calibration is None:
            return unknown(signals)
        return self.calibration.expected_error(signals, passes)

    def imagine(
        self, state: DreamState, actions: Tensor, num_inference_steps: int | None = None
    ) -> Imagination:
        """Roll h steps out from `state` (advanced in place) under encoded actions float32 [B,h,D]."""
        if not actions.shape[1]:
            raise WorldModelError("A rollout of no steps was asked for: give at least one action.")
        steps = [self.step(state, action, num_inference_steps) for action in actions.unbind(dim=1)]
        return Imagination(
            frames=torch.stack([float_to_frames(s.frame) for s in steps], dim=1),
            rewards=torch.stack([s.reward for s in steps], dim=1),
            termination_probability=torch.stack([s.termination_probability for s in steps], dim=1),
            uncertainty=torch.stack([s.uncertainty for s in steps], dim=1),
            terminated=torch.stack([s.terminated for s in steps], dim=1),
        )
