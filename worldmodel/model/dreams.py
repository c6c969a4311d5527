"""The engine: dreams as they run. Their steps, ends, limits and restarts are decided here and nowhere else."""

# B dreams, h steps, D size of an encoded action, K restarted dreams

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.frames import float_to_frames
from worldmodel.model.state import DreamState, Imagination, Transition
from worldmodel.model.world_model import WorldModel

TERMINATIONS = ("sample", "threshold", "ignore")
OWN_FRAMES = -1  # context index of a dream that began from frames of the caller's


class TruncatedBy(IntEnum):
    """Why a step truncated its dream: info["truncated_by"]. Numbers, because TorchRL makes tensors of every info."""

    NOTHING = 0
    TIME_LIMIT = 1
    UNCERTAINTY = 2


@dataclass(frozen=True)
class Ending:
    """What ends a dream.

    termination: "sample": the termination head's probability, drawn by the dream's own seed and time, so that the same
    seed and actions give the same end alone, in a batch and on replay; "threshold": a probability above one half;
    "ignore": nothing. time_limit: steps after which a dream is truncated, None: never. uncertainty: expected error in
    grey levels above which it is truncated, None: never; an unknown error exceeds nothing.
    """

    termination: str = "sample"
    time_limit: int | None = None
    uncertainty: float | None = None

    @property
    def never(self) -> bool:
        """Whether dreams go on for ever."""
        return self.termination == "ignore" and self.time_limit is None and self.uncertainty is None

    def terminated(self, step: Transition) -> Tensor:
        """bool [B]."""
        if self.termination == "sample":
            return step.terminated
        if self.termination == "threshold":
            return step.termination_probability > 0.5
        return torch.zeros_like(step.terminated)

    def truncated_by(self, steps: Tensor, uncertainty: Tensor) -> Tensor:
        """TruncatedBy, int64 [B], after so many steps [B]; the time limit where both hold."""
        reason = torch.zeros_like(steps)
        if self.uncertainty is not None:
            reason = reason.masked_fill(uncertainty > self.uncertainty, TruncatedBy.UNCERTAINTY)
        if self.time_limit is not None:
            reason = reason.masked_fill(steps >= self.time_limit, TruncatedBy.TIME_LIMIT)
        return reason


SAMPLED, ENDLESS = Ending(), Ending("ignore")


@dataclass
class Episodes:
    """Where B dreams stand in their episodes; tensors [B] beside their states.

    seed: int64, the bits of an unsigned one; begun: int64, episodes begun from that seed; context: int64, index of the
    start context, -1 for frames of the caller's; step: int64; ended: bool, at any step since the start; reason: int64,
    see TruncatedBy; uncertainty, termination_probability: float32, of the current frame (NaN at a start; an unknown
    uncertainty later is infinite, because two NaN are never equal and the same step twice must give the same info).
    """

    seed: Tensor
    begun: Tensor
    context: Tensor
    step: Tensor
    ended: Tensor
    reason: Tensor
    uncertainty: Tensor
    termination_probability: Tensor

    @classmethod
    def start(
        cls, streams: Sequence[tuple[int, int]], context: np.ndarray | int, device: torch.device
    ) -> Episodes:
        """Episodes at their first frame, from these (seed, number of the episode)."""
        seeds = np.array([seed for seed, _ in streams], np.uint64).view(np.int64)
        begun = torch.tensor([episode + 1 for _, episode in streams], dtype=torch.int64)
        zero, unknown = torch.zeros_like(begun), torch.full((len(begun),), torch.nan)
        index = torch.from_numpy(np.broadcast_to(np.asarray(context, np.int64), len(begun)).copy())
        parts = (
            torch.from_numpy(seeds),
            begun,
            index,
            zero,
            zero.bool(),
            zero.clone(),
            unknown,
            unknown.clone(),
        )
        return cls(*parts).to(device)

    def __len__(self) -> int:
        return len(self.seed)

    @property
    def seeds(self) -> list[int]:
        """Unsigned."""
        return self.seed.cpu().numpy().view(np.uint64).tolist()

    def tensors(self) -> dict[str, Tensor]:
        """Field name -> tensor."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def select(self, index: Tensor) -> Episodes:
        """Copies of those at `index` [K], repeats allowed."""
        return Episodes(**{name: values[index] for name, values in self.tensors().items()})

    def assign(self, index: Tensor, other: Episodes) -> None:
        """Overwrite those at `index` [K] with `other`'s."""
        for name, values in self.tensors().items():
            values[index] = getattr(other, name)

    def to(self, device: torch.device) -> Episodes:
        """On `device`."""
        return Episodes(**{name: values.to(device) for name, values in self.tensors().items()})

    @staticmethod
    def concatenate(parts: Sequence[Episodes]) -> Episodes:
        """Those of all parts, in order, copied."""
        names = parts[0].tensors()
        return Episodes(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class DreamStep(Transition):
    """One step of B dreams: a Transition whose `terminated` follows the Ending, and truncated_by: int64 [B]."""

    truncated_by: Tensor

    @property
    def truncated(self) -> Tensor:
        """bool [B]."""
        return self.truncated_by != TruncatedBy.NOTHING

    @property
    def ended(self) -> Tensor:
        """bool [B]."""
        return self.terminated | self.truncated


@dataclass(frozen=True)
class Rollout(Imagination):
    """An Imagination whose `terminated` follows the Ending; truncated_by: int64 [B,h]; over: bool [B], had ended before
    the first step. Nothing begins anew inside it: dreams go on after their ends, and `alive` says which steps count."""

    truncated_by: Tensor
    over: Tensor

    @property
    def truncated(self) -> Tensor:
        """bool [B,h]."""
        return self.truncated_by != TruncatedBy.NOTHING

    @property
    def alive(self) -> Tensor:
        """bool [B,h]: the steps up to the first end, that one included, and none of a dream that was over; the return
        is (rewards * alive).sum(1)."""
        ended = (self.terminated | self.truncated).long()
        return (ended.cumsum(1) - ended == 0) & ~self.over[:, None]

    def apply(self, change: Callable[[Tensor], Tensor]) -> Rollout:
        """The same change (to the CPU, a reshape of the first dimension) to every tensor."""
        return Rollout(*(change(tensor) for tensor in vars(self).values()))

    @staticmethod
    def concatenate(parts: Sequence[Rollout]) -> Rollout:
        """The dreams of all parts, in order."""
        return Rollout(
            *(torch.cat(column) for column in zip(*(vars(p).values() for p in parts), strict=True))
        )


class Dreams:
    """B dreams of one world model in one batch: observe, step, rollout, branch, restart.

    state: what the model knows of them; episodes: their seeds and counters; ending: what ends them. Both are advanced
    in place. num_inference_steps: denoising passes a step; None: the model's own.
    """

    def __init__(
        self,
        model: WorldModel,
        state: DreamState,
        num_inference_steps: int | None = None,
        ending: Ending = SAMPLED,
        episodes: Episodes | None = None,
    ) -> None:
        self.model, self.state, self.ending = model, state, ending
        self.num_inference_steps = num_inference_steps
        if episodes is None:
            episodes = Episodes.start([(0, 0)] * len(state), OWN_FRAMES, model.device)
        self.episodes = episodes

    @classmethod
    def begin(
        cls,
        model: WorldModel,
        frames: Tensor,
        actions: Tensor,
        seeds: Tensor,
        num_inference_steps: int | None = None,
        ending: Ending = SAMPLED,
    ) -> Dreams:
        """Dreams that go on from real frames uint8 [B,n,H,W,C], the encoded actions float32 [B,n-1,D] between them;
        seeds: int64 [B], of their noise and their ends (see `noise_seeds`)."""
        return cls(model, model.begin(frames, actions, seeds), num_inference_steps, ending)

    @classmethod
    def fresh(
        cls,
        model: WorldModel,
        streams: Sequence[tuple[int, int]],
        num_inference_steps: int | None = None,
        ending: Ending = SAMPLED,
        context: np.ndarray | None = None,
    ) -> Dreams:
        """Dreams from the model's own contexts, for each of these (seed, number of the episode).

        context: int64 [B], which ones; None: drawn by each dream's own seed."""
        if context is None:
            words = [_words(*stream)[0] for stream in streams]
            context = np.array([int(word) % len(model.contexts) for word in words], np.int64)
        starts = model.contexts.select(torch.from_numpy(context).to(model.contexts.frames.device))
        state = model.begin(starts.frames, starts.actions, noise_seeds(streams))
        return cls(model, state, num_inference_steps, ending, Episodes.start(streams, context, model.device))

    def __len__(self) -> int:
        return len(self.episodes)

    def step(self, action: Tensor) -> DreamStep:
        """One imagined step of every dream under encoded actions float32 [B,D], in one batched forward pass."""
        made, episodes = self.model.step(self.state, action, self.num_inference_steps), self.episodes
        terminated = self.ending.terminated(made)
        episodes.step = episodes.step + 1
        episodes.uncertainty = made.uncertainty.float().nan_to_num(nan=torch.inf, posinf=torch.inf)
        episodes.termination_probability = made.termination_probability.float()
        episodes.reason = self.ending.truncated_by(episodes.step, episodes.uncertainty)
        step = DreamStep(**{**vars(made), "terminated": terminated, "truncated_by": episodes.reason})
        episodes.ended = episodes.ended | step.ended
        return step

    def observe(self, action: Tensor, frame: Tensor) -> None:
        """Take in what really followed instead of imagining it: action [B,D] led to frame uint8 [B,H,W,C]."""
        self.model.observe(self.state, action, frame)
        self.episodes.step = self.episodes.step + 1

    def steps(self, choose: Callable[[Dreams], Tensor], count: int) -> Iterator[DreamStep]:
        """Up to `count` steps under the encoded actions [B,D] that `choose` gives; stops where all have ended."""
        for _ in range(count):
            yield self.step(choose(self))
            if not self.ending.never and bool(self.episodes.ended.all()):
                return

    def rollout(self, actions: Tensor, tick: Callable[[], Any] | None = None) -> Rollout:
        """h steps under encoded actions float32 [B,h,D], past every end; tick: called after each."""
        over, made = self.episodes.ended, []
        for action in actions.unbind(dim=1):
            made.append(self.step(action))
            if tick is not None:
                tick()

        def stacked(name: str) -> Tensor:
            return torch.stack([getattr(step, name) for step in made], dim=1)

        return Rollout(
            frames=torch.stack([float_to_frames(step.frame) for step in made], dim=1),
            rewards=stacked("reward"),
            termination_probability=stacked("termination_probability"),
            uncertainty=stacked("uncertainty"),
            terminated=stacked("terminated"),
            truncated_by=stacked("truncated_by"),
            over=over,
        )

    def branch(self, count: int) -> Dreams:
        """Every dream `count` times running, [B*count]: futures that share a chance differ by their actions alone."""
        return self.select(torch.arange(len(self)).repeat_interleave(count))

    def select(self, index: Tensor) -> Dreams:
        """Copies of the dreams at `index` int64 [K], repeats allowed."""
        index = index.to(self.model.device)
        state, episodes = self.state.select(index), self.episodes.select(index)
        return Dreams(self.model, state, self.num_inference_steps, self.ending, episodes)

    def restart(self, index: np.ndarray) -> None:
        """Begin the next episode of the dreams at `index` [K], from contexts and noise of their own seeds."""
        rows = torch.from_numpy(index).to(self.model.device)
        seeds, begun = self.episodes.seeds, self.episodes.begun.tolist()
        streams = [(seeds[i], begun[i]) for i in index.tolist()]
        self.assign(rows, Dreams.fresh(self.model, streams, self.num_inference_steps, self.ending))

    def assign(self, index: Tensor, other: Dreams) -> None:
        """Overwrite the dreams at `index` int64 [K] with the K dreams of `other`; the rest are not touched."""
        self.state.assign(index, other.state)
        self.episodes.assign(index, other.episodes)


def noise_seeds(streams: Sequence[tuple[int, int]]) -> Tensor:
    """What noise and ends of the dreams with these (seed, number of the episode) are drawn from, int64 [K]."""
    return torch.from_numpy(np.array([_words(*stream)[1] for stream in streams], np.uint64).view(np.int64))


def _words(seed: int, episode: int) -> np.ndarray:
    """An episode's chance: for its context, and for its noise. Words of fixed width, so that no two share one."""
    return np.random.SeedSequence((seed % 2**32, seed >> 32, episode)).generate_state(2, np.uint64)
