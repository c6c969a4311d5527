"""M1 to M7 on arrays whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.metrics.contacts import contacts, count_events
from worldmodel.evaluation.metrics.invariants import LEAST_PATH, invariants, moves
from worldmodel.evaluation.metrics.mechanics import Mechanics
from worldmodel.evaluation.metrics.permanence import FATES, STRATA, asked, fates, permanence
from worldmodel.evaluation.metrics.response import response
from worldmodel.evaluation.metrics.state_error import (
    Scale,
    kaplan_meier_median,
    lasting,
    nrmse,
    overall_nrmse,
    scale_of,
    skill,
    state_error,
)
from worldmodel.evaluation.metrics.symmetry import apart
from worldmodel.evaluation.moments.rollouts import Truth, Views
from worldmodel.evaluation.moments.sight import in_plain_sight
from worldmodel.evaluation.moments.state_spec import Feature, StateSpec
from worldmodel.evaluation.rows.measures import _states
from worldmodel.evaluation.rows.rows import COPY
from worldmodel.evaluation.statistics import Bootstrap, Estimate

RNG = np.random.default_rng(0)


def spec_of(*names: str) -> StateSpec:
    places = [Feature(name, "position", "m", name) for name in names]
    return StateSpec((*places, *(Feature(f"{name} speed", "velocity", "m/s", name) for name in names)), ())


def test_one_sigma_off_is_one() -> None:
    spec, valid = spec_of("a", "b"), np.ones((50, 8), bool)
    truth = RNG.normal(size=(50, 8, 4)) * [1, 5, 2, 0.1]
    scale = scale_of(truth, valid, spec)
    assert scale.used.all() and scale.velocities.tolist() == [False, False, True, True]
    error = state_error(truth + scale.sigma, truth, valid, scale)
    assert nrmse(error.both, valid).values == pytest.approx(np.ones(8))
    assert overall_nrmse(error.velocities, valid).value == pytest.approx(1)
    copied = state_error(truth + 2 * scale.sigma, truth, valid, scale)
    assert skill(error.both, copied.both, valid).values == pytest.approx(np.full(8, 0.5))


def test_what_hardly_moves_is_not_compared() -> None:
    """Division by a spread near zero once gave nRMSE 4,097."""
    spec, valid = spec_of("moves", "rests"), np.ones((30, 8), bool)
    truth = RNG.normal(size=(30, 8, 4))
    truth[..., 1] = RNG.normal(size=(30, 1)) + 1e-5 * truth[..., 1]
    assert scale_of(truth, valid, spec).used.tolist() == [True, False, True, True]
    untrusted = np.zeros(4, bool)
    with pytest.raises(WorldModelError, match="no state error"):
        state_error(truth, truth, valid, scale_of(truth, valid, spec, untrusted))


def test_a_vanished_object_errs_and_a_hidden_one_is_not_asked_for() -> None:
    spec, valid = spec_of("a", "b"), np.ones((40, 6), bool)
    truth = RNG.normal(size=(40, 6, 4))
    scale = scale_of(truth, valid, spec)
    gone = truth.copy()
    gone[..., 1] = np.nan
    lost = state_error(gone, truth, valid, scale)
    assert overall_nrmse(lost.places, valid).value == pytest.approx(1.0)  # two sigma^2 for one of two places
    hidden = state_error(gone, gone, valid, scale)
    assert overall_nrmse(hidden.both, valid).value == 0.0
    nothing = np.full_like(truth, np.nan)
    assert np.isnan(overall_nrmse(state_error(truth, nothing, valid, scale).both, valid).value)


def test_a_dream_lasts_until_it_is_lost_for_three_steps() -> None:
    squared = np.zeros((4, 10))
    squared[0, [3, 4]] = 1  # two steps are none
    squared[1, 5:] = 1
    squared[2, 1:4] = 1
    valid = np.ones((4, 10), bool)
    valid[3, 4:] = False  # its future ended
    found = lasting(squared, valid)
    assert found.steps.tolist() == [10, 6, 2, 4] and found.lost.tolist() == [False, True, True, False]
    assert found.median().value == 6.0
    assert found.ratio(found).value == 1.0
    assert lasting(np.zeros((4, 10)), valid).median().value == np.inf


def test_kaplan_meier_by_hand() -> None:
    lost, risk = np.array([[1.0, 0, 2, 0]]), np.array([[5.0, 4, 3, 1]])  # 0.8, 0.8, 0.27
    assert kaplan_meier_median(lost, risk).tolist() == [[3.0]]


def branches(count: int = 400) -> tuple[np.ndarray, np.ndarray, Scale]:
    truth, valid = RNG.normal(size=(count, 8, 3, 4)), np.ones((count, 8, 3), bool)
    return truth, valid, scale_of(truth.reshape(-1, 3, 4), valid.reshape(-1, 3), spec_of("a", "b"))


def test_answers_to_actions_have_known_scores() -> None:
    truth, valid, scale = branches()
    known = {1.0: 1.0, 0.5: 0.75, 0.0: 0.0, -1.0: -3.0}
    for factor, expected in known.items():
        found = response(factor * truth, truth, valid, scale)
        assert found.cf_r2.value == pytest.approx(expected)
        assert found.gain.value == pytest.approx(abs(factor))
        assert found.cosine.value == pytest.approx(np.sign(factor))
    other = response(truth[::-1], truth, valid, scale)
    assert other.cf_r2.value == pytest.approx(-1, abs=0.1) and abs(other.cosine.value) < 0.05
    unread = response(np.full_like(truth, np.nan), truth, valid, scale)
    assert (unread.cf_r2.value, unread.gain.value) == (-1.0, 0.0)
    assert other.pairs == 400 * 28 and other.by_horizon.values.shape == (3,)


def views(area: np.ndarray, row: np.ndarray) -> Views:
    return Views(area, row, np.full(area.shape, 20.0), np.full(area.shape, 3.0))


def moving_truth(area: np.ndarray, whole: np.ndarray | None = None) -> Truth:
    """One context of objects [h,n] in columns of their own, each going down a row a step."""
    steps, count = area.shape
    rows = np.broadcast_to(1.0 + np.arange(steps + 1)[:, None], (steps + 1, count)).copy()
    full = np.full((steps + 1, count), 30.0) if whole is None else whole
    areas = np.concatenate([np.full((1, count), 30.0), area])
    columns = np.broadcast_to(20.0 * np.arange(count), rows.shape)
    every = Views(areas, rows, columns, np.full(areas.shape, 3.0))
    empty = np.zeros((1, steps, 0))
    return Truth(
        np.zeros((1, steps, 2 * count)),
        every.apply(lambda part: part[None, 1:]),
        full[None, 1:],
        empty,
        empty,
        np.zeros((1, 2 * count)),
        every.apply(lambda part: part[None, 0]),
        full[None, 0],
    )


def test_an_absence_is_asked_about_by_its_length() -> None:
    area = np.full((40, 2), 30.0)
    area[4:10, 0] = 0.0  # six frames
    area[14:16, 0] = 0.0  # two: too short
    area[20:32, 0] = 0.0  # twelve
    area[10:16, 1] = 0.0  # out of the picture
    whole = np.full((41, 2), 30.0)
    whole[11:17, 1] = 0.0
    truth = moving_truth(area, whole)
    found = asked(truth, np.ones((1, 40), bool))
    names = [STRATA[k] if k >= 0 else "" for k in found.stratum[0, :, 0]]
    assert names[:4] == ["visible"] * 4 and set(names[4:10]) == {""}
    assert names[10:14] == ["occluded 5"] * 4 and names[16] == "visible"
    assert names[32:37] == ["occluded 10"] * 5 and names[37] == "visible"
    assert [STRATA[k] for k in found.stratum[0, 16:21, 1]] == ["left and came back"] * 5
    assert found.left[0, 10, 0].tolist() == [5.0, 0.0]
    assert np.isnan(found.left[0, 3]).all()


def test_what_the_context_hid_is_not_asked_about() -> None:
    truth = moving_truth(np.full((5, 1), 30.0))
    truth.first_views.area[:] = 0.0
    assert (asked(truth, np.ones((1, 5), bool)).stratum == -1).all()


def test_every_fate_by_hand() -> None:
    truth = moving_truth(np.full((6, 2), 30.0))
    seen = truth.views.apply(np.copy)
    seen.area[0, 1, 0] = 10.0  # vanished
    seen.area[0, 2, 0], seen.spread[0, 2, 0], seen.row[0, 2, 0] = 60.0, 9.0, 11.0  # duplicated
    seen.column[0, 3] = seen.column[0, 3, ::-1]  # swapped
    seen.row[0, 4, 0] += 8.0  # displaced
    seen.area[0, 5, 0] = 70.0  # swollen
    names = [[FATES[k] for k in step] for step in fates(seen, truth.views, (40, 40, 3))[0]]
    assert [a for a, _ in names] == ["present", "vanished", "duplicated", "swapped", "displaced", "swollen"]
    assert [b for _, b in names] == ["present"] * 3 + ["swapped"] + ["present"] * 2
    what = asked(truth, np.ones((1, 6), bool))
    found = permanence(seen, truth, what, (40, 40, 3), np.ones(2, bool))
    assert found.all.value == pytest.approx(6 / 12) and found.rates["swapped"].value == pytest.approx(
        200 / 12
    )
    assert permanence(seen, truth, what, (40, 40, 3), np.array([False, True])).all.value == pytest.approx(
        5 / 6
    )


def test_a_frozen_object_has_the_freeze_bias_one() -> None:
    truth = moving_truth(np.full((12, 1), 30.0))
    what, trusted = asked(truth, np.ones((1, 12), bool)), np.ones(1, bool)
    still = truth.views.apply(np.copy)
    still.row[:] = 1.0
    for seen, bias in ((still, 1.0), (truth.views, 0.0)):
        assert permanence(seen, truth, what, (64, 64, 3), trusted).freeze_bias.value == pytest.approx(bias)


def test_what_is_hidden_is_not_in_plain_sight_until_three_frames_show_it() -> None:
    area = np.full((10, 1), 30.0)
    area[3:5, 0] = 4.0
    told = in_plain_sight(moving_truth(area), spec_of("a"), ("a",))
    assert np.isfinite(told[0, :, 0]).tolist() == [True] * 3 + [False] * 4 + [True] * 3
    assert np.isfinite(in_plain_sight(moving_truth(area), spec_of("a"), ())).all()


def mechanics(energy: np.ndarray, touching: np.ndarray, depth: np.ndarray | None = None) -> Mechanics:
    momentum = np.zeros((*energy.shape, 3))
    deep = np.zeros(energy.shape) if depth is None else depth
    return Mechanics(energy, np.ones(energy.shape), momentum, np.ones(energy.shape), deep, touching)


def test_standing_still_keeps_every_law_and_earns_nothing() -> None:
    valid, steps = np.ones((1, 20), bool), np.arange(21.0)
    truth = np.stack([steps, 0 * steps + 1], axis=-1)[None]
    scale = scale_of(truth[:, 1:], valid, spec_of("a"))
    lawful = mechanics(np.ones((1, 21)), np.zeros((1, 21, 2, 2), bool))
    for share, score in ((1.0, 1.0), (1.1 * LEAST_PATH, 1.0), (0.9 * LEAST_PATH, 0.0), (0.0, 0.0)):
        moving = moves(share * truth[:, 1:], truth[:, 1:], share * truth[:, 0], scale)
        assert invariants(lawful, lawful, moving, valid).energy.value == score
    drifting = mechanics(1 + 0.5 * (steps > 0)[None], lawful.touching)
    found = invariants(drifting, lawful, np.ones_like(valid), valid)
    assert found.energy.value == found.energy_drift.value == pytest.approx(0.5)


def test_contacts_by_hand() -> None:
    touching = np.zeros((1, 31, 3, 3), bool)
    touching[0, [10, 12], 1, 2] = touching[0, [10, 12], 2, 1] = True  # one touch that flickers
    assert count_events(touching) == 2
    late, ghost, none = np.roll(touching, 2, axis=1), np.roll(touching, 9, axis=1), np.zeros_like(touching)
    limits, quiet, valid = np.ones(3), np.zeros((1, 30, 3)), np.ones((1, 30), bool)
    flat = np.ones((1, 31))
    truth = mechanics(flat, touching)
    for dreamt, f1 in ((touching, 1.0), (late, 1.0), (ghost, 0.0), (none, 0.0)):
        assert contacts(mechanics(flat, dreamt), truth, quiet, limits, valid).f1.value == f1
    jumps = quiet.copy()
    jumps[0, [2, 11], 1] = 3.0  # one in free flight, one at the touch
    found = contacts(truth, truth, jumps, limits, valid)
    free = (30 - 7) * 2 + 30  # bodies 1 and 2 touch or are about to for seven frames; the world never does
    assert found.ghosts.value == pytest.approx(100 / free)
    deep = np.where(np.arange(31) == 5, 0.03, 0.0)[None]
    pushed = contacts(mechanics(flat, touching, deep), truth, quiet, limits, valid)
    assert (pushed.too_deep.value, pushed.penetration.value) == pytest.approx((1 / 30, 0.001))
    assert found.penetration.value == found.allowed == 0.0


def test_an_empty_dream_neither_keeps_its_distance_nor_breaks_it() -> None:
    apart_, flat = np.zeros((1, 31, 2, 2), bool), np.ones((1, 31))
    truth = mechanics(flat, apart_)
    limits, quiet, valid = np.ones(2), np.zeros((1, 30, 2)), np.ones((1, 30), bool)
    empty = contacts(mechanics(flat, apart_, np.full((1, 31), np.nan)), truth, quiet, limits, valid)
    assert np.isnan([empty.too_deep.value, empty.penetration.value]).all() and empty.unread.value == 1.0
    half = np.where(np.arange(31) % 2, np.nan, 0.02)[None]
    found = contacts(mechanics(flat, apart_, half), truth, quiet, limits, valid)
    assert (found.too_deep.value, found.unread.value) == (1.0, 0.5)


def test_what_one_of_two_dreams_does_not_show_is_no_agreement() -> None:
    spec, valid = spec_of("a", "b"), np.ones((40, 6), bool)
    truth = RNG.normal(size=(40, 6, 4))
    scale, asked_for = scale_of(truth, valid, spec), np.ones(truth.shape, bool)
    gone = truth.copy()
    gone[..., 1] = np.nan
    for one, other in ((truth, gone), (gone, truth), (gone, gone)):
        assert apart(one, other, asked_for, valid, scale).value == pytest.approx(1.0)
    assert apart(truth, truth, asked_for, valid, scale).value == 0.0
    hidden = np.isfinite(gone)
    assert apart(truth, gone, hidden, valid, scale).value == 0.0


def test_a_moment_that_hides_everything_for_a_step_still_counts_for_skill() -> None:
    """One object alone, out of sight for a step in the context that the dream gets wrong."""
    spec, valid = spec_of("a"), np.ones((2, 4), bool)
    truth = RNG.normal(size=(2, 4, 2))
    scale = scale_of(truth, valid, spec)
    told = truth.copy()
    told[1, 2] = np.nan
    wrong = truth + np.array([0.0, 3.0])[:, None, None]
    errors = {name: state_error(part, told, valid, scale) for name, part in ((COPY, truth + 3), ("m", wrong))}
    bootstrap = Bootstrap(np.arange(2), 100)
    scene = SimpleNamespace(valid=valid, bootstrap=bootstrap)
    found, _ = _states(errors["m"], errors, scene)  # type: ignore[arg-type]
    assert isinstance(found["skill"], Estimate)
    assert found["skill"].value == pytest.approx(1 - np.sqrt(3 / 7))
