"""Uncertainty: samples that spread as the errors do, warnings that come in time."""

import numpy as np
import pytest

from worldmodel.evaluation.metrics.trust import Spread, measure_spread, measure_warning
from worldmodel.evaluation.statistics import Bootstrap

N, H, D = 120, 6, 2


def drawn(samples: int, factor: float, seed: int = 0) -> Spread:
    """Truth and samples of one distribution, whose scale varies by context; the samples' spread times `factor`."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(0, 0.7, (N, 1, 1, 1)))
    middle = rng.normal(0, 3, (N, 1, H, D))
    truth = middle + scale * rng.normal(size=(N, 1, H, D))
    dreamt = middle + factor * scale * rng.normal(size=(N, samples, H, D))
    return measure_spread(dreamt, truth[:, 0], np.ones(D), Bootstrap(np.arange(N), 500))


def test_samples_of_the_true_distribution_are_calibrated_for_any_number_of_them() -> None:
    for samples in (4, 16):
        found = drawn(samples, 1.0)
        assert found.coverage[0.5].mean == pytest.approx(0.5, abs=0.05)
        assert found.coverage[0.9].mean == pytest.approx(0.9, abs=0.03)
        assert np.array(found.told) == pytest.approx(np.array(found.found), rel=0.25)


def test_too_little_and_too_much_spread_raise_ence_and_the_number_of_samples_does_not() -> None:
    many, few = drawn(16, 1.0).ence.mean, drawn(8, 1.0).ence.mean
    assert drawn(16, 0.5).ence.mean > 2 * many and drawn(16, 2.0).ence.mean > 2 * many
    assert few == pytest.approx(many, abs=0.06)
    assert drawn(16, 0.5).coverage[0.9].mean < 0.75 and drawn(16, 2.0).coverage[0.5].mean > 0.65


def test_no_spread_at_all_is_as_wrong_as_can_be() -> None:
    frozen = drawn(4, 0.0)
    assert frozen.coverage[0.9].mean == 0.0 and frozen.ence.mean == 1.0


def test_a_sample_that_shows_nothing_covers_nothing() -> None:
    rng = np.random.default_rng(4)
    truth, samples = rng.normal(size=(N, H, D)), rng.normal(size=(N, 8, H, D))
    lost = samples.copy()
    lost[: N // 2, 3] = np.nan
    whole, half = (
        measure_spread(part, truth, np.ones(D), Bootstrap(np.arange(N), 100)).coverage[0.9].mean
        for part in (samples, lost)
    )
    assert half == pytest.approx(whole / 2, abs=0.03)
    hidden = np.where(np.arange(N)[:, None, None] < N // 2, np.nan, truth)
    found = measure_spread(lost, hidden, np.ones(D), Bootstrap(np.arange(N), 100))
    assert found.coverage[0.9].mean == pytest.approx(0.9, abs=0.04), "what the truth hides is not asked for"


def warned(uncertainty: np.ndarray, error: np.ndarray, failed: np.ndarray):  # type: ignore[no-untyped-def]
    valid = np.ones(error.shape, bool)
    return measure_warning(uncertainty, error, valid, failed, Bootstrap(np.arange(len(error)), 500))


def test_knowing_the_error_is_perfect_and_noise_is_useless() -> None:
    rng = np.random.default_rng(1)
    error = rng.random((N, H)) + np.linspace(0, 6, N)[:, None]
    failed = np.arange(N) >= 90
    perfect, useless = warned(error**2, error, failed), warned(rng.random((N, H)), error, failed)
    assert perfect.spearman is not None and perfect.spearman.mean == pytest.approx(1.0)
    assert perfect.within_horizon is not None and perfect.within_horizon.mean == pytest.approx(1.0)
    assert perfect.risk_gain == pytest.approx(1.0) and perfect.risk == perfect.best_risk
    assert perfect.silence.flagged is not None and perfect.silence.flagged.mean > 0.9
    assert useless.spearman is not None and useless.spearman.low < 0 < useless.spearman.high
    assert abs(useless.risk_gain or 0) < 0.15
    assert useless.silence.flagged is not None and useless.silence.flagged.mean < 0.2


def test_what_only_knows_that_later_is_worse_gets_no_credit_within_a_horizon() -> None:
    error = np.arange(H)[None] + np.random.default_rng(2).random((N, H))
    found = warned(np.arange(H)[None].repeat(N, 0) + 1.0, error, np.zeros(N, bool))
    assert found.spearman is not None and found.spearman.mean > 0.9 and found.within_horizon is None
    assert found.silence.flagged is None and found.silence.why == "no context failed"
    few = warned(error, error, np.arange(N) > 5)
    assert few.silence.flagged is None and "only 6 contexts did not fail" in few.silence.why
