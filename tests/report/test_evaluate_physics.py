"""worldmodel evaluate physics.size=...: what it measures, and the two files it writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_data import HELD
from physics_report import physics_report
from tiny_world import tiny_world_model

from worldmodel import zoo
from worldmodel.data.collect import collect
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.report.evaluate import evaluate, identity_of, summary
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.study import Subjects
from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import keep_calibration, place_of, save_world_model
from worldmodel.model.uncertainty import Calibration, ErrorMap


def theirs(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Somebody's model."""
    return frames


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """Data of Push at 8 pixels, and two checkpoints of random weights."""
    env = {"id": "worldmodel/Push-v0", "size": 8, "kwargs": {"supersample": 1}}
    collect(env, HELD, tmp_path / "data", episodes=4, workers=0)
    for name in ("world", "other"):
        with atomic_directory(tmp_path / name) as folder:
            save_world_model(tiny_world_model(max_episode_steps=100), folder)
    return {"checkpoint": str(tmp_path / "world"), "data": str(tmp_path / "data")}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the study was asked for."""
    found: dict[str, Any] = {}

    def study(subjects: Subjects, dataset: Any, config: PhysicsConfig, parts: Path, cache: Any) -> Any:
        found.update(subjects=subjects, config=config, parts=parts, cache=cache)
        return physics_report(list(subjects.models))

    monkeypatch.setattr("worldmodel.evaluation.report.evaluate.study", study)
    return found


def test_the_physics_alone(world: dict[str, str], asked: dict[str, Any], tmp_path: Path) -> None:
    physics = {"size": "smoke", "branches": 3, "cache": str(tmp_path / "probes")}
    path = evaluate(**world, out=str(tmp_path / "out"), physics=physics, dreams=False, device="cpu")
    assert path == tmp_path / "out" / "physics.html" and not (tmp_path / "out" / "report.html").exists()
    assert asked["config"].branches == 3 and asked["config"].is_smoke
    assert asked["parts"] == tmp_path / "out" / "physics.parts" and asked["cache"] == str(tmp_path / "probes")
    html, numbers = path.read_text(), json.loads((path.parent / "physics.json").read_text())
    assert "&gt; 25" in html and "CF-R2" in html
    assert numbers["format"] == "worldmodel-physics" and numbers["checkpoints"] == {
        "world": world["checkpoint"]
    }
    assert (
        numbers["machine"]["versions"]
        and numbers["splits"][0]["rows"]["world"]["numbers"]["usable"]["mean"] is None
    )
    assert not numbers["resumed"] and "earlier runs" not in html
    told = summary(tmp_path / "out")
    assert "CF-R2" in told and "physics.html" in told and "report.html" not in told


def test_a_run_that_went_on_says_that_its_seconds_are_not_all(
    world: dict[str, str], asked: dict[str, Any], tmp_path: Path
) -> None:
    parts = tmp_path / "out" / "physics.parts"
    parts.mkdir(parents=True)
    (parts / "0.part").touch()
    path = evaluate(**world, out=str(tmp_path / "out"), physics={"size": "smoke"}, dreams=False, device="cpu")
    assert "seconds, not counting what earlier runs had finished, on" in path.read_text()
    assert json.loads((path.parent / "physics.json").read_text())["resumed"]


def test_others_are_compared(world: dict[str, str], asked: dict[str, Any], tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    physics = {"size": "smoke", "compare": {"other": other}, "predict": {"theirs": f"{__name__}:theirs"}}
    physics["policies"] = {"mine": HELD}
    evaluate(**world, out=str(tmp_path / "out"), physics=physics, dreams=False, device="cpu")
    subjects = asked["subjects"]
    assert list(subjects.models) == ["world", "other", "theirs"] and subjects.context_frames == 3
    assert subjects.identities["world"] == subjects.identities["other"], "the same weights"
    assert subjects.policies == {"mine": HELD}
    assert subjects.identities["theirs"] is None, "nobody knows whether a function is still the same"
    numbers = json.loads((tmp_path / "out" / "physics.json").read_text())
    assert numbers["models"] == ["world", "other", "theirs"] and len(numbers["headline"]) == 6


@pytest.mark.parametrize(
    ("physics", "dreams", "message"),
    [
        ({"size": "large"}, False, "physics.size is 'large'"),
        (None, False, "Nothing is to be measured"),
        ({"size": "smoke", "steps": 3}, False, "there is no key physics.steps"),
        (
            {"size": "smoke", "predict": {"a": "nowhere:f"}},
            False,
            "physics.predict.a=nowhere:f cannot be found",
        ),
        ({"size": "smoke", "predict": {"a": "json:__name__"}}, False, "which is no function"),
        ({"size": "smoke", "compare": {"world": "elsewhere/world"}}, False, "Two models are called 'world'"),
        (
            {"size": "smoke", "predict": {"simulator": f"{__name__}:theirs"}},
            False,
            "a row 'simulator' of its own",
        ),
        ({"size": "smoke", "policies": {"random": HELD}}, False, "a policy 'random' of its own"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_begins(
    world: dict[str, str], asked: dict[str, Any], tmp_path: Path, physics: Any, dreams: bool, message: str
) -> None:
    with pytest.raises(WorldModelError, match=message):
        evaluate(**world, out=str(tmp_path / "out"), physics=physics, dreams=dreams, device="cpu")
    assert not asked


def test_a_calibrated_world_is_another_one(world: dict[str, str]) -> None:
    """Its frames are the same, but not what it tells of its error."""
    before = identity_of(world["checkpoint"])
    other = Calibration({2: ErrorMap({"spread": 1.0}, [-5.0, 5.0], [0.0, 60.0])}, {2: {}})
    keep_calibration(Path(world["checkpoint"]), other)
    assert identity_of(world["checkpoint"]) != before


def test_a_shipped_world_is_told_by_its_name_and_not_by_where_it_lies_here(world: dict[str, str]) -> None:
    name = zoo.names()[0]
    assert place_of(name) == place_of(f"zoo:{name}") == f"zoo:{name}"
    assert place_of(world["checkpoint"]) == world["checkpoint"]
