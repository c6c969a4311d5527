"""Settings that come as a mapping: what does not fit is named, before anything is done with it."""

from typing import Any

import pytest

from worldmodel.arguments import made_of
from worldmodel.benchmark.benchmark import BenchmarkConfig
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.calibration import CalibrationConfig
from worldmodel.evaluation.evaluation import EvaluationConfig
from worldmodel.model.denoiser import NoiseConfig
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.training.config import TrainingConfig

NETWORK = {"frame_shape": (8, 8, 3), "action_dim": 2, "channels": (8,), "width": 16, "heads": 2}


def test_what_fits_is_made_and_none_sets_nothing() -> None:
    assert made_of(CalibrationConfig, {"contexts": 8}, "measurements") == CalibrationConfig(contexts=8)
    assert made_of(CalibrationConfig, None, "measurements") == CalibrationConfig()
    assert made_of(SpacetimeNetwork, NETWORK, "model").config.width == 16


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        (CalibrationConfig, {"contexts": "abc"}, r"measurements\.contexts must be a whole number, not 'abc'"),
        (CalibrationConfig, {"horizon": 2.5}, r"measurements\.horizon must be a whole number"),
        (CalibrationConfig, {"passes": None}, r"measurements\.passes must be a list"),
        (CalibrationConfig, {"foo": 1}, r"there is no key measurements\.foo"),
        (CalibrationConfig, {"seed": -1}, "seed is -1, expected at least 0"),
        (EvaluationConfig, {"memory_windows": 3}, r"measurements\.memory_windows must be a list"),
        (EvaluationConfig, {"memory_windows": ["a"]}, "memory_windows is"),
        (EvaluationConfig, {"seed": -1}, "seed is -1"),
        (EvaluationConfig, {"timing_seconds": 0}, "timing_seconds is 0, expected more than 0"),
        (BenchmarkConfig, {"batches": 3}, r"measurements\.batches must be a list"),
        (BenchmarkConfig, {"batches": [1.5]}, "batches is"),
        (BenchmarkConfig, {"seconds": ".nan"}, r"measurements\.seconds must be a number"),
        (NoiseConfig, {"past_max": "abc"}, r"measurements\.past_max must be a number"),
        (TrainingConfig, {"batch_size": 2, "clip_length": 4}, r"measurements\.steps is missing"),
        (SpacetimeNetwork, NETWORK | {"heads": 0}, r"model\.heads=0"),
        (SpacetimeNetwork, NETWORK | {"patch": 0}, r"model\.patch=0"),
        (SpacetimeNetwork, NETWORK | {"width": 0}, r"model\.width=0"),
    ],
)
def test_what_does_not_fit_is_one_sentence(target: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(WorldModelError, match=message):
        made_of(target, settings, "measurements")
