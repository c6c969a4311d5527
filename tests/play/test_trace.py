"""Every moment of a dream comes back bit for bit, its memory included."""

import pytest
import torch
from tiny_world import WINDOW, tiny_world_model

from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel
from worldmodel.play.trace import Trace, needed, restore


@pytest.fixture
def model() -> WorldModel:
    return tiny_world_model(max_episode_steps=None)


def begin(model: WorldModel, context: int = 0) -> DreamState:
    known = model.contexts.select(torch.tensor([context]))
    return model.begin(known.frames, known.actions, torch.tensor([context]))


def same(one: DreamState, other: DreamState) -> bool:
    """Of what a step could read: a slot that holds nothing may hold anything."""
    pairs = zip(one.tensors().items(), other.tensors().values(), strict=True)
    return all(torch.equal(a.nan_to_num(-7.0), b.nan_to_num(-7.0)) for (_, a), b in pairs)


@pytest.mark.parametrize("known", [1, 2, 3])
def test_every_moment_comes_back_and_goes_on_as_it_did(model: WorldModel, known: int) -> None:
    context = model.contexts.select(torch.tensor([0]))
    state = model.begin(context.frames[:, :known], context.actions[:, : known - 1], torch.tensor([5]))
    start = state.select(torch.tensor([0]))
    actions = torch.rand(3 * WINDOW, 1, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    traces, states = [], [state.select(torch.tensor([0]))]
    for action in actions:
        time = int(state.time[0])
        model.step(state, action)
        traces.append(Trace.take(state, 0, time))
        states.append(state.select(torch.tensor([0])))
    for t, was in enumerate(states):
        back = restore(start, traces[max(0, t - needed(start)) : t])
        assert same(back, was), t
        if t < len(actions):
            model.step(back, actions[t])
            assert same(back, states[t + 1]), t


def test_a_trace_is_of_its_own_row(model: WorldModel) -> None:
    both = DreamState.concatenate([begin(model, 0), begin(model, 1)])
    starts = [both.select(torch.tensor([row])) for row in (0, 1)]
    times = both.time.tolist()
    model.step(both, torch.rand(2, 2))
    for row, start in enumerate(starts):
        assert same(restore(start, [Trace.take(both, row, times[row])]), both.select(torch.tensor([row])))


def test_what_is_restored_leaves_the_start_as_it_was(model: WorldModel) -> None:
    start = begin(model)
    before = start.select(torch.tensor([0]))
    model.step(restore(start, []), torch.zeros(1, 2))
    assert same(start, before)
