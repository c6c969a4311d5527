"""PPO of Stable-Baselines3 learns in a batch of dreams alone, and is then scored in the real environment.

python docs/examples/sb3_ppo.py --checkpoint push --steps 20000        (needs: pip install 'worldmodel[sb3]')
"""

import argparse

import gymnasium as gym
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

import worldmodel  # noqa: F401  (registers the environments)
from worldmodel.agents.sb3_vec_env import SB3VecEnv


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--steps", type=int, default=20_000, help="imagined steps, of all dreams together")
    parser.add_argument("--dreams", type=int, default=16, help="dreams in one forward pass")
    parser.add_argument("--rollout", type=int, default=64, help="steps of each dream between two updates")
    parser.add_argument("--batch", type=int, default=256, help="steps of one minibatch")
    parser.add_argument("--episodes", type=int, default=10, help="real episodes to be scored in")
    options = parser.parse_args(arguments)

    dreams = gym.make_vec("worldmodel/Dream-v0", num_envs=options.dreams, checkpoint=options.checkpoint)
    world = dreams.unwrapped.model.world
    env = SB3VecEnv(RecordEpisodeStatistics(dreams))  # the statistics become SB3's ep_rew_mean
    agent = PPO(
        "CnnPolicy", env, n_steps=options.rollout, batch_size=options.batch, n_epochs=4, seed=0, verbose=1
    )
    agent.learn(options.steps)
    env.close()

    real = Monitor(world.env.make())  # the environment that the world was learned from, as the same pictures
    mean, deviation = evaluate_policy(agent, real, options.episodes)
    print(
        f"{agent.num_timesteps} imagined steps; real return {mean:.2f} +- {deviation:.2f} in {world.env.id}"
    )


if __name__ == "__main__":
    main()
