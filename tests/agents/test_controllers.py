import gymnasium as gym
import numpy as np

from worldmodel.agents.controllers import balance


def test_the_pole_stays_up():
    env = gym.make("worldmodel/CartPole-v0", size=16)
    rng = np.random.default_rng(0)
    for seed in range(3):
        observation, info = env.reset(seed=seed)
        for _ in range(150):
            observation, _, terminated, _, info = env.step(balance(observation, info, rng))
            assert not terminated
