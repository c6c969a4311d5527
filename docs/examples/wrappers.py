"""Gymnasium's wrappers around a dream, single and vector; a video of what was dreamt.

python docs/examples/wrappers.py --checkpoint push --out runs/dream_videos   (needs: pip install 'worldmodel[wrappers]')
"""

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode

import worldmodel  # noqa: F401  (registers the environments)

DREAM = "worldmodel/Dream-v0"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--steps", type=int, default=40, help="steps of a dream, then it is cut off")
    parser.add_argument("--out", default="runs/dream_videos", help="folder of the videos")
    options = parser.parse_args(arguments)
    checkpoint = options.checkpoint

    env = gym.make(DREAM, checkpoint=checkpoint, max_episode_steps=options.steps, render_mode="rgb_array")
    env = wrappers.RecordVideo(env, options.out, episode_trigger=lambda episode: True)  # moviepy
    env = wrappers.RecordEpisodeStatistics(env)
    env = wrappers.ResizeObservation(env, (84, 84))  # opencv-python-headless
    env = wrappers.GrayscaleObservation(env)
    env = wrappers.FrameStackObservation(env, 4)
    env = wrappers.TransformReward(env, lambda reward: float(np.clip(reward, -1, 1)))
    env.action_space.seed(0)
    stack, _ = env.reset(seed=0)
    ended = False
    while not ended:
        stack, _, terminated, truncated, info = env.step(env.action_space.sample())
        ended = terminated or truncated
    env.close()
    print(f"single: observation {stack.shape} {stack.dtype}, return {info['episode']['r']:.2f}")
    print(f"video: {sorted(Path(options.out).glob('*.mp4'))[-1]}")

    # Gymnasium's vector wrappers of observations refuse SAME_STEP, a dream's default: they would miss final_obs.
    settings = {"max_episode_steps": options.steps, "autoreset_mode": AutoresetMode.NEXT_STEP}
    envs = gym.make_vec(DREAM, num_envs=4, checkpoint=checkpoint, **settings)
    envs = wrappers.vector.RecordEpisodeStatistics(envs)
    envs = wrappers.vector.GrayscaleObservation(envs)
    envs = wrappers.vector.TransformReward(envs, lambda rewards: np.clip(rewards, -1, 1))
    envs = wrappers.vector.NormalizeReward(envs)
    envs.action_space.seed(0)
    frames, _ = envs.reset(seed=0)
    for _ in range(options.steps):
        frames, _, _, _, infos = envs.step(envs.action_space.sample())
    returns = np.round(infos["episode"]["r"], 2)[infos["_episode"]]
    print(f"vector: observations {frames.shape}, returns of those that ended now {returns}")
    envs.close()


if __name__ == "__main__":
    main()
