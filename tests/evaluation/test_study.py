"""The whole study on small worlds: one that knows its states, and a game."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_data import HELD
from tiny_world import tiny_world_model

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.metrics.trust import Spread
from worldmodel.evaluation.moments.splits import unfamiliar_options
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.probe.probe import ProbeConfig
from worldmodel.evaluation.report.physics_page import physics_html, physics_numbers
from worldmodel.evaluation.report_data import PhysicsReport
from worldmodel.evaluation.rows.closed_loop import ClosedLoop
from worldmodel.evaluation.rows.rows import COPY, DEAF, IDLE, NOISY, SHUFFLED, SIMULATOR
from worldmodel.evaluation.settings import PhysicsConfig, physics_config
from worldmodel.evaluation.study import Subjects, study
from worldmodel.machine import this_machine
from worldmodel.real_env import EnvConfig

SIZE = 24
PROBE = ProbeConfig(
    mask_frames=100,
    mask_steps=180,
    windows=30,
    length=8,
    place_steps=200,
    episodes=20,
    speed_steps=300,
    batch=128,
    gate_windows=12,
)
LITTLE = PhysicsConfig(
    contexts=3,
    horizon=6,
    unfamiliar=2,
    branches=2,
    branch_steps=12,
    sampled=2,
    samples=4,
    sample_steps=3,
    symmetric=2,
    policies=13,
    starts=2,
    policy_steps=4,
    decisions=2,
    resamples=100,
    films=1,
    probe=PROBE,
)


def copied(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Anybody's model: the last frame for every action after the context."""
    return np.repeat(frames[:, -1:], actions.shape[1] - frames.shape[1] + 1, axis=1)


@pytest.fixture(scope="module")
def push(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    folder = tmp_path_factory.mktemp("push") / "data"
    env = {"id": "worldmodel/Push-v0", "size": SIZE}
    collect(env, HELD, folder, episodes=24, seed=1, workers=0)
    return EpisodeDataset(folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def report(push: EpisodeDataset, kept: Path) -> PhysicsReport:
    return run(push, kept)


def run(push: EpisodeDataset, kept: Path, **models: Any) -> PhysicsReport:
    given = {"dream": tiny_world_model(size=SIZE), "copied": copied, **models}
    subjects = Subjects(given, {name: name for name in given}, 3, {})
    return study(subjects, push, LITTLE, kept / "parts", kept / "probes")


def test_every_row_is_there_on_the_same_moments(report: PhysicsReport) -> None:
    familiar = report.splits[0]
    wanted = {SIMULATOR, NOISY, COPY, "constant velocity", "nearest neighbour", "simulator, zero actions"}
    assert wanted | {"dream", f"dream{DEAF}", "copied"} <= set(familiar.rows) and familiar.contexts == 3
    assert "simulator, mass x1.2" in familiar.rows
    assert [split.name for split in report.splits[1:]] == [
        "ood:mass",
        "ood:friction",
        "ood:size",
        "combination",
    ]
    places = {name: row.numbers["nrmse places"] for name, row in familiar.rows.items()}
    floor, dream = places[SIMULATOR], places["dream"]
    assert not isinstance(floor, NotMeasured) and not isinstance(dream, NotMeasured)
    assert floor.mean < 0.3 < dream.mean
    assert places["copied"] == places[COPY], "the same frames, so the same number"
    assert isinstance(familiar.rows["constant velocity"].numbers["psnr"], NotMeasured)


def test_known_answers(report: PhysicsReport) -> None:
    answers = {name: answer.numbers["cf_r2"] for name, answer in report.answers.items()}
    told = {name: value.mean for name, value in answers.items() if not isinstance(value, NotMeasured)}
    assert told[SIMULATOR] > 0.8 and told[COPY] == told["copied"] == 0.0
    assert "constant velocity" not in told
    pictures = report.splits[0].rows[SIMULATOR].numbers["psnr"]
    assert not isinstance(pictures, NotMeasured) and pictures.mean > 58


def test_orders_of_the_familiar_rows(report: PhysicsReport) -> None:
    """Never the other way round where it can be told: floor, action noise, no actions, a copied frame."""
    orders = report.splits[0].orders
    pairs = {(order.better, order.worse) for order in orders}
    assert {(SIMULATOR, NOISY), (NOISY, IDLE), (IDLE, COPY), (NOISY, SHUFFLED), (SHUFFLED, COPY)} <= pairs
    noise = next(order for order in orders if (order.better, order.worse) == (NOISY, IDLE))
    assert noise.difference.low > 0
    references = [order for order in orders if order.better in (SIMULATOR, NOISY)]
    assert all(order.difference.high > 0 for order in references)


def test_models_alone(report: PhysicsReport) -> None:
    dream, other = report.findings["dream"], report.findings["copied"]
    assert isinstance(dream.closed_loop, ClosedLoop) and dream.closed_loop.ranking[4].policies == 13
    assert (
        isinstance(other.closed_loop, NotMeasured) and "without imagined rewards" in other.closed_loop.reason
    )
    assert isinstance(dream.spread, Spread) and dream.spread.samples == 4
    assert isinstance(other.warned, NotMeasured)
    assert "dream - copied" in report.splits[0].gaps


def test_a_finished_study_plays_nothing_again(
    push: EpisodeDataset, kept: Path, report: PhysicsReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed: all rows, branches, samples and policies come from their files."""
    calls = []

    def counted(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
        calls.append(len(frames))
        return copied(frames, actions)

    again = run(push, kept, copied=counted)
    assert again.splits[0].rows["copied"].numbers == report.splits[0].rows["copied"].numbers
    assert again.answers["copied"].numbers == report.answers["copied"].numbers
    assert max(calls) <= 3, "only M7 and the worst cases are dreamt anew"


@pytest.fixture(scope="module")
def html(report: PhysicsReport) -> str:
    return physics_html(report, 10.0, this_machine(), 1.0)


def test_page_and_json_hold_everything(report: PhysicsReport, html: str) -> None:
    for title in (
        "All rows",
        "M1, M2",
        "M4",
        "M6",
        "M3, M5",
        "M8",
        "M9",
        "M7",
        "M10",
        "Beyond the training data",
    ):
        assert f">{title}" in html
    assert "smoke test" in html and "Side by side" in html and "worst cases" in html
    assert "http" not in html.replace("http://www.w3.org", ""), "needs nothing from elsewhere"
    numbers = json.loads(json.dumps(physics_numbers(report), allow_nan=False))
    assert numbers["splits"][0]["rows"]["dream"]["numbers"]["nrmse"].keys() == {"mean", "low", "high"}
    assert numbers["smoke"] and numbers["config"]["contexts"] == 3 and numbers["probe"]["version"]


def test_a_game_without_states_gets_what_can_be_measured(tmp_path: Path) -> None:
    env = {"id": "worldmodel/Maze-v0", "size": SIZE}
    collect(env, HELD, tmp_path / "data", episodes=10, seed=2, workers=0)
    dataset = EpisodeDataset(tmp_path / "data")
    model = tiny_world_model(action_space=dataset.action_space, size=SIZE, env_id="worldmodel/Maze-v0")
    little = replace(LITTLE, starts=1, policy_steps=2, branch_steps=4, decisions=0)
    found = study(Subjects({"dream": model}, {"dream": "1"}, 3, {}), dataset, little)
    row = found.splits[0].rows["dream"].numbers
    for name in ("nrmse", "energy", "contact f1"):
        number = row[name]
        assert isinstance(number, NotMeasured) and "no MuJoCo state" in number.reason
    assert not isinstance(row["psnr"], NotMeasured) and len(found.splits) == 1
    oracle = found.answers[SIMULATOR].numbers["cf_r2"]
    assert not isinstance(oracle, NotMeasured) and oracle.mean == pytest.approx(1.0)
    assert isinstance(found.findings["dream"].closed_loop, ClosedLoop)
    assert isinstance(found.findings["dream"].symmetry["mirror"], NotMeasured)
    html = physics_html(found, 10.0, this_machine(), 1.0)
    assert "N/A" in html and "no MuJoCo state" in html
    json.dumps(physics_numbers(found), allow_nan=False)


def test_settings_begin_from_a_size() -> None:
    assert physics_config({"size": "smoke"}).is_smoke and not physics_config({}).is_smoke
    changed = physics_config({"size": "smoke", "contexts": 9, "probe": {"mask_steps": 5}})
    assert changed.contexts == 9 and changed.probe.mask_steps == 5 and changed.policies >= 20
    for wrong in ({"size": "huge"}, {"context": 3}, {"contexts": 0}, {"probe": {"steps": 1}}):
        with pytest.raises(WorldModelError, match="physics"):
            physics_config(wrong)


def test_unfamiliar_physics_lies_outside_of_the_training_ranges() -> None:
    splits = unfamiliar_options(EnvConfig("worldmodel/Bounce-v0", size=8))
    assert splits["ood:gravity"] == {"gravity": 4.5} and splits["ood:bounce"]["restitution"] < 1
    assert set(splits) == {"ood:mass", "ood:size", "ood:gravity", "ood:friction", "ood:bounce"}
    assert unfamiliar_options(EnvConfig("CartPole-v1", size=8)) == {}
