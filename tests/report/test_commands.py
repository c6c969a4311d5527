"""worldmodel evaluate and worldmodel imagine on a small real world."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from counting_data import HELD

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import CheckpointError, DatasetError, WorldModelError
from worldmodel.evaluation.report.evaluate import evaluate, summary
from worldmodel.report.imagine import imagine
from worldmodel.training.train import train

NETWORK = {
    "channels": [8],
    "width": 16,
    "depth": 1,
    "heads": 2,
    "window": 4,
    "condition_width": 16,
    "features": 16,
    "reward_bins": 11,
}
LITTLE = {
    "contexts": 3,
    "horizon": 5,
    "counterfactuals": 2,
    "counterfactual_horizon": 3,
    "action_noise": 0.1,
    "long_dreams": 2,
    "long_steps": 10,
    "occlusions": 2,
    "memory_windows": [2],
    "chance_contexts": 2,
    "chance_samples": 4,
    "chance_horizon": 3,
    "films": 1,
    "film_steps": 6,
    "timing_seconds": 0.01,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A dataset of Push at 16 pixels, and a world model that has seen it for two steps."""
    folder = tmp_path_factory.mktemp("world")
    env = {"id": "worldmodel/Push-v0", "size": 16, "kwargs": {"supersample": 1}}
    collect(env, HELD, folder / "data", episodes=6, workers=0)
    training = {"steps": 2, "batch_size": 2, "clip_length": 4}
    train(str(folder / "data"), str(folder / "world"), NETWORK, {}, training, num_contexts=4, device="cpu")
    return {"checkpoint": str(folder / "world"), "data": str(folder / "data")}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `worldmodel agent train` would have left."""
    folder = tmp_path_factory.mktemp("agent")
    score = {"returns": [1.0, 2.0], "mean": 1.5, "interval": [1.0, 2.0], "terminated_share": 0.5}
    trained = {"world": "dream", "frames": 640, "seconds": 3.5}
    gap = {"dream": 2.0, "real": 1.5, "difference": 0.5, "interval": [-0.5, 1.5], "pairs": 2}
    content = {"agent": score, "random": {**score, "mean": 1.2}, "gap": gap, "trained": trained}
    (folder / "score.json").write_text(json.dumps(content))
    rows = [{"frames": 64 * i, "reward": 0.1 * i} for i in range(1, 11)]
    (folder / "learning_curve.json").write_text(json.dumps({"trained": trained, "rows": rows}))
    return folder


def report(folder: Path) -> tuple[str, dict[str, Any]]:
    return (folder / "report.html").read_text(), json.loads((folder / "report.json").read_text())


def test_evaluate_alone_writes_page_and_numbers(world: dict[str, str], tmp_path: Path) -> None:
    path = evaluate(**world, out=str(tmp_path), measurements=LITTLE, policy=HELD, device="cpu")
    html, numbers = report(tmp_path)
    assert path == tmp_path / "report.html"
    titles = ["Real, dream, difference", "How long", "Same moment, different actions", "What it costs"]
    for title in [*titles, "A dream of 10 steps", "What chance does", "Not measured here"]:
        assert title in html
    assert "Learning inside the dream" not in html and "What it is worth in reality" not in html
    assert numbers["format"] == "worldmodel-report" and numbers["agents"] == {}
    assert numbers["fidelity"]["counts"] == [3] * 5 and len(numbers["fidelity"]["psnr"]["dream"]) == 5
    heldout = set(EpisodeDataset(world["data"]).split("heldout").tolist())
    assert set(numbers["films"]["episodes"]) <= heldout
    assert numbers["counterfactual"]["restored_by"] == "state"
    assert numbers["measurements"] == {**LITTLE, "max_batch": 256, "seed": 0}
    assert numbers["machine"]["cores"] >= 1 and numbers["machine"]["versions"]["torch"]
    noisy = numbers["fidelity"]["simulator_with_action_noise"]
    assert noisy["repeats_exactly_without_noise"] and noisy["restored_by"] == "state"
    assert len(numbers["fidelity"]["psnr"]["simulator_with_action_noise"]) == 5
    assert [window["last"] for window in numbers["long_dreams"]["windows"]] == [2, 5, 10]
    assert [item["name"] for item in numbers["long_dreams"]["objects"]] == ["agent", "puck"]
    assert "nothing is hidden" in numbers["permanence"]["reason"]
    assert numbers["chance"]["deterministic"] and len(numbers["chance"]["pixels"]["real"]) == 3
    assert "http" not in html.replace("http://www.w3.org", "")


def test_what_is_switched_off_is_left_out(world: dict[str, str], tmp_path: Path) -> None:
    off = dict.fromkeys(("action_noise", "long_dreams", "occlusions", "chance_contexts"), 0)
    evaluate(**world, out=str(tmp_path), measurements={**LITTLE, **off}, device="cpu")
    html, numbers = report(tmp_path)
    assert "A dream of" not in html.split("<h1>")[1].split("</h1>")[1] and "Not measured here" not in html
    assert [numbers[part] for part in ("long_dreams", "permanence", "chance")] == [None] * 3
    assert "simulator_with_action_noise" not in numbers["fidelity"]["psnr"]


def test_the_same_seed_measures_the_same(world: dict[str, str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        evaluate(**world, out=str(tmp_path / name), measurements=LITTLE, policy=HELD, device="cpu")
    (_, first), (_, second) = report(tmp_path / "one"), report(tmp_path / "two")
    for part in ("fidelity", "counterfactual", "long_dreams", "chance", "films"):
        assert first[part] == second[part]


def test_agents_appear_with_random_actions_beside_them(
    world: dict[str, str], agent: Path, tmp_path: Path
) -> None:
    evaluate(
        **world,
        out=str(tmp_path),
        agents={"my_agent": str(agent)},
        measurements=LITTLE,
        policy=HELD,
        device="cpu",
    )
    html, numbers = report(tmp_path)
    assert "Learning inside the dream" in html and "What it is worth in reality" in html
    assert list(numbers["agents"]) == ["my agent", "random actions"]
    assert numbers["agents"]["my agent"]["gap"]["interval"] == [-0.5, 1.5]
    assert any("my agent" in line for line in summary(tmp_path).splitlines())


def test_a_missing_or_foreign_score_is_named(world: dict[str, str], tmp_path: Path) -> None:
    gone = {"a": str(tmp_path / "gone")}
    with pytest.raises(WorldModelError, match=r"gone/score\.json does not exist"):
        evaluate(
            **world, out=str(tmp_path / "out"), agents=gone, measurements=LITTLE, policy=HELD, device="cpu"
        )
    for name in ("score.json", "learning_curve.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(WorldModelError, match="holds no score of an agent"):
        evaluate(
            **world,
            out=str(tmp_path / "out"),
            agents={"a": str(tmp_path)},
            measurements=LITTLE,
            policy=HELD,
            device="cpu",
        )
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_sentence(world: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="contexts is 1, expected at least 2"):
        evaluate(**world, out=str(tmp_path), measurements={"contexts": 1})
    with pytest.raises(WorldModelError, match=r"policy\._target_ is missing"):
        evaluate(**world, out=str(tmp_path), measurements=LITTLE, device="cpu")
    with pytest.raises(WorldModelError, match="memory_windows is"):
        evaluate(**world, out=str(tmp_path), measurements={"memory_windows": [0]})
    with pytest.raises(WorldModelError, match="device is 'foo'"):
        evaluate(**world, out=str(tmp_path), measurements=LITTLE, policy=HELD, device="foo")
    with pytest.raises(WorldModelError, match="num_contexts 0"):
        training = {"steps": 1, "batch_size": 2, "clip_length": 4}
        train(world["data"], str(tmp_path / "run"), NETWORK, {}, training, num_contexts=0, device="cpu")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        evaluate(checkpoint=world["data"], data=world["data"], out=str(tmp_path))
    other = tmp_path / "other"
    collect({"id": "worldmodel/Push-v0", "size": 8}, HELD, other, episodes=2, workers=0)
    with pytest.raises(DatasetError, match="The frames of"):
        evaluate(
            world["checkpoint"], str(other), str(tmp_path), measurements=LITTLE, policy=HELD, device="cpu"
        )


def test_a_truncated_frame_file_is_named(world: dict[str, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(world["data"], data)
    frames = next(data.rglob("frames.npy"))
    frames.write_bytes(frames.read_bytes()[:-1000])
    with pytest.raises(DatasetError, match=r"frames\.npy"):
        evaluate(
            world["checkpoint"],
            str(data),
            str(tmp_path / "out"),
            measurements=LITTLE,
            policy=HELD,
            device="cpu",
        )


def test_imagine_writes_a_film_a_strip_and_numbers(world: dict[str, str], tmp_path: Path) -> None:
    path = imagine(world["checkpoint"], str(tmp_path), HELD, steps=4, contexts=3, gif=True, device="cpu")
    assert path == tmp_path / "dream.mp4" and (tmp_path / "dream.png").stat().st_size > 0
    assert (tmp_path / "dream.gif").read_bytes()[:4] == b"GIF8"
    numbers = json.loads((tmp_path / "dream.json").read_text())
    assert len(numbers["actions"]) == len(numbers["rewards"]) == 3
    assert len(numbers["rewards"][0]) == len(numbers["over"][0]) == 4 and "psnr" not in numbers


def test_imagine_beside_reality_measures_it(world: dict[str, str], tmp_path: Path) -> None:
    imagine(**world, out=str(tmp_path), policy=HELD, steps=4, contexts=2, num_inference_steps=1, device="cpu")
    numbers = json.loads((tmp_path / "dream.json").read_text())
    assert len(numbers["psnr"]) == 2 and len(numbers["psnr"][0]) == 4
    assert numbers["uncertainty"] == [[None] * 4] * 2, "a single pass has none, and JSON has no NaN"


def test_imagine_refuses_nothing_to_do(world: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="steps is 0, expected at least 1"):
        imagine(world["checkpoint"], str(tmp_path), HELD, steps=0)
