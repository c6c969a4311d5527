"""Controllers that read the simulator's truth: for collecting episodes that random actions would cut short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Feedback on cart position [m], lean [rad] and their velocities; found by hand on worldmodel/CartPole-v0.
_BALANCE = np.array([0.4, 5.0, 0.6, 1.0])


def balance(observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Keep the pole of worldmodel/CartPole-v0 (continuous actions) upright: linear feedback, a force in [-1, 1].

    With policy.random_share of random actions it falls now and then, from everywhere on the rail.
    """
    state = np.concatenate([info["qpos"], info["qvel"]])
    return np.clip(_BALANCE @ state, -1.0, 1.0, dtype=np.float32).reshape(1)
