"""What the Gymnasium environment costs on top of the bare model."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from worldmodel.benchmark.dream import stepper
from worldmodel.benchmark.timing import MIN_STEPS, WARM_UP_STEPS, seconds_of, torch_threads
from worldmodel.model.world_model import WorldModel


@dataclass(frozen=True)
class EnvLayer:
    """Steps of `batch` dreams, in milliseconds: model_ms of the model on tensors, env_ms of the vector environment with
    NumPy actions in and frames, rewards, ends and infos out, layer_ms the median of their differences, each of two
    steps that followed one another."""

    batch: int
    threads: int
    model_ms: float
    env_ms: float
    layer_ms: float

    @property
    def overhead(self) -> float:
        """The layer's time over the model's: 0.1 is a tenth more."""
        return self.layer_ms / self.model_ms


def measure_env_layer(model: WorldModel, batch: int, threads: int, seconds: float) -> EnvLayer:
    """Step both in turn for about `seconds`, once warm, so that whatever else the machine does hits both.

    Time limits are off: starting dreams anew is the model's work, and would be the environment's alone here.
    """
    env = gym.make_vec("worldmodel/Dream-v0", num_envs=batch, checkpoint=model, max_episode_steps=-1)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = env.action_space.sample()
    bare = stepper(model, batch)
    times: list[tuple[float, float]] = []
    with torch_threads(threads):
        for _ in range(WARM_UP_STEPS):
            bare(), env.step(actions)
        while len(times) < MIN_STEPS or np.sum(times) < seconds:
            pair = (seconds_of(bare, model.device), seconds_of(lambda: env.step(actions), model.device))
            times.append(pair)
    env.close()
    table = 1e3 * np.array(times)
    model_ms, env_ms = (float(value) for value in np.median(table, axis=0))
    return EnvLayer(batch, threads, model_ms, env_ms, float(np.median(table[:, 1] - table[:, 0])))
