"""Publishing: a small world that loads by its name, and a card that says how it was made."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from counting_data import HELD, counting
from safetensors.torch import load_file

from worldmodel import zoo
from worldmodel.data.collect import collect
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.files import read_json, write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.report.publish import WEIGHTS, _small, publish
from worldmodel.report.shipped import zoo as list_shipped
from worldmodel.training.budget import read_budget
from worldmodel.training.train import train

CONFIGS = Path(__file__).parents[2] / "configs"
QUICK = {
    "calibration": {"contexts": 8, "horizon": 2},
    "check": {"contexts": 2, "horizon": 2},
    "num_contexts": 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting(), policy=HELD, out=folder, episodes=40, workers=0)
    return str(folder)


@pytest.fixture(scope="module")
def run(data: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    settings = {name: yaml.safe_load((CONFIGS / path).read_text()) for name, path in PRESETS.items()}
    settings["train"] |= {"steps": 2, "batch_size": 2, "clip_length": 3, "warmup_steps": 1}
    out = str(tmp_path_factory.mktemp("runs") / "counting")
    train(data=data, out=out, num_context_frames=2, num_contexts=6, device="cpu", **settings)
    return out


PRESETS = {"model": "model/debug.yaml", "noise": "noise/default.yaml", "train": "train/tiny.yaml"}


@pytest.fixture(scope="module")
def world(run: str, data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(run, data, "counting", str(tmp_path_factory.mktemp("zoo") / "counting"), **QUICK)


def test_a_published_world_holds_no_training_state_and_half_the_bits(world: Path, run: str) -> None:
    assert sorted(path.relative_to(world).as_posix() for path in world.rglob("*") if path.is_file()) == [
        "README.md",
        "card.json",
        "contexts.safetensors",
        "model_index.json",
        "network/config.json",
        WEIGHTS,
        "scheduler/scheduler_config.json",
        "world.json",
    ]
    half, full = load_file(world / WEIGHTS), load_file(find_checkpoint(run) / WEIGHTS)
    assert {weight.dtype for weight in half.values()} == {torch.float16}
    torch.testing.assert_close({k: v.float() for k, v in half.items()}, full, atol=1e-3, rtol=1e-3)


def test_it_loads_as_float32_with_its_starts_and_its_calibration(world: Path) -> None:
    model = load_world_model(world)
    assert {weight.dtype for weight in model.network.parameters()} == {torch.float32}
    assert len(model.contexts) == 3
    assert model.is_calibrated(model.num_inference_steps)


def test_its_card_says_how_it_was_made(world: Path, run: str) -> None:
    card, text = read_json(world / "card.json"), (world / "README.md").read_text(encoding="utf-8")
    assert card["training"]["steps"] == 2 and card["training"]["frames"] == 2 * 2 * 3
    assert card["training"]["minutes"] == pytest.approx(sum(call.minutes for call in read_budget(Path(run))))
    assert card["data"]["episodes"] == 40 and card["data"]["policy"] == HELD
    assert len(card["rounding"]["loss"]) == 2
    for words in (
        "## Data",
        "## Training",
        "## Figures",
        "not evaluated",
        "## Limits",
        "## Licence",
        card["sha256"],
    ):
        assert words in text


def test_its_card_counts_the_trainings_whose_weights_it_began_with(
    run: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {name: yaml.safe_load((CONFIGS / path).read_text()) for name, path in PRESETS.items()}
    settings["train"] |= {"steps": 1, "batch_size": 2, "clip_length": 3, "warmup_steps": 1}
    further = str(tmp_path / "further")
    train(data=data, out=further, weights=run, num_context_frames=2, num_contexts=6, device="cpu", **settings)
    told = read_json(publish(further, data, "further", str(tmp_path / "world"), **QUICK) / "card.json")[
        "training"
    ]
    calls = [*read_budget(Path(run)), *read_budget(Path(further))]
    assert told["steps"] == 2 + 1 and told["frames"] == 3 * 2 * 3
    assert told["minutes"] == pytest.approx(sum(call.minutes for call in calls))
    assert [call["to_step"] for call in told["calls"]] == [2, 1] and told["unrecorded_weights"] is None

    monkeypatch.setattr(
        "worldmodel.report.publish.read_budget",
        lambda folder: read_budget(folder) if folder.name == "further" else [],
    )
    folder = publish(further, data, "further", str(tmp_path / "world"), **QUICK)
    assert read_json(folder / "card.json")["training"]["steps"] == 1
    assert (
        f"begun with the weights of {run}, whose training is not on record"
        in (folder / "README.md").read_text()
    )


def test_figures_come_from_the_report_of_this_checkpoint(
    run: str, data: str, world: Path, tmp_path: Path
) -> None:
    psnr = {"dream": [30.0] * 8, "copy_last_frame": [20.0] * 7 + [31.0], "shuffled_actions": [25.0] * 8}
    report = {
        "format": "worldmodel-report",
        "checkpoint": str(find_checkpoint(run)),
        "world": load_world_model(run).world.to_json(),
        "command": "worldmodel evaluate",
        "fidelity": {
            "horizon": 8,
            "psnr": psnr,
            "contexts": 4,
            "episodes": 2,
            "rewards": {"correlation": [{"mean": 0.9}] * 8},
            "endings": {"near": {"ends": 3, "called": 0, "dreams": 3, "recall": {"mean": 0.0}}},
        },
        "long_dreams": {
            "dreams": 2,
            "windows": [{"first": 2, "last": 4, "dream": {"colour": 1.5, "gradient": {"mean": -3.0}}}],
            "objects": [{"name": "puck", "present": [1.0, 1.0, 0.5, 0.0]}],
        },
        "chance": {"reason": "nothing to bring back"},
    }
    write_json(tmp_path / "report.json", report)
    shutil.copytree(world, tmp_path / "world")
    publish(run, data, "counting", str(tmp_path / "world"), report=str(tmp_path / "report.json"), **QUICK)
    text = (tmp_path / "world" / "README.md").read_text(encoding="utf-8")
    assert "| last frame copied | 20.0 | 31.0 |" in text
    assert "true one: 0.90 at step 1, 0.90 at step 8." in text and "none called, recall 0.00." in text
    assert "colour 1.5 % apart, gradient energy -3.0 %; still there: puck 25%." in text
    assert "At frame 8 it is no closer to reality than a copy" in text
    for other in ({"checkpoint": "runs/other/checkpoints/00000777"}, {"world": {"env": {"id": "Other-v0"}}}):
        write_json(tmp_path / "report.json", report | other)
        with pytest.raises(WorldModelError, match="evaluate this one first"):
            publish(run, data, "counting", str(tmp_path / "w"), report=str(tmp_path / "report.json"), **QUICK)


def test_what_is_too_large_is_refused_and_leaves_nothing(run: str, data: str, tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="give fewer num_contexts"):
        publish(run, data, "counting", str(tmp_path / "w"), most_megabytes=0.001, **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_a_published_world_is_replaced(run: str, data: str) -> None:
    for precious in (run, data):
        before = sorted(Path(precious).rglob("*"))
        with pytest.raises(WorldModelError, match="is no published world"):
            publish(run, data, "counting", precious, **QUICK)
        assert sorted(Path(precious).rglob("*")) == before


def test_what_is_compared_with_float32_is_what_ships(run: str, world: Path) -> None:
    rounded, loaded = _small(load_world_model(run), 3).network, load_world_model(world).network
    for (name, one), other in zip(rounded.named_buffers(), loaded.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_contexts": 0}, "num_contexts is 0"),
        ({"check": {"contexts": 0}}, r"check\.contexts is 0"),
        ({"check": {"horizon": "a"}}, r"check\.horizon must be a whole number"),
        ({"calibration": {"foo": 1}}, r"no key calibration\.foo"),
        ({"budget": {"minutes": 5, "command": None, "machine": None}}, r"budget\.command is missing"),
        ({"budget": {"minutes": "a", "command": "c", "machine": "m"}}, r"budget\.minutes must be a number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    run: str, data: str, tmp_path: Path, settings: dict, message: str
) -> None:
    with pytest.raises(WorldModelError, match=message):
        publish(run, data, "counting", str(tmp_path / "w"), **(QUICK | settings))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_without_its_run_is_refused(run: str, data: str, tmp_path: Path) -> None:
    alone = shutil.copytree(find_checkpoint(run), tmp_path / "alone")
    with pytest.raises(CheckpointError, match="lies in no training run"):
        publish(str(alone), data, "counting", str(tmp_path / "w"), **QUICK)
    copied = shutil.copytree(find_checkpoint(run), Path(run) / "my_copy")
    with pytest.raises(CheckpointError, match="lies in no training run"):
        publish(str(copied), data, "counting", str(tmp_path / "w"), **QUICK)
    shutil.rmtree(copied)
    with pytest.raises(WorldModelError, match="expected a word"):
        publish(run, data, "My World", str(tmp_path / "w"), **QUICK)


def test_shipped_worlds_are_listed(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zoo, "SHELF", world.parent)
    list_shipped()
    assert "counting  counting_env:Counting-v0" in capsys.readouterr().out
    monkeypatch.setattr(zoo, "SHELF", world / "scheduler")
    list_shipped()
    assert "No world comes with this installation" in capsys.readouterr().out
