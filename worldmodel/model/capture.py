"""A dream's step and its beginning as CUDA graphs: hundreds of small kernels launched as one.

A graph replays the same kernels on the same addresses, so it works on tensors of its own. A state that is stepped
moves into them (the state's attributes then are the graph's tensors), and is moved out with a copy when another state
of the same shape is stepped. Stepping one state again and again, as dreams do, therefore copies nothing, and select,
assign and snapshots see what they would see without a graph.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from worldmodel.model.state import DreamState, Transition

Recorder = Callable[[Callable[[], Any]], Callable[[], Any]]
Advance = Callable[[DreamState, Tensor, int], Transition]
Begin = Callable[[Tensor, Tensor, Tensor], DreamState]

_WARM_UPS = (
    3  # libraries choose their kernels and workspaces in the first calls, which a graph must not contain
)
_KEPT = 4  # graphs of steps; each keeps the memory of a step's activations
_MOST_BEGUN = (
    32  # dreams begun by a graph, which keeps memory for as many; more of them are work enough by themselves
)
_KEPT_BEGUN = 8


def cuda_graph(work: Callable[[], Any]) -> Callable[[], Any]:
    """Record what `work` does on the current GPU; the returned function repeats it and returns the same tensors,
    overwritten.

    `work` is called a few times: it must depend on and write nothing but tensors that stay where they are.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside):  # torch's own stream is of the GPU that captured first
        result = work()

    def replay() -> Any:
        graph.replay()
        return result

    return replay


class CapturedSteps:
    """Steps recorded once for every shape of state and number of passes, and replayed from then on; beginnings too.

    record: cuda_graph, or anything that returns a function that repeats the work. The few shapes used last are kept.
    """

    def __init__(self, record: Recorder = cuda_graph) -> None:
        self._record = record
        self._begun: OrderedDict[Hashable, tuple[list[Tensor], Callable[[], DreamState]]] = OrderedDict()
        self._recorded: OrderedDict[Hashable, _RecordedStep] = OrderedDict()

    def step(
        self,
        advance: Advance,
        state: DreamState,
        action: Tensor,
        passes: int,
        constants: tuple[object, ...] = (),
    ) -> Transition:
        """As advance(state, action, passes), all on one device. constants: objects a recording has fixed in it, so
        that others need another recording."""
        key = (passes, tuple(map(id, constants)), tuple(action.shape), _shape(state))
        with torch.cuda.device_of(action):
            if key not in self._recorded:
                while len(self._recorded) >= _KEPT:
                    self._recorded.popitem(last=False)[1].move_out()
                self._recorded[key] = _RecordedStep(self._record, advance, state, action, passes, constants)
            self._recorded.move_to_end(key)
            return self._recorded[key].step(state, action)

    def begin(self, begin: Begin, window: int, frames: Tensor, actions: Tensor, seeds: Tensor) -> DreamState:
        """As begin(frames, actions, seeds), all on one device. The last dream is repeated up to a power of two, so that
        few recordings serve beginnings of any number. window: which a recording has fixed in it."""
        count = len(seeds)
        if count > _MOST_BEGUN:
            return begin(frames, actions, seeds)
        with torch.cuda.device_of(seeds):
            order = torch.arange(1 << (count - 1).bit_length(), device=seeds.device)
            given = [part[order.clamp(max=count - 1)] for part in (frames, actions, seeds)]
            key = (window, *(part.shape for part in given))
            if key not in self._begun:
                while len(self._begun) >= _KEPT_BEGUN:
                    self._begun.popitem(last=False)
                self._begun[key] = given, self._record(lambda: begin(*given))
            self._begun.move_to_end(key)
            inputs, replay = self._begun[key]
            for own, new in zip(inputs, given, strict=True):
                own.copy_(new)
            return replay().select(order[:count])

    def forget(self) -> None:
        """Let go of all recordings and their memory; dreams go on, and are recorded anew."""
        for recorded in self._recorded.values():
            recorded.move_out()
        self._recorded.clear()
        self._begun.clear()


class _RecordedStep:
    """One recording, the tensors it works on, and the state that lives in them at the moment."""

    def __init__(
        self,
        record: Recorder,
        advance: Advance,
        state: DreamState,
        action: Tensor,
        passes: int,
        constants: tuple[object, ...],
    ) -> None:
        self._state = state.select(torch.arange(len(state), device=state.time.device))
        self._action = action.clone()
        self._constants = constants  # alive as long as this is, so that no other object gets their id
        own_state, own_action = self._state, self._action
        self._replay = record(lambda: advance(own_state, own_action, passes))
        self._tenant: weakref.ref[DreamState] | None = None

    def step(self, state: DreamState, action: Tensor) -> Transition:
        self._move_in(state)
        self._action.copy_(action)
        result = self._replay()
        # Copies: the next replay overwrites the recording's own.
        return replace(
            result, **{item.name: getattr(result, item.name).clone() for item in fields(Transition)}
        )

    def move_out(self) -> None:
        """Give the state that lives here tensors of its own."""
        tenant = self._tenant() if self._tenant is not None else None
        if tenant is not None:
            for (holder, name), own in zip(_places(tenant), _tensors(self._state), strict=True):
                if getattr(holder, name) is own:
                    setattr(holder, name, own.clone())
        self._tenant = None

    def _move_in(self, state: DreamState) -> None:
        if self._tenant is None or self._tenant() is not state:
            self.move_out()
        for (holder, name), own in zip(_places(state), _tensors(self._state), strict=True):
            given = getattr(holder, name)
            if given is not own:
                own.copy_(given)
                setattr(holder, name, own)
        self._tenant = weakref.ref(state)


def _leaves(holder: Any) -> Iterator[tuple[Any, str]]:
    """(object, attribute) of everything in a dataclass that is no dataclass itself."""
    for item in fields(holder):
        if is_dataclass(getattr(holder, item.name)):
            yield from _leaves(getattr(holder, item.name))
        else:
            yield holder, item.name


def _places(state: DreamState) -> list[tuple[Any, str]]:
    """(object, attribute) of every tensor of a state."""
    return [(holder, name) for holder, name in _leaves(state) if isinstance(getattr(holder, name), Tensor)]


def _tensors(state: DreamState) -> list[Tensor]:
    return [getattr(holder, name) for holder, name in _places(state)]


def _shape(state: DreamState) -> Hashable:
    """What a recording depends on: shape and dtype of every tensor of a state, and its plain settings."""
    values = (getattr(holder, name) for holder, name in _leaves(state))
    return tuple((tuple(v.shape), v.dtype) if isinstance(v, Tensor) else v for v in values)
