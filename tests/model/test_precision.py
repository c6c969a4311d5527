"""A trunk in bfloat16 dreams nearly what it dreams in float32."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_world import tiny_world_model
from torch.nn import functional as F

from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import load_world_model, save_world_model
from worldmodel.model.precision import trunk_dtype


def dream(precision: str | None):
    model = tiny_world_model().to("cpu", precision)
    contexts = model.contexts.select(torch.tensor([0, 1]))
    state = model.begin(contexts.frames, contexts.actions, torch.tensor([3, 4]))
    return model, state, model.step(state, torch.zeros(2, 2))


def test_bfloat16_dreams_nearly_the_same():
    (_, _, exact), (model, state, rounded) = dream(None), dream("bfloat16")
    assert model.precision == "bfloat16" and trunk_dtype(model.network) == torch.bfloat16
    assert state.memory.keys.dtype == torch.bfloat16
    for name in ("frame", "reward", "termination_probability"):
        assert getattr(rounded, name).dtype == torch.float32
    assert 0 < (exact.frame - rounded.frame).abs().mean() < 0.01
    assert state.recent.dtype == torch.float32


def test_keys_normalised_in_float32_are_remembered_in_bfloat16(monkeypatch):
    """As CUDA's autocast does from torch 2.12 on: the first `begin` raised."""
    expected, rms_norm = dream("bfloat16")[2], F.rms_norm
    monkeypatch.setattr(F, "rms_norm", lambda x, *rest: rms_norm(x.float(), *rest))
    assert (dream("bfloat16")[2].frame - expected.frame).abs().mean() < 0.01


def test_the_heads_and_gates_stay_in_float32():
    model, _, _ = dream("bfloat16")
    for part in (model.network.readout, model.network.reward, model.network.termination, model.network.gates):
        assert all(parameter.dtype == torch.float32 for parameter in part.parameters())


def test_float32_is_what_it_was_without_a_word():
    (_, _, first), (_, _, second) = dream(None), dream("float32")
    assert torch.equal(first.frame, second.frame)


def test_another_precision_is_refused():
    with pytest.raises(WorldModelError, match="precision is 'int4': give float32, bfloat16 or auto"):
        tiny_world_model().to("cpu", "int4")


def test_a_checkpoint_loads_in_the_precision_that_is_asked_for(tmp_path):
    with atomic_directory(tmp_path / "world") as folder:
        save_world_model(tiny_world_model(), folder)
    assert load_world_model(tmp_path / "world").precision == "float32"
    assert load_world_model(tmp_path / "world", "cpu", "bfloat16").precision == "bfloat16"
    env = gym.make("worldmodel/Dream-v0", checkpoint=str(tmp_path / "world"), precision="bfloat16")
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[0].dtype == np.uint8


def test_a_loaded_model_keeps_its_precision():
    with pytest.raises(WorldModelError, match="the given model dreams in float32"):
        gym.make("worldmodel/Dream-v0", checkpoint=tiny_world_model(), precision="bfloat16")
