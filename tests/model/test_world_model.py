import pytest
import torch
from tiny_world import CONTEXT, SIZE, WINDOW, tiny_world_model

from worldmodel.errors import WorldModelError


@pytest.fixture
def model():
    return tiny_world_model()


def dream(model, index, seeds, steps=6, passes=2):
    contexts = model.contexts.select(torch.tensor(index))
    state = model.begin(contexts.frames, contexts.actions, torch.tensor(seeds))
    actions = torch.rand(5, steps, 2, generator=torch.Generator().manual_seed(3))[torch.tensor(index)]
    return model.imagine(state, actions, passes), state


def test_the_same_seeds_and_actions_dream_the_same_bit_for_bit(model):
    first, second = dream(model, [0, 1], [7, 8])[0], dream(model, [0, 1], [7, 8])[0]
    assert torch.equal(first.frames, second.frames)
    assert torch.equal(first.rewards, second.rewards)


def test_another_seed_dreams_something_else(model):
    assert not torch.equal(dream(model, [0], [7])[0].rewards, dream(model, [0], [8])[0].rewards)


def test_a_dream_is_the_same_alone_and_in_a_batch(model):
    alone, batch = dream(model, [2], [9])[0], dream(model, [0, 2, 4], [7, 9, 8])[0]
    torch.testing.assert_close(alone.rewards[0], batch.rewards[1])
    assert (alone.frames[0].int() - batch.frames[1].int()).abs().max() <= 1


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_a_step_costs_exactly_its_passes(model, passes, monkeypatch):
    _, state = dream(model, [0], [7], steps=1)
    calls = []
    denoise = model.dynamics.denoiser.denoise
    monkeypatch.setattr(model.dynamics.denoiser, "denoise", lambda *a: calls.append(1) or denoise(*a))
    model.step(state, torch.zeros(1, 2), passes)
    assert len(calls) == passes


def test_branches_of_one_state_equal_the_dreams_they_were_cut_from(model):
    _, state = dream(model, [0, 1], [7, 8], steps=3)
    branches = state.select(torch.tensor([1, 1, 1]))
    actions = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    futures = model.step(branches, actions)
    alone = model.step(state.select(torch.tensor([1])), actions[:1])
    torch.testing.assert_close(futures.frame[0], alone.frame[0])
    torch.testing.assert_close(futures.frame[0], futures.frame[2])
    assert not torch.equal(futures.frame[0], futures.frame[1])


def test_a_context_begun_at_once_equals_one_remembered_step_by_step(model):
    """begin() writes n steps in one pass; with more frames than the window it keeps the newest ones."""
    generator = torch.Generator().manual_seed(0)
    count = WINDOW + 3
    frames = torch.randint(0, 256, (1, count, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    actions = torch.rand(1, count - 1, 2, generator=generator)
    seeds = torch.tensor([0])
    long = model.begin(frames, actions, seeds)
    assert sorted(long.memory.times[0].tolist()) == list(range(WINDOW))
    short = model.begin(frames[:, -2:], actions[:, -1:], seeds)
    torch.testing.assert_close(long.last, short.last)
    torch.testing.assert_close(long.previous, short.previous)


def test_a_single_start_picture_is_enough(model):
    frames = model.contexts.frames[:1, -1:]
    state = model.begin(frames, torch.zeros(1, 0, 2), torch.tensor([0]))
    assert model.step(state, torch.zeros(1, 2)).frame.shape == (1, 3, SIZE, SIZE)


def test_assign_reaches_only_the_dream_it_names(model):
    """A dream begun from one frame once held it twice in the same memory, and the caller's seeds too."""
    frames, seeds = model.contexts.frames[:2, -1:], torch.tensor([1, 2])
    state = model.begin(frames, torch.zeros(2, 0, 2), seeds)
    other = model.begin(model.contexts.frames[2:3], model.contexts.actions[2:3], torch.tensor([9]))
    state.assign(torch.tensor([1]), other)
    assert torch.equal(state.last[1], other.last[0])
    assert torch.equal(state.previous[1], other.previous[0])
    assert seeds.tolist() == [1, 2]
    handed_out = model.step(state, torch.zeros(2, 2)).frame
    before = handed_out.clone()
    state.assign(torch.tensor([0]), other)
    assert torch.equal(handed_out, before)


def test_contexts_that_do_not_fit_are_refused_in_one_sentence(model):
    frames, actions, seed = model.contexts.frames[:1], model.contexts.actions[:1], torch.tensor([0])
    with pytest.raises(WorldModelError, match="must be uint8"):
        model.begin(frames.float(), actions, seed)
    with pytest.raises(WorldModelError, match=rf"\[1, {CONTEXT}, 16, 8, 3\]"):
        model.begin(frames.repeat(1, 1, 2, 1, 1), actions, seed)
    with pytest.raises(WorldModelError, match=rf"{CONTEXT} context frames need"):
        model.begin(frames, actions[:, :1], seed)


def test_a_step_walks_through_no_tree_of_modules(model, monkeypatch):
    """diffusers' `device` did at each call, of which a step made several; on a GPU launching is what a step costs."""
    state = dream(model, [0], [7], steps=1)[1]
    monkeypatch.setattr(torch.nn.Module, "named_modules", lambda *_: pytest.fail("walked"))
    model.step(state, torch.zeros(1, 2))
    assert model.device == torch.device("cpu")
