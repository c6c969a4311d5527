"""Options over many episodes: fixed ones, varied ones, and what a reset asks for."""

from typing import Any

import numpy as np
import pytest

from worldmodel.envs.pixels import make_pixel_env
from worldmodel.envs.scenes.bounce import BounceEnv
from worldmodel.envs.scenes.maze import MazeEnv
from worldmodel.envs.scenes.options import Options, Range, fixed, resolve, vector
from worldmodel.errors import EnvError

RANGES = {
    "mass": fixed(1.0, (0.1, 5.0), "kg", "mass"),
    "balls": Range(2, (1, 3), (1, 6), "balls", "how many", whole=True),
    "place": vector(None, 1.0, 2.0, "m", "where"),
}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_given_comes_before_varied_and_varied_before_fixed_and_fixed_before_default() -> None:
    options = Options(RANGES, {"mass": 2.0, "balls": 3}, {"mass": (3.0, 4.0)})
    assert options.defaults == {"mass": 2.0, "balls": 3.0, "place": None}
    chosen = options.choose(None, rng())
    assert 3 <= chosen["mass"] <= 4 and chosen["balls"] == 3 and chosen["place"] is None  # type: ignore[operator]
    assert options.choose({"mass": 0.5, "place": (1, 2)}, rng()) == {
        "mass": 0.5,
        "balls": 3.0,
        "place": (1.0, 2.0),
    }


def test_what_varies_fills_its_range_and_whole_numbers_stay_whole() -> None:
    options, draws = Options(RANGES, vary={"balls": (2, 4), "place": (-2, 1), "mass": (0.1, 5)}), rng()
    chosen = [options.choose(None, draws) for _ in range(200)]
    assert {c["balls"] for c in chosen} == {2.0, 3.0, 4.0}
    places = np.array([c["place"] for c in chosen])
    assert places.shape == (200, 2) and -2 <= places.min() < -1.9 and 0.9 < places.max() <= 1
    assert np.corrcoef(places.T)[0, 1] < 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fixed": {"weight": 1.0}}, "unknown reset option 'weight'; valid options are: mass, balls, place"),
        ({"fixed": {"mass": 9.0}}, "'mass' must be a number from 0.1 to 5"),
        ({"vary": {"weight": (0, 1)}}, "unknown reset option 'weight'"),
        ({"vary": {"mass": (0.5, 9.0)}}, "'mass' must be a number from 0.1 to 5"),
        ({"vary": {"mass": (2.0, 1.0)}}, "vary of option 'mass' must be its lowest and highest value"),
        ({"vary": {"mass": 2.0}}, "vary of option 'mass' must be its lowest and highest value"),
        ({"vary": {"balls": (1.5, 3)}}, "'balls' must be a whole number"),
        ({"fixed": {"balls": 2.5}}, "'balls' must be a whole number"),
    ],
)
def test_what_is_not_allowed_is_one_sentence(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvError, match=message):
        Options(RANGES, **arguments)


def test_in_training_tells_familiar_values_from_others() -> None:
    mass, balls, place = RANGES.values()
    assert mass.in_training(1.0) and not mass.in_training(1.1)
    assert balls.in_training(3.0) and not balls.in_training(4.0)
    assert place.in_training(None) and place.in_training((1.0, -1.0)) and not place.in_training((0.0, 1.5))
    assert resolve(RANGES, None) == {"mass": 1.0, "balls": 2, "place": None}


def test_a_scene_varies_by_its_seed_also_as_pixels() -> None:
    env = make_pixel_env(
        "worldmodel/Bounce-v0", size=16, env_kwargs={"options": {"balls": 2}, "vary": {"gravity": [1.0, 9.0]}}
    )
    scene: Any = env.unwrapped
    gravities = []
    for seed in (0, 1, 0):
        _, info = env.reset(seed=seed)
        gravities.append(-scene.model.opt.gravity[2])
        assert info["present"].sum() == 3
    assert gravities[0] == gravities[2] != gravities[1] and all(1 <= g <= 9 for g in gravities)
    env.reset(seed=0, options={"gravity": 5.0})
    assert scene.model.opt.gravity[2] == -5.0


def test_nothing_varied_draws_nothing() -> None:
    """Videos of a seed do not depend on whether options are given in the constructor."""
    plain, same = BounceEnv(size=8), BounceEnv(size=8, options={"mass": 0.2})
    np.testing.assert_array_equal(plain.reset(seed=3)[1]["state"], same.reset(seed=3)[1]["state"])


def test_the_maze_takes_them_too() -> None:
    env = MazeEnv(size=8, options={"coins": 5}, vary={"enemies": (3, 6)})
    counts = {int((env.reset(seed=seed)[1]["enemies"][:, 0] >= 0).sum()) for seed in range(30)}
    assert counts == {3, 4, 5, 6} and (env.state.coins[:, 0] >= 0).sum() == 5
