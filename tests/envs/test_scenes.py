"""What every scene promises: info, exact state, options that leave no trace, both kinds of action, masks."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scene_rollouts import assert_same, rollout

from worldmodel.envs.scenes.billiards import BilliardsEnv
from worldmodel.envs.scenes.bounce import BounceEnv
from worldmodel.envs.scenes.cartpole import CartPoleEnv
from worldmodel.envs.scenes.hide import HideEnv
from worldmodel.envs.scenes.options import Range
from worldmodel.envs.scenes.push import PushEnv
from worldmodel.envs.scenes.scene import MujocoScene
from worldmodel.envs.scenes.swing import SwingEnv
from worldmodel.errors import WorldModelError

SIZE = 16
SCENES = [PushEnv, SwingEnv, CartPoleEnv, BounceEnv, HideEnv, BilliardsEnv]
Scene = type[MujocoScene]
# Everything is placed, so that options may be set one by one, and balls meet each other and the walls soon.
PLACED: dict[Scene, dict[str, Any]] = {
    PushEnv: {"agent": (0.5, 0.5), "puck": (0.05, 0.5), "goal": (-0.5, 0.0)},
    SwingEnv: {"angle": 0.5, "velocity": 0.0},
    CartPoleEnv: {"position": 0.0, "angle": 0.1, "velocity": 0.0, "angular_velocity": 0.0},
    BounceEnv: {"balls": 4, "paddle": 0.0}
    | {f"ball_{i}": (0.45 * i - 1.1, 0.5 + 0.1 * i) for i in (1, 2, 3, 4)}
    | {f"ball_{i}_velocity": (1.0 - 0.7 * i, -0.5) for i in (1, 2, 3, 4)},
    HideEnv: {"balls": 3, "goal": (0.6, 0.5)}
    | {f"ball_{i}": (0.4 * i - 1.2, 0.1 * i) for i in (1, 2, 3)}
    | {f"ball_{i}_velocity": (0.8 - 0.5 * i, 0.6) for i in (1, 2, 3)},
    BilliardsEnv: {"balls": 6, "driven": (0.8, 0.2)}
    | {f"ball_{i}": (0.3 * i - 1.1, 0.7 - 0.5 * (i % 3)) for i in range(1, 7)}
    | {f"ball_{i}_velocity": (-0.4, 0.3 * i - 1.0) for i in range(1, 7)},
}

every_scene = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)


def actions(env: MujocoScene, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, *env.action_space.shape))  # type: ignore[misc]


@every_scene
@pytest.mark.parametrize("action_type", ["continuous", "discrete"])
def test_gymnasium_checker_has_nothing_to_say(scene: Scene, action_type: str) -> None:
    name = scene.__name__.removesuffix("Env")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(f"worldmodel/{name}-v0", action_type=action_type).unwrapped)
        check_env(gym.make(f"worldmodel/{name}-v0", render_mode="rgb_array", size=32).unwrapped)


@every_scene
def test_info_has_the_same_keys_shapes_and_types_at_reset_and_step(scene: Scene) -> None:
    env = scene(size=SIZE)
    first = kinds(env.reset(seed=0)[1])
    assert all(kinds(info) == first for *_, info in rollout(env, actions(env, 30)))
    if "balls" in scene.ranges:
        low, high = scene.ranges["balls"].outside
        assert all(kinds(env.reset(options={"balls": n})[1]) == first for n in (low, high))


def kinds(info: dict[str, np.ndarray]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    return {key: (value.shape, value.dtype) for key, value in info.items()}


@every_scene
def test_infos_are_copies(scene: Scene) -> None:
    env = scene(size=SIZE)
    observation, info = env.reset(seed=0)
    kept = observation.copy(), {k: v.copy() for k, v in info.items()}
    rollout(env, actions(env, 5))
    np.testing.assert_array_equal(observation, kept[0])
    for key, value in kept[1].items():
        np.testing.assert_array_equal(info[key], value, err_msg=key)


@every_scene
def test_a_restored_state_goes_on_bit_for_bit_in_another_env(scene: Scene) -> None:
    """Without its seed: all that was drawn at reset, goals too, is in the state."""
    env, other = scene(size=SIZE), scene(size=SIZE)
    env.reset(seed=1)
    observation, _, _, _, info = [env.step(a) for a in actions(env, 13)][-1]
    rest = rollout(env, actions(env, 40, seed=1))
    other.reset(seed=5)
    rollout(other, actions(env, 3))
    again, restored = other.set_state(info["state"])
    np.testing.assert_array_equal(again, observation)
    for key in info:
        np.testing.assert_array_equal(restored[key], info[key], err_msg=key)
    assert_same(rollout(other, actions(env, 40, seed=1)), rest)
    np.testing.assert_array_equal(other.get_state(), rest[-1][-1]["state"])


@every_scene
def test_a_seed_fixes_the_episode_and_another_seed_makes_another(scene: Scene) -> None:
    env, used = scene(size=SIZE), scene(size=SIZE)
    used.reset(seed=9), rollout(used, actions(used, 5))

    def episode(env: MujocoScene, seed: int) -> Any:
        observation, info = env.reset(seed=seed)
        return [(observation, 0.0, False, info), *rollout(env, actions(env, 10))]

    first = episode(env, 3)
    assert_same(first, episode(used, 3))
    assert (first[0][0] != env.reset(seed=4)[0]).any()
    assert (first[0][0] != first[-1][0]).any(), "nothing moves"


@pytest.mark.parametrize(
    ("scene", "name"), [pytest.param(s, n, id=f"{s.__name__}-{n}") for s in SCENES for n in s.ranges]
)
def test_an_option_changes_its_episode_and_no_other(scene: Scene, name: str) -> None:
    env, fresh = scene(size=SIZE), scene(size=SIZE)
    placed = PLACED[scene]

    def episode(env: MujocoScene, options: dict[str, Any]) -> Any:
        observation, info = env.reset(seed=7, options=options)
        return [(observation, 0.0, False, info), *rollout(env, np.tile(-0.9, (18, *env.action_space.shape)))]  # type: ignore[misc]

    plain = episode(env, placed)
    special = episode(env, placed | {name: changed(scene.ranges[name], placed.get(name))})
    assert any((a[0] != b[0]).any() or a[1:3] != b[1:3] for a, b in zip(plain, special, strict=False))
    assert_same(episode(env, placed), plain)
    assert_same(episode(fresh, placed), plain)


def changed(entry: Range, placed: Any) -> Any:
    """Another value in range: near the placed one, so that nothing overlaps, or far from the default."""
    if entry.size > 1:
        return tuple(np.subtract(entry.default if placed is None else placed, 0.05).clip(*entry.outside))
    low, high = entry.outside
    value = 0.7 * low + 0.3 * high
    return round(value) if entry.whole else value


@every_scene
def test_defaults_and_training_ranges_lie_inside_the_allowed_range(scene: Scene) -> None:
    for name, entry in scene.ranges.items():
        low, high = entry.training or entry.outside
        assert entry.outside[0] <= low <= high <= entry.outside[1], name
        assert entry.in_training(entry.default), name
        if entry.default is not None:
            entry.check(name, entry.default)


@every_scene
def test_discrete_actions_are_rows_of_moves(scene: Scene) -> None:
    by_number, by_force = scene(size=SIZE, action_type="discrete"), scene(size=SIZE)
    assert by_number.action_space == gym.spaces.Discrete(len(scene.moves))
    for number, force in enumerate(scene.moves):
        by_number.reset(seed=2), by_force.reset(seed=2)
        assert_same(rollout(by_number, np.array([number] * 3)), rollout(by_force, np.array([force] * 3)))
    for bad in (-1, len(scene.moves), 0.5, [0], "left", None):
        with pytest.raises(WorldModelError, match="a whole number from 0 to"):
            by_number.step(bad)


@every_scene
def test_masks_are_the_visible_areas_and_areas_are_right(scene: Scene) -> None:
    """With everything placed apart, no object hides another: all shows but what a tunnel or an axle hides."""
    env = scene(size=64)
    _, info = env.reset(seed=0, options=PLACED[scene])
    masks = env.masks()
    assert masks.shape == (len(scene.objects), 64, 64)
    np.testing.assert_allclose(masks.sum(axis=(1, 2)), info["visible_area"], rtol=1e-5)
    assert masks.sum(axis=0).max() <= 1.0
    assert (info["unoccluded_area"] > 10).all()
    assert (info["visible_area"] <= info["unoccluded_area"] + 1e-4).all()
    if scene not in (HideEnv, SwingEnv):
        np.testing.assert_allclose(info["visible_area"], info["unoccluded_area"], rtol=0.02)


@pytest.mark.parametrize("scene", [s for s in SCENES if "balls" in s.ranges])
def test_what_is_absent_is_unseen_and_stays_where_it_is(scene: Scene) -> None:
    env = scene(size=32)
    _, info = env.reset(seed=0, options={"balls": 1})
    there = info["present"]
    assert 0 < there.sum() < len(scene.objects)
    steps = rollout(env, actions(env, 40))
    for *_, now in steps:
        np.testing.assert_array_equal(now["present"], there)
        assert not now["visible_area"][~there].any() and not now["unoccluded_area"][~there].any()
        assert not now["object_velocities"][~there].any()
    np.testing.assert_array_equal(steps[-1][-1]["object_positions"][~there], info["object_positions"][~there])
    assert env.masks()[~there].max() == 0


@every_scene
def test_it_can_be_drawn_at_every_size(scene: Scene) -> None:
    """A finer frame is the same picture: averaged down, it is the coarser one of as many rays."""
    fine = scene(size=128, supersample=2).reset(seed=0)[0].astype(float)
    coarse = scene(size=32, supersample=8).reset(seed=0)[0]
    assert np.abs(fine.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3)) - coarse).max() <= 1.0
    assert coarse.std() > 15
