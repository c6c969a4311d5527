"""Billiards-v0: momentum, energy and identity of the balls, and the reward for striking."""

import numpy as np
import pytest

from worldmodel.envs.scenes.billiards import ENERGY_UNIT, MAX_FORCE, BilliardsEnv

STILL = np.zeros(2)
FREE = {"driven_friction": 0.0, "friction": 0.0}


@pytest.mark.parametrize("masses", [(0.4, 0.4), (1.2, 0.3)])
def test_impacts_keep_momentum_and_near_all_energy(masses: tuple[float, float]) -> None:
    driven, ball = masses
    env = BilliardsEnv(size=8)
    options = FREE | {"balls": 1, "driven_mass": driven, "mass": ball}
    options |= {
        "driven": (-0.5, 0.1),
        "driven_velocity": (1.5, 0.0),
        "ball_1": (0.2, 0.0),
        "ball_1_velocity": (0, 0),
    }
    env.reset(options=options)
    for _ in range(6):
        *_, info = env.step(STILL)
    velocities = info["qvel"][:4].reshape(2, 2)
    assert velocities[1, 0] > 0.5, "they have not met"
    momentum = driven * velocities[0] + ball * velocities[1]
    np.testing.assert_allclose(momentum, [driven * 1.5, 0.0], atol=1e-9)
    assert 0.85 < info["energy"][1] / (driven * 1.5**2 / 2) < 1.0


def test_a_central_hit_hands_on_the_speed() -> None:
    """Newton's law of impact between equal masses: speeds (1 - e) / 2 and (1 + e) / 2."""
    env = BilliardsEnv(size=8)
    options = FREE | {"balls": 1, "driven": (-0.5, 0.0), "ball_1": (0.2, 0.0), "ball_1_velocity": (0.0, 0.0)}
    env.reset(options=options | {"driven_velocity": (1.0, 0.0)})
    for _ in range(7):
        *_, info = env.step(STILL)
    np.testing.assert_allclose(info["qvel"][:4], [0.025, 0, 0.975, 0], atol=0.01)


def test_nothing_gains_energy_and_little_is_lost_in_ten_seconds() -> None:
    env = BilliardsEnv(size=8)
    _, info = env.reset(seed=0, options=FREE | {"balls": 6})
    energies = [info["energy"].sum()]
    for _ in range(100):
        *_, info = env.step(STILL)
        energies.append(info["energy"].sum())
    assert max(energies) < energies[0] * 1.002
    assert energies[-1] > 0.3 * energies[0]


def test_the_reward_is_the_energy_the_free_balls_win() -> None:
    env = BilliardsEnv(size=8)
    options = FREE | {"balls": 2, "driven": (-0.5, 0.0), "driven_velocity": (1.0, 0.0), "ball_1": (0.2, 0.0)}
    options |= {"ball_1_velocity": (0.0, 0.0), "ball_2": (-0.5, 0.8), "ball_2_velocity": (0.3, 0.0)}
    env.reset(options=options)
    steps = [env.step(STILL) for _ in range(7)]
    assert steps[0][1] == pytest.approx(0, abs=1e-12)  # the driven ball's own energy does not count
    won = 0.4 * 0.975**2 / 2 / ENERGY_UNIT
    assert sum(step[1] for step in steps) == pytest.approx(won, rel=0.02)
    assert not any(step[2] for step in steps)


def test_the_force_drives_the_white_ball_alone() -> None:
    env = BilliardsEnv(size=8)
    env.reset(options={"balls": 1, "driven": (0, 0), "ball_1": (0.5, 0.5), "ball_1_velocity": (0, 0)})
    *_, info = env.step(np.array([1.0, -0.5]))
    speed = MAX_FORCE / 2.0 * (1 - np.exp(-2.0 * 0.1 / 0.4))
    np.testing.assert_allclose(info["qvel"][:4], [speed, -speed / 2, 0, 0], rtol=0.02, atol=1e-12)


def test_balls_keep_their_colours_and_can_be_told_apart() -> None:
    env = BilliardsEnv(size=64)
    colours = []
    for seed in range(2):
        frame, _ = env.reset(seed=seed, options={"balls": 6})
        weights = env.masks()[..., None] == 1
        colours.append([(frame * w).sum(axis=(0, 1)) / w.sum() for w in weights])
    np.testing.assert_allclose(colours[0], colours[1], atol=25)  # shades differ with the few pixels
    gaps = np.linalg.norm(np.subtract.outer(colours[0], colours[0])[..., [0, 1, 2], :, [0, 1, 2]], axis=0)
    assert gaps[~np.eye(7, dtype=bool)].min() > 50
