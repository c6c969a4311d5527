"""Rollouts of a scene, and whether two are the same."""

from typing import Any

import numpy as np

from worldmodel.envs.scenes.scene import MujocoScene


def rollout(
    env: MujocoScene, actions: np.ndarray
) -> list[tuple[np.ndarray, float, bool, dict[str, np.ndarray]]]:
    """What each action led to: observation, reward, terminated, info."""
    return [(o, r, t, i) for o, r, t, _, i in map(env.step, actions)]


def assert_same(left: Any, right: Any) -> None:
    """Two rollouts agree in every bit."""
    assert len(left) == len(right)
    for (a, r, t, i), (b, s, u, j) in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (r, t) == (s, u)
        assert i.keys() == j.keys()
        for key in i:
            np.testing.assert_array_equal(i[key], j[key], err_msg=key)
