"""The map from a dream's signals to its expected error: fitted, stored, and honest about what it does not know."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from counting_data import HELD, counting
from tiny_world import SIZE, tiny_world_model

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import CheckpointError, DatasetError, WorldModelError
from worldmodel.evaluation.calibration import HELDOUT, CalibrationConfig, Observed, calibrate_model, fit
from worldmodel.evaluation.isotonic import increasing_knots
from worldmodel.evaluation.reliability import measure_reliability
from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import load_world_model, save_world_model
from worldmodel.model.uncertainty import SIGNALS, Calibration, ErrorMap, Evidence
from worldmodel.report.calibrate import calibrate


def observed(signals: np.ndarray, error: np.ndarray) -> Observed:
    return Observed(torch.tensor(signals, dtype=torch.float32), error, np.ones(len(error), np.int64))


@pytest.mark.parametrize("scores", [np.zeros(7), np.arange(7.0), np.array([1.0])])
def test_knots_always_make_a_map(scores: np.ndarray) -> None:
    knots = increasing_knots(scores, scores[::-1].copy())
    ErrorMap({"travel": 1.0}, *knots)


def test_a_map_is_monotone_continuous_and_constant_beyond_its_ends() -> None:
    error_map = ErrorMap({"travel": 1.0}, [0.0, 1.0, 3.0], [2.0, 4.0, 4.0])
    signals = torch.ones(5, len(SIGNALS))
    signals[:, 0] = torch.tensor([-3.0, 0.0, 0.5, 1.0, 9.0]).exp()
    torch.testing.assert_close(error_map(signals), torch.tensor([2.0, 2.0, 3.0, 4.0, 4.0]))
    signals[1, 0] = torch.nan
    assert error_map(signals)[1].isnan(), "what is not known stays unknown"
    signals[2, 1:] = torch.nan
    assert error_map(signals)[2].isfinite(), "signals that are not used do not matter"


def test_a_fit_finds_the_signal_that_tells_the_error() -> None:
    rng = np.random.default_rng(0)
    signals = rng.uniform(0.1, 1.0, (2000, len(SIGNALS)))
    error = np.exp(2 * np.log(signals[:, 1]) + 3 + 0.05 * rng.normal(size=2000)) - 1
    found = fit([observed(signals, error)])
    weights = found.to_json()["weights"]
    assert weights["residual"] == pytest.approx(2.0, abs=0.1)
    expected = found(torch.tensor(signals, dtype=torch.float32)).numpy()
    assert np.abs(expected - error).mean() < 0.5
    assert (np.diff(expected[np.argsort(signals[:, 1])]) > -0.5).all()


def test_a_signal_that_falls_with_the_error_is_left_out() -> None:
    """More of a signal must never mean less error, whatever the sample says."""
    rng = np.random.default_rng(0)
    signals = rng.uniform(0.1, 1.0, (500, len(SIGNALS)))
    weights = fit([observed(signals, 10 * signals[:, 0] / signals[:, 2])]).to_json()["weights"]
    assert "spread" not in weights and "travel" in weights


def test_a_single_pass_has_no_spread_and_counts_steps() -> None:
    signals = np.random.default_rng(0).uniform(0.1, 1.0, (500, len(SIGNALS)))
    signals[:, SIGNALS.index("spread")] = np.nan
    weights = fit([observed(signals, 10 * signals[:, 3])]).to_json()["weights"]
    assert set(weights) <= {"travel", "residual", "steps"} and weights["steps"] > 0


def test_signals_by_hand() -> None:
    origin = torch.zeros(2, 1, 2, 2)
    evidence = Evidence.begin(origin, torch.tensor([0.5, torch.nan]))
    evidence.observe(torch.tensor([3.0, 1.0]))
    evidence.observe(torch.tensor([4.0, 1.0]))
    frames = torch.stack([torch.full((1, 2, 2), 0.1), torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])])
    torch.testing.assert_close(
        evidence.signals(frames),
        torch.tensor([[0.1, 0.5, 5.0, 2.0], [0.5, torch.nan, 2.0**0.5, 2.0]]),
        equal_nan=True,
    )


def test_reliability_of_an_honest_and_of_a_boasting_model() -> None:
    true = np.linspace(1, 10, 200)
    horizon = np.tile([1, 2], 100)
    honest = measure_reliability(true, true, horizon, 1.0)
    assert honest.spearman == pytest.approx(1) and honest.ence == pytest.approx(0) and honest.coverage == 1
    assert honest.within_horizon == pytest.approx(1)
    boasting = measure_reliability(true / 2, true, horizon, 1.0)
    assert boasting.spearman == pytest.approx(1), "ranks do not see it"
    assert boasting.ence == pytest.approx(1) and boasting.coverage == 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting() | {"size": SIZE}, policy=HELD, out=folder, episodes=40, workers=0)
    return EpisodeDataset(folder)


def model_of(data: EpisodeDataset):
    """A model of random weights that claims to have learned `data`."""
    model = tiny_world_model(data.action_space)
    model.world = replace(model.world, env=data.env)
    model.dynamics.calibration = None
    return model


def test_without_a_calibration_nothing_is_pretended(data: EpisodeDataset) -> None:
    model = model_of(data)
    contexts = model.contexts.select(torch.tensor([0, 1]))
    state = model.begin(contexts.frames, contexts.actions, torch.tensor([0, 1]))
    action = torch.zeros(2, model.world.codec.size)
    assert model.step(state, action).uncertainty.isnan().all() and not model.is_calibrated(2)
    model.dynamics.calibration = calibrate_model(model, data, CalibrationConfig(contexts=8, horizon=2))
    assert model.step(state, action).uncertainty.isfinite().all() and model.is_calibrated(2)
    assert model.step(state, action, 4).uncertainty.isnan().all(), "four passes have no map"


def test_the_command_stores_what_it_fitted(
    data: EpisodeDataset, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    with atomic_directory(tmp_path / "world") as temporary:
        save_world_model(model_of(data), temporary)
    small = {"contexts": 8, "horizon": 2, "passes": [1, 2]}
    calibrate(
        str(tmp_path / "world"), str(data.path), {"again": str(data.path)}, small, out=str(tmp_path / "out")
    )
    assert "as it should be" in (tmp_path / "out" / "calibration.html").read_text(encoding="utf-8")
    assert "with unfamiliar worlds" in capsys.readouterr().out
    loaded = load_world_model(tmp_path / "world").dynamics.calibration
    assert loaded is not None and set(loaded.maps) == {1, 2}
    assert {HELDOUT, "mirrored", "again"} <= set(loaded.measured[2]["worlds"])
    again = Calibration.from_json(loaded.to_json())
    signals = torch.rand(6, len(SIGNALS))
    torch.testing.assert_close(again.expected_error(signals, 2), loaded.expected_error(signals, 2))


def test_bad_input_is_one_sentence(data: EpisodeDataset, tmp_path) -> None:
    with pytest.raises(WorldModelError, match="contexts is 2, expected at least 8"):
        CalibrationConfig(contexts=2)
    with pytest.raises(WorldModelError, match="expected whole numbers"):
        CalibrationConfig(passes=[0])
    collect(env=counting() | {"size": SIZE}, policy=HELD, out=tmp_path / "few", episodes=2, workers=0)
    with pytest.raises(DatasetError, match="fewer than two held-out episodes"):
        calibrate_model(model_of(data), EpisodeDataset(tmp_path / "few"), CalibrationConfig())
    for broken in (
        ({}, [0.0, 1.0], [0.0, 1.0]),
        ({"mood": 1.0}, [0.0, 1.0], [0.0, 1.0]),
        ({"travel": 1.0}, [1.0, 0.0], [0.0, 1.0]),
        ({"travel": 1.0}, [0.0, 1.0], [1.0, 0.0]),
    ):
        with pytest.raises(CheckpointError, match="worldmodel calibrate"):
            ErrorMap(*broken)
