import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_world import tiny_world_model

from worldmodel.errors import CheckpointError
from worldmodel.files import crc32, read_json, write_checked_json
from worldmodel.model.checkpoint import MANIFEST, load_world_model, save_world_model
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


def signed(folder, **changes):
    """Make the manifest fit the files again, as whoever edits a checkpoint by hand might."""
    content = read_json(folder / MANIFEST) | changes
    content.pop("crc32")
    content["files"] = {name: crc32(folder / name) for name in content["files"]}
    write_checked_json(folder / MANIFEST, content)


@pytest.mark.parametrize("head", ["reward", "termination", "readout"])
def test_a_missing_head_is_refused_not_made_up(saved, head):
    _, folder = saved
    path = folder / "network" / "diffusion_pytorch_model.safetensors"
    weights = {name: value for name, value in load_file(path).items() if not name.startswith(f"{head}.")}
    save_file(weights, path, metadata={"format": "pt"})
    signed(folder)
    with pytest.raises(CheckpointError, match=rf"lacks weights \({head}\..*part {head}\)"):
        load_world_model(folder)


def test_weights_without_a_place_are_refused(saved):
    _, folder = saved
    path = folder / "network" / "diffusion_pytorch_model.safetensors"
    save_file(load_file(path) | {"value.weight": torch.ones(3)}, path, metadata={"format": "pt"})
    signed(folder)
    with pytest.raises(CheckpointError, match=r"no place for \(value\.weight\)"):
        load_world_model(folder)


def test_a_frame_size_or_an_action_space_that_does_not_fit_is_refused(saved):
    model, folder = saved
    world = model.world.to_json()
    actions = {"type": "Discrete", "n": 3, "start": 0}
    for change, message in (
        ({"frame_shape": [16, 16, 3]}, r"network makes frames of shape \[8, 8, 3\]"),
        ({"action_space": actions}, "network takes actions"),
    ):
        signed(folder, world=world | change)
        with pytest.raises(CheckpointError, match=message) as error:
            load_world_model(folder)
        assert "\n" not in str(error.value)
    contexts = load_file(folder / "contexts.safetensors")
    for change, message in (
        ({"frames": contexts["frames"][:, :, ::2].contiguous()}, "start contexts hold frames"),
        ({"actions": contexts["actions"][:, 1:].contiguous()}, "start contexts hold actions"),
    ):
        save_file(contexts | change, folder / "contexts.safetensors")
        signed(folder, world=world)
        with pytest.raises(CheckpointError, match=message):
            load_world_model(folder)
