"""How fast the real environment steps, drawn at the same size."""

from __future__ import annotations

import time

import numpy as np

from worldmodel.errors import EnvError
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec


def measure_real(config: EnvConfig, seconds: float) -> tuple[float | None, str]:
    """Steps a second of one process, resets included, under random actions; or None and the reason."""
    try:
        env = config.make()
    except EnvError as error:
        return None, str(error)
    codec = ActionCodec(env.action_space)
    rng = np.random.default_rng(0)
    actions = [codec.restore(codec.decode(row)) for row in rng.uniform(-1, 1, size=(64, codec.size))]
    try:
        env.reset(seed=0)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
            steps += 1
            if terminated or truncated:
                env.reset()
        return steps / (time.perf_counter() - start), ""
    finally:
        env.close()
