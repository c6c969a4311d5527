"""DQN of Stable-Baselines3 learns in a batch of dreams: as they are, or with a few moves to choose from.

python docs/examples/sb3_dqn.py --checkpoint push --steps 20000        (needs: pip install 'worldmodel[sb3]')
"""

import argparse

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import RecordEpisodeStatistics, TransformAction
from stable_baselines3 import DQN

import worldmodel  # noqa: F401  (registers the environments)
from worldmodel.agents.sb3_vec_env import SB3VecEnv


def with_moves(envs: VectorEnv) -> VectorEnv:
    """DQN chooses, it does not push by so much: nothing, or all the way down or up one axis of the Box."""
    box = envs.single_action_space
    low, high = np.diag(box.low), np.diag(box.high)
    moves = np.concatenate([np.zeros((1, len(low))), low, high]).astype(box.dtype)
    choice = gym.spaces.Discrete(len(moves))
    return TransformAction(envs, lambda chosen: moves[chosen], batch_space(choice, envs.num_envs), choice)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--steps", type=int, default=20_000, help="imagined steps, of all dreams together")
    parser.add_argument("--dreams", type=int, default=16, help="dreams in one forward pass")
    parser.add_argument("--warm-up", type=int, default=1000, help="random steps before the first update")
    options = parser.parse_args(arguments)

    envs = gym.make_vec("worldmodel/Dream-v0", num_envs=options.dreams, checkpoint=options.checkpoint)
    if isinstance(envs.single_action_space, gym.spaces.Box):
        envs = with_moves(envs)
    env = SB3VecEnv(RecordEpisodeStatistics(envs))
    agent = DQN(
        "CnnPolicy",
        env,
        learning_starts=options.warm_up,
        buffer_size=options.steps,  # pictures: 64x64x3 bytes each, twice
        gradient_steps=2,
        seed=0,
        verbose=1,
    )
    agent.learn(options.steps)
    last = [episode["r"] for episode in agent.ep_info_buffer]
    print(
        f"{agent.num_timesteps} imagined steps; mean return of the last {len(last)} dreams {np.mean(last):.2f}"
    )


if __name__ == "__main__":
    main()
