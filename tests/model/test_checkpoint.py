import json

import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.errors import CheckpointError
from worldmodel.model.checkpoint import load_world_model, save_world_model
from worldmodel.model.pipeline import WorldModelPipeline


@pytest.fixture
def saved(tmp_path):
    model = tiny_world_model()
    folder = tmp_path / "world"
    folder.mkdir()
    save_world_model(model, folder)
    return model, folder


def rollout(model, steps=3):
    contexts = model.contexts.select(torch.tensor([0, 1]))
    state = model.begin(contexts.frames, contexts.actions, torch.tensor([0, 1]))
    return model.imagine(state, torch.ones(2, steps, 2))


def test_a_saved_world_dreams_the_same_bit_for_bit(saved):
    model, folder = saved
    loaded = load_world_model(folder)
    assert loaded.world == model.world
    assert torch.equal(rollout(loaded).frames, rollout(model).frames)
    assert torch.equal(rollout(loaded).rewards, rollout(model).rewards)


def test_a_checkpoint_is_a_diffusers_pipeline(saved):
    model, folder = saved
    pipeline = WorldModelPipeline.from_pretrained(folder)
    contexts = model.contexts.select(torch.tensor([0, 1]))
    actions = torch.cat([contexts.actions, torch.ones(2, 3, 2)], dim=1)
    assert torch.equal(pipeline(contexts.frames, actions).frames, rollout(model).frames)


def test_no_file_of_a_checkpoint_is_a_pickle(saved):
    _, folder = saved
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint at"):
        load_world_model(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load_world_model(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "world.json",
        "contexts.safetensors",
        "network/diffusion_pytorch_model.safetensors",
        "network/config.json",
    ],
)
def test_a_truncated_file_is_named_in_one_sentence(saved, name):
    _, folder = saved
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError) as error:
        load_world_model(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["contexts.safetensors", "network/diffusion_pytorch_model.safetensors", "world.json"]
)
def test_a_flipped_bit_is_found(saved, name):
    """Weights with a flipped bit still load, and dream something else."""
    _, folder = saved
    content = bytearray((folder / name).read_bytes())
    content[-20] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged|not JSON"):
        load_world_model(folder)


def test_a_missing_file_is_named(saved):
    _, folder = saved
    (folder / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"scheduler/scheduler_config\.json is missing"):
        load_world_model(folder)


def test_a_newer_format_asks_for_an_upgrade(saved):
    _, folder = saved
    manifest = json.loads((folder / "world.json").read_text())
    manifest["version"] += 1
    (folder / "world.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="upgrade worldmodel"):
        load_world_model(folder)
