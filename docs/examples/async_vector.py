"""Dreams in processes of their own, which are begun with spawn and carried there as a pickled spec.

A batch of dreams (gym.make_vec) is faster: this is for code that insists on AsyncVectorEnv. Never fork a process that
has used torch: its children wait forever for threads they do not have.

python docs/examples/async_vector.py --checkpoint push
"""

import argparse
import functools
import pickle

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

import worldmodel  # noqa: F401  (registers the environments)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args(arguments)

    env = gym.make("worldmodel/Dream-v0", checkpoint=options.checkpoint)
    spec = pickle.loads(pickle.dumps(env.spec))
    env.close()
    print(f"{len(pickle.dumps(spec))} bytes of spec make the same dream: {spec.id} {spec.kwargs}")

    make = functools.partial(gym.make, spec)
    envs = AsyncVectorEnv([make] * options.processes, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    envs.action_space.seed(0)
    envs.reset(seed=0)
    for _ in range(options.steps):
        frames, rewards, _, _, infos = envs.step(envs.action_space.sample())
    print(
        f"{options.processes} processes, frames {frames.shape}, steps {infos['step']}, rewards {rewards.round(2)}"
    )
    envs.close()


if __name__ == "__main__":
    main()
