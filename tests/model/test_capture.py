"""Recorded steps, with a plain call in the place of a CUDA graph, are the steps they were recorded from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytest
import torch
from tiny_world import tiny_world_model
from torch import Tensor

from worldmodel.model.capture import CapturedSteps
from worldmodel.model.state import DreamState, Transition
from worldmodel.model.world_model import WorldModel


def tensors(result: Transition | DreamState) -> list[Tensor]:
    if isinstance(result, DreamState):
        return list(result.tensors().values())
    return [getattr(result, item.name) for item in fields(result)]


class Recorder:
    """Behaves like a CUDA graph: the work is called at odd times, and its results are overwritten by the next."""

    def __init__(self) -> None:
        self.recordings = self.replays = self.beginnings = 0

    def __call__(self, work: Callable[[], Any]) -> Callable[[], Any]:
        work()
        result = work()
        step = isinstance(result, Transition)
        self.recordings, self.beginnings = self.recordings + step, self.beginnings + (not step)

        def replay() -> Any:
            self.replays += step
            for own, new in zip(tensors(result), tensors(work()), strict=True):
                own.copy_(new)
            return result

        return replay


@pytest.fixture
def eager() -> WorldModel:
    return tiny_world_model()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def captured(recorder: Recorder) -> WorldModel:
    model = tiny_world_model()
    model.dynamics.captured = CapturedSteps(recorder)
    return model


def begin(model: WorldModel, *seeds: int) -> DreamState:
    contexts = model.contexts.select(torch.tensor(seeds) % len(model.contexts))
    return model.begin(contexts.frames, contexts.actions, torch.tensor(seeds))


def action(state: DreamState, step: int) -> Tensor:
    return torch.sin(torch.arange(2.0 * len(state)) + step).view(-1, 2)


def same(first: Transition, second: Transition) -> None:
    for item in fields(first):
        assert torch.equal(
            getattr(first, item.name).nan_to_num(-1), getattr(second, item.name).nan_to_num(-1)
        ), item.name


def test_a_long_dream_is_the_same_and_is_recorded_once(
    eager: WorldModel, captured: WorldModel, recorder: Recorder
) -> None:
    states = begin(eager, 1, 2), begin(captured, 1, 2)
    for step in range(12):  # the ring buffer wraps
        same(*(m.step(s, action(s, step)) for m, s in zip((eager, captured), states, strict=True)))
    assert torch.equal(states[0].recent, states[1].recent)
    assert torch.equal(states[0].memory.keys, states[1].memory.keys)
    assert (recorder.recordings, recorder.replays) == (1, 12)


def test_what_a_step_returned_stays(captured: WorldModel) -> None:
    state = begin(captured, 1)
    first = captured.step(state, action(state, 0))
    kept = first.frame.clone()
    captured.step(state, action(state, 1))
    assert torch.equal(first.frame, kept)


def test_stepping_one_state_copies_nothing(captured: WorldModel) -> None:
    state = begin(captured, 1)
    captured.step(state, action(state, 0))
    places = [state.memory.keys.data_ptr(), state.recent.data_ptr(), state.evidence.origin.data_ptr()]
    captured.step(state, action(state, 1))
    assert places == [
        state.memory.keys.data_ptr(),
        state.recent.data_ptr(),
        state.evidence.origin.data_ptr(),
    ]


def test_states_stepped_in_turn_do_not_touch_one_another(
    eager: WorldModel, captured: WorldModel, recorder: Recorder
) -> None:
    plain, recorded = ([begin(model, 1), begin(model, 2)] for model in (eager, captured))
    for step in range(4):
        for one, other in zip(plain, recorded, strict=True):
            same(eager.step(one, action(one, step)), captured.step(other, action(other, step)))
    for one, other in zip(plain, recorded, strict=True):
        assert torch.equal(one.memory.values, other.memory.values)
    assert recorder.recordings == 1


def test_branches_and_assigned_dreams_are_those_of_the_plain_step(
    eager: WorldModel, captured: WorldModel
) -> None:
    results = []
    for model in (eager, captured):
        state = begin(model, 1, 2)
        model.step(state, action(state, 0))
        snapshot = state.select(torch.tensor([0, 1]))
        branches = state.select(torch.tensor([1, 1, 0]))
        model.step(branches, action(branches, 1))
        state.assign(torch.tensor([0]), begin(model, 4))
        model.step(state, action(state, 2))
        state.assign(torch.tensor([0, 1]), snapshot)
        results.append([model.step(state, action(state, 3)), model.step(branches, action(branches, 4))])
    for one, other in zip(*results, strict=True):
        same(one, other)


def test_another_batch_size_number_of_passes_or_scheduler_is_recorded_anew(
    eager: WorldModel, captured: WorldModel, recorder: Recorder
) -> None:
    plain, recorded = begin(eager, 1), begin(captured, 1)
    for step, passes in enumerate((2, 4, 2, 1)):
        same(
            eager.step(plain, action(plain, step), passes),
            captured.step(recorded, action(recorded, step), passes),
        )
    assert recorder.recordings == 3
    larger = begin(captured, 1, 2, 3)
    captured.step(larger, action(larger, 0))
    assert recorder.recordings == 4
    for model in (eager, captured):
        model.dynamics.scheduler = type(model.dynamics.scheduler)(shift=3.0)
    same(eager.step(plain, action(plain, 9)), captured.step(recorded, action(recorded, 9)))
    assert recorder.recordings == 5


def test_only_a_few_recordings_are_kept_and_forgotten_ones_return_their_states(
    eager: WorldModel, captured: WorldModel, recorder: Recorder
) -> None:
    plain, recorded = ([begin(model, *range(1, n + 1)) for n in range(1, 7)] for model in (eager, captured))
    for step in range(2):
        for one, other in zip(plain, recorded, strict=True):
            same(eager.step(one, action(one, step)), captured.step(other, action(other, step)))
    assert recorder.recordings == 12
    assert captured.dynamics.captured is not None
    captured.dynamics.captured.forget()
    same(eager.step(plain[5], action(plain[5], 5)), captured.step(recorded[5], action(recorded[5], 5)))


def test_beginnings_of_any_number_share_a_few_recordings_and_dream_the_same(
    eager: WorldModel, captured: WorldModel, recorder: Recorder
) -> None:
    """Each number of resets was launched kernel by kernel, with kernels chosen anew."""
    kept = begin(captured, 0, 1, 2)
    before = [value.clone() for value in tensors(kept)]
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 40):
        plain, padded = (begin(model, *range(count)) for model in (eager, captured))
        assert len(padded) == count
        for step in range(3):
            one, other = (m.step(s, action(s, step)) for m, s in ((eager, plain), (captured, padded)))
            for expected, found in zip(tensors(one), tensors(other), strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    assert recorder.beginnings == 4, "for 1, 2, 4 and 8; 40 are work enough by themselves"
    for value, found in zip(before, tensors(kept), strict=True):
        assert torch.equal(value.nan_to_num(-1), found.nan_to_num(-1)), "another beginning wrote into it"
    captured.dynamics.window = 2
    assert begin(captured, 1).memory.window == 2


def test_a_reset_beside_others_leaves_their_dreams_as_they_are(
    eager: WorldModel, captured: WorldModel
) -> None:
    index = torch.tensor([0, 2, 3])
    results = []
    for model in (eager, captured):
        state = begin(model, *range(5))
        model.step(state, action(state, 0))
        before = state.select(torch.tensor([1, 4]))
        state.assign(index, begin(model, 7, 8, 9))
        for value, found in zip(tensors(before), tensors(state.select(torch.tensor([1, 4]))), strict=True):
            assert torch.equal(value.nan_to_num(-1), found.nan_to_num(-1))
        results.append(model.step(state, action(state, 1)))
    for expected, found in zip(*map(tensors, results), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_a_graph_is_recorded_and_replayed_on_the_dreams_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With device="cuda:1" it was captured on cuda:0 and came out empty: frames and time never advanced."""
    entered: list[torch.device] = []

    @contextmanager
    def device_of(tensor: Tensor) -> Iterator[None]:
        entered.append(tensor.device)
        yield
        entered.pop()

    def record(work: Callable[[], Any]) -> Callable[[], Any]:
        def replay() -> Any:
            assert entered == [torch.device("cpu")]
            return work()

        replay()
        return replay

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    model = tiny_world_model()
    model.dynamics.captured = CapturedSteps(record)
    state = begin(model, 1, 2)
    model.step(state, action(state, 0))
    assert not entered


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_dreams_on_the_second_gpu_go_on() -> None:
    for device in ("cuda:0", "cuda:1"):
        model = tiny_world_model().to(device)
        state = begin(model, 1, 2)
        frames = [model.step(state, action(state, step).to(device)).frame for step in range(2)]
        assert state.time.tolist() == [4, 4] and not frames[0].equal(frames[1])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cuda_graph_dreams_what_the_plain_step_dreams(precision: str) -> None:
    graph, plain = (tiny_world_model().to("cuda", precision) for _ in range(2))
    plain.dynamics.captured = None
    states = [begin(model, 1, 2) for model in (graph, plain)]
    for step in range(6):
        acted = action(states[0], step)
        first, second = (m.step(s, acted) for m, s in zip((graph, plain), states, strict=True))
        torch.testing.assert_close(first.frame, second.frame, rtol=1e-3, atol=1e-3)
    assert graph.dynamics.captured is not None
    branch = [state.select(torch.tensor([1, 0, 1], device="cuda")) for state in states]
    first, second = (m.step(s, action(s, 7)) for m, s in zip((graph, plain), branch, strict=True))
    torch.testing.assert_close(first.frame, second.frame, rtol=1e-3, atol=1e-3)
