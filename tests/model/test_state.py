"""A dream's state as a value: features, joined states, tensors by name, another number format."""

import torch
from tiny_world import CONTEXT, tiny_world_model
from torch import Tensor

from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel


def begin(model: WorldModel, *seeds: int, frames: int = CONTEXT) -> DreamState:
    contexts = model.contexts.select(torch.tensor(seeds) % len(model.contexts))
    actions = contexts.actions[:, CONTEXT - frames :]
    return model.begin(contexts.frames[:, -frames:], actions, torch.tensor(seeds))


def action(state: DreamState, step: int) -> Tensor:
    return torch.sin(torch.arange(2.0 * len(state)) + step).view(-1, 2)


def same(one: DreamState, other: DreamState) -> None:
    tensors = other.tensors()
    for name, tensor in one.tensors().items():
        torch.testing.assert_close(tensor, tensors[name], rtol=0, atol=0, equal_nan=True)


def test_a_state_holds_the_features_of_its_last_step() -> None:
    model = tiny_world_model()
    state = begin(model, 1, 2)
    width = model.network.config.features
    assert state.features.shape == (2, width) and state.features.isfinite().all()
    assert not torch.equal(state.features[0], state.features[1])
    place = state.features.data_ptr()
    transition = model.step(state, action(state, 0))
    assert torch.equal(state.features, transition.features) and state.features.data_ptr() == place
    assert begin(model, 1, frames=1).features.isnan().all()


def test_states_are_joined_in_order() -> None:
    model = tiny_world_model()
    joined, whole = DreamState.concatenate([begin(model, 1), begin(model, 2, 3)]), begin(model, 1, 2, 3)
    assert len(joined) == 3
    for step in range(6):
        one, other = (model.step(state, action(state, step)) for state in (joined, whole))
        torch.testing.assert_close(one.frame, other.frame)


def test_a_state_is_its_tensors() -> None:
    model = tiny_world_model()
    state = begin(model, 1, 2)
    model.step(state, action(state, 0))
    tensors = {name: tensor.clone() for name, tensor in state.tensors().items()}
    again = DreamState.from_tensors(tensors, state.memory.window)
    for step in range(4):
        one, other = (model.step(each, action(each, step)) for each in (state, again))
        assert torch.equal(one.frame, other.frame)
    same(state, again)


def test_a_state_in_another_number_format() -> None:
    state = begin(tiny_world_model(), 1)
    half = state.to(torch.device("cpu"), torch.bfloat16)
    assert half.memory.keys.dtype == half.memory.values.dtype == torch.bfloat16
    assert half.recent.dtype == half.features.dtype == torch.float32
    torch.testing.assert_close(half.memory.keys.float(), state.memory.keys, rtol=1e-2, atol=1e-2)
