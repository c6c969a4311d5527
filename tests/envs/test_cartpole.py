"""CartPole-v0: it falls, it can be balanced, and its equations are those of the textbook."""

import numpy as np
import pytest

from worldmodel.envs.scenes.cartpole import MAX_ANGLE, MAX_FORCE, RAIL, CartPoleEnv

UPRIGHT = {"position": 0.0, "angle": 0.0, "velocity": 0.0, "angular_velocity": 0.0}


def play(env: CartPoleEnv, seed: int, balance: bool, steps: int = 500) -> int:
    """How many steps are survived, leaning into the fall or pushing at random."""
    _, info = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        force = np.dot([1.0, 22.0, 1.4, 5.0], [*info["qpos"], *info["qvel"]]) / MAX_FORCE
        if not balance:
            force = rng.uniform(-1, 1)
        action = int(force > 0) if env.action_space.shape == () else np.array([force])
        _, reward, terminated, truncated, info = env.step(action)
        assert reward == float(not terminated) and not truncated
        if terminated:
            return step
    return steps


@pytest.mark.parametrize("action_type", ["continuous", "discrete"])
def test_a_linear_rule_balances_and_random_forces_do_not(action_type: str) -> None:
    env = CartPoleEnv(size=8, action_type=action_type)
    assert [play(env, seed, balance=True) for seed in range(3)] == [500] * 3
    falls = [play(env, seed, balance=False) for seed in range(10)]
    assert 15 < np.mean(falls) < 100


def test_it_ends_when_the_pole_leans_too_far_or_the_cart_leaves_the_rail() -> None:
    env = CartPoleEnv(size=8)
    for name, limit in (("angle", MAX_ANGLE), ("position", RAIL)):
        inside, outside = limit - 0.03, limit - 0.001
        for start, ends in ((inside, False), (outside, True), (-inside, False), (-outside, True)):
            speed = {"angle": "angular_velocity", "position": "velocity"}[name]
            env.reset(options=UPRIGHT | {name: start, speed: np.sign(start) * 0.2})
            _, reward, terminated, _, _ = env.step(np.zeros(1))
            assert (terminated, reward) == (ends, float(not ends))


def test_first_accelerations_are_the_textbooks() -> None:
    """(m_c + m_p) x'' + m_p l th'' = F and (I + m_p l^2) th'' + m_p l x'' = m_p g l th, near upright."""
    env = CartPoleEnv(size=8)
    env.reset(options=UPRIGHT)
    cart, pole, half = 1.0, 0.2, 0.45
    inertia = env.model.body("pole").inertia[0]
    matrix = [[cart + pole, pole * half], [pole * half, inertia + pole * half**2]]
    expected = np.linalg.solve(matrix, [MAX_FORCE, 0.0])
    *_, info = env.step(np.ones(1))
    np.testing.assert_allclose(info["qvel"], expected * 0.02, rtol=0.01)


def test_energy_stays_the_same_without_a_force() -> None:
    env = CartPoleEnv(size=8)
    _, info = env.reset(options=UPRIGHT | {"angle": 0.5, "angular_velocity": -2.0})
    start = info["energy"].sum()
    for _ in range(100):
        *_, info = env.step(np.zeros(1))
        assert info["energy"].sum() == pytest.approx(start, abs=1e-5)


def test_the_pole_is_drawn_where_it_leans() -> None:
    env = CartPoleEnv(size=64)
    masks = []
    for angle in (-0.5, 0.5):
        _, info = env.reset(options=UPRIGHT | {"angle": angle})
        assert np.sign(info["object_positions"][1, 0]) == np.sign(angle)
        masks.append(env.masks()[1])
    assert masks[0][:, :32].sum() > 3 * masks[0][:, 32:].sum()
    np.testing.assert_allclose(masks[0], masks[1][:, ::-1], atol=0.26)
