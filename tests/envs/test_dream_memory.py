"""A million imagined steps of a vector environment, with thousands of episodes begun anew, take no more memory."""

import gc

import gymnasium as gym
import pytest
from tiny_world import tiny_world_model

from worldmodel.benchmark.memory import resident_bytes

NUM_ENVS, STEPS, LIMIT = 256, 3_907, 50


@pytest.mark.slow
def test_a_million_steps_do_not_grow_memory() -> None:
    env = gym.make_vec(
        "worldmodel/Dream-v0", num_envs=NUM_ENVS, checkpoint=tiny_world_model(max_episode_steps=LIMIT)
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    done, begun, sizes, objects = 0, 0, [], []
    for step in range(STEPS):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        done += NUM_ENVS
        begun += int((terminated | truncated).sum())
        if step % (STEPS // 10) == STEPS // 10 - 1:
            gc.collect()
            sizes.append(resident_bytes())
            objects.append(len(gc.get_objects()))
    assert done >= 1_000_000 and begun >= done // LIMIT - NUM_ENVS
    assert max(sizes[1:]) - sizes[0] < 16 * 2**20, [size / 2**20 for size in sizes]
    assert max(objects[1:]) - objects[0] < 100, objects
