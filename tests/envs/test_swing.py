"""Swing-v0: energy, torque and reward in closed form, and that it can be swung up."""

import numpy as np
import pytest

from worldmodel.envs.scenes.swing import MAX_TORQUE, SwingEnv

STILL = np.zeros(1)


@pytest.mark.parametrize(("angle", "velocity"), [(3.0, 0.0), (1.5, 2.0), (2.5, -5.0), (0.3, 10.0)])
def test_passive_energy_stays_the_same_for_ten_seconds(angle: float, velocity: float) -> None:
    env = SwingEnv(size=8)
    _, info = env.reset(options={"angle": angle, "velocity": velocity})
    energies = [info["energy"]] + [env.step(STILL)[-1]["energy"] for _ in range(200)]
    total, kinetic = np.sum(energies, axis=1), np.array(energies)[:, 1]
    assert np.ptp(total) < 1e-6 * kinetic.max()
    assert np.ptp(kinetic) > 0.1


@pytest.mark.parametrize(("mass", "length", "gravity"), [(0.5, 0.8, 9.81), (1.0, 0.5, 4.0)])
def test_small_swings_have_the_period_of_a_pendulum(mass: float, length: float, gravity: float) -> None:
    """A bob of radius r has the inertia m l^2 + 2/5 m r^2."""
    env = SwingEnv(size=8)
    env.reset(options={"angle": 0.02, "velocity": 0.0, "mass": mass, "length": length, "gravity": gravity})
    angles = np.array([0.02] + [env.step(STILL)[-1]["qpos"][0] for _ in range(199)])
    frequency = np.sqrt(mass * gravity * length / (mass * length**2 + 0.4 * mass * 0.18**2))
    np.testing.assert_allclose(angles, 0.02 * np.cos(frequency * 0.05 * np.arange(200)), atol=2e-4)


def test_the_torque_does_work_and_friction_takes_it() -> None:
    env = SwingEnv(size=8)
    env.reset(options={"angle": 0.0, "velocity": 0.0, "gravity": 0.0})
    inertia = 0.5 * 0.8**2 + 0.4 * 0.5 * 0.18**2
    *_, info = env.step(np.ones(1))
    assert info["qvel"][0] == pytest.approx(MAX_TORQUE / inertia * 0.05, rel=1e-6)
    env.reset(options={"angle": 0.0, "velocity": 2.0, "gravity": 0.0, "friction": 0.5})
    *_, info = env.step(STILL)
    assert info["qvel"][0] == pytest.approx(2 * np.exp(-0.5 / inertia * 0.05), rel=1e-4)


def test_reward_counts_from_upright_at_any_number_of_turns() -> None:
    env = SwingEnv(size=8)
    for angle, cost in [(0.0, np.pi**2), (np.pi, 0.0), (-np.pi, 0.0), (np.pi / 2, np.pi**2 / 4)]:
        env.reset(options={"angle": angle, "velocity": 0.0, "gravity": 0.0})
        assert env.step(STILL)[1] == pytest.approx(-cost, abs=1e-9)
    env.reset(options={"angle": np.pi, "velocity": 10.0, "gravity": 0.0})
    rewards = [env.step(STILL)[1] for _ in range(100)]
    assert min(rewards) > -(np.pi**2) - 10.0 - 1e-6  # never more than half a turn away


def test_positions_and_picture_agree() -> None:
    """The bob is orange, 0.8 m from the axle in the picture's middle; 1.2 m are half the picture."""
    env = SwingEnv(size=64)
    frame, info = env.reset(options={"angle": np.pi / 2, "velocity": 1.0})
    np.testing.assert_allclose(info["object_positions"], [[0.8, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(info["object_velocities"], [[0, 0, 0.8]], atol=1e-12)
    pixel = frame[32, int(32 + 0.8 / 1.2 * 32)].astype(int)
    assert pixel[0] > pixel[1] > pixel[2] and pixel[0] - pixel[2] > 100


def test_it_can_be_swung_up_but_not_at_once() -> None:
    """Pumping energy until it suffices, then balancing: the usual rule."""
    env = SwingEnv(size=8)
    rewards = []
    _, info = env.reset(options={"angle": 0.1, "velocity": 0.0})
    for _ in range(200):
        angle, velocity = info["qpos"][0], info["qvel"][0]
        lean = np.remainder(angle, 2 * np.pi) - np.pi
        action = -8 * lean - 2 * velocity if abs(lean) < 0.35 else np.sign(velocity or 1.0)
        if abs(lean) >= 0.35 and info["energy"].sum() > 3.95:
            action = 0.0
        _, reward, _, _, info = env.step(np.array([action]))
        rewards.append(reward)
    assert np.mean(rewards[-40:]) > -0.1
    assert max(rewards[:15]) < -4
