"""TorchRL: one dream and a batch of dreams, checked, transformed and collected from.

python docs/examples/torchrl_env.py --checkpoint push                  (needs: pip install 'worldmodel[torchrl]')
"""

import argparse

import gymnasium as gym
from torchrl.collectors import Collector
from torchrl.envs import GymEnv, GymWrapper, RewardSum, ToTensorImage, check_env_specs

import worldmodel  # noqa: F401  (registers the environments)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--dreams", type=int, default=8, help="dreams in one forward pass")
    parser.add_argument("--steps", type=int, default=50, help="steps of each dream")
    options = parser.parse_args(arguments)

    single = GymEnv("worldmodel/Dream-v0", checkpoint=options.checkpoint)
    check_env_specs(single)
    single.set_seed(0)
    print(single.rollout(3))
    single.close()

    # One batched model; GymEnv(..., num_envs=8) would make 8 processes with a model each.
    envs = gym.make_vec("worldmodel/Dream-v0", num_envs=options.dreams, checkpoint=options.checkpoint)
    batch = GymWrapper(envs)
    batch = batch.append_transform(ToTensorImage(in_keys=["observation"], out_keys=["pixels"]))
    batch = batch.append_transform(RewardSum())
    check_env_specs(batch)

    frames = options.dreams * options.steps
    for data in Collector(batch, None, frames_per_batch=frames, total_frames=frames):  # None: random actions
        pixels, ended = data["pixels"], data["next", "done"].sum().item()
        mean = data["next", "reward"].mean().item()
        print(
            f"{list(data.batch_size)} steps, pixels {list(pixels.shape)}, {ended} ends, mean reward {mean:.3f}"
        )


if __name__ == "__main__":
    main()
