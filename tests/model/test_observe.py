"""Real frames taken in one by one: what a world knows then is what it knows of all of them at once."""

import pytest
import torch
from tiny_world import SIZE, WINDOW, tiny_world_model
from torch import Tensor

from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.denoiser import stacked_past
from worldmodel.model.dynamics import CONTEXT_SIGMA
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel


def episode(length: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Frames uint8 [batch, length + 1, ...] and the actions [batch, length, 2] between them."""
    generator = torch.Generator().manual_seed(5)
    shape = (batch, length + 1, SIZE, SIZE, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return frames, torch.rand(batch, length, 2, generator=generator) * 2 - 1


def observed(model: WorldModel, frames: Tensor, actions: Tensor, begun: int) -> DreamState:
    """Begun with so many frames; the others follow one by one."""
    seeds = torch.arange(len(frames))
    state = model.begin(frames[:, :begun], actions[:, : begun - 1], seeds)
    for step in range(begun, frames.shape[1]):
        model.observe(state, actions[:, step - 1], frames[:, step])
    return state


def same(one: DreamState, other: DreamState) -> None:
    tensors = other.tensors()
    for name, tensor in one.tensors().items():
        torch.testing.assert_close(tensor, tensors[name], rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("begun", [1, 2, WINDOW])
def test_frames_that_follow_are_known_as_if_the_dream_had_begun_with_them(begun: int) -> None:
    model = tiny_world_model()
    frames, actions = episode(WINDOW)
    whole = model.begin(frames, actions, torch.arange(2))
    same(observed(model, frames, actions, begun), whole)


def test_dreams_go_on_from_what_was_observed_as_from_what_they_began_with() -> None:
    model = tiny_world_model()
    frames, actions = episode(WINDOW)
    one, other = observed(model, frames, actions, 2), model.begin(frames, actions, torch.arange(2))
    for action in actions.unbind(dim=1):
        step, same_step = model.step(one, action), model.step(other, action)
        torch.testing.assert_close(step.frame, same_step.frame, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(step.uncertainty, same_step.uncertainty, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("begun", [1, 3])
def test_beyond_the_window_it_is_the_pass_over_the_whole_episode(begun: int) -> None:
    """The ring memory has come round almost three times; steps remember what they read when they were written, as in
    the one pass of training, in which every step sees its window."""
    model = tiny_world_model()
    frames, actions = episode(3 * WINDOW - 1)
    video = frames_to_float(frames)
    steps = actions.shape[1]
    with torch.no_grad():
        past = stacked_past(video[:, :-1], model.network.config.history)
        sigma = torch.full((2, steps), CONTEXT_SIGMA)
        told = torch.full_like(sigma, model.dynamics.denoiser.noise.past_told)
        times = torch.arange(steps).expand(2, steps)
        whole = model.network(video[:, 1:], sigma, past, told, actions, times)
    state = model.begin(frames[:, :begun], actions[:, : begun - 1], torch.arange(2))
    for step in range(begun, frames.shape[1]):
        model.observe(state, actions[:, step - 1], frames[:, step])
        torch.testing.assert_close(state.features, whole.features[:, step - 1], rtol=1e-4, atol=1e-4)
    assert state.time.tolist() == [steps, steps]
    assert sorted(state.memory.times[0].tolist()) == list(range(steps - WINDOW, steps))


def test_every_episode_is_known_as_it_would_be_alone_however_long_it_has_run() -> None:
    model = tiny_world_model()
    frames, actions = episode(WINDOW + 3, batch=3)
    alone = [observed(model, frames[k, None, : 3 + k], actions[k, None, : 2 + k], 1) for k in range(3)]
    joined = DreamState.concatenate(alone)
    follows = torch.stack([frames[k, 3 + k] for k in range(3)])
    taken = torch.stack([actions[k, 2 + k] for k in range(3)])
    model.observe(joined, taken, follows)
    for k, state in enumerate(alone):
        model.observe(state, taken[k : k + 1], follows[k : k + 1])
        index = torch.tensor([k])
        one = joined.select(index)
        state.seed.copy_(one.seed)
        same(one, state)


def test_what_is_observed_is_known_and_what_was_imagined_counts_as_past() -> None:
    model = tiny_world_model()
    frames, actions = episode(3)
    state = model.begin(frames[:, :2], actions[:, :1], torch.arange(2))
    imagined = model.step(state, actions[:, 1]).frame.clamp(-1, 1)
    tensors = state.tensors()
    assert state.evidence.steps.tolist() == [1, 1]
    model.observe(state, actions[:, 2], frames[:, 3])
    assert all(tensor is tensors[name] for name, tensor in state.tensors().items()), "all stay where they are"
    torch.testing.assert_close(state.last, frames_to_float(frames[:, 3]))
    torch.testing.assert_close(state.previous, imagined)
    torch.testing.assert_close(state.evidence.origin, state.last)
    assert state.evidence.steps.tolist() == [0, 0] and state.evidence.residual.isfinite().all()
    assert state.time.tolist() == [3, 3]


def test_frames_and_actions_that_do_not_fit_are_refused_in_one_sentence() -> None:
    model = tiny_world_model()
    frames, actions = episode(2)
    state = model.begin(frames[:, :1], actions[:, :0], torch.arange(2))
    with pytest.raises(WorldModelError, match="frame that followed must be uint8"):
        model.observe(state, actions[:, 0], frames[:, 1].float())
    with pytest.raises(WorldModelError, match=rf"uint8 \[2, {SIZE}, {SIZE}, 3\]"):
        model.observe(state, actions[:, 0], frames[:1, 1])
    with pytest.raises(WorldModelError, match=r"of shape \[2, 2\], got \[2, 1\]"):
        model.observe(state, actions[:, 0, :1], frames[:, 1])
