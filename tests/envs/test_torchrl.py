"""TorchRL takes dreams as they are, single and as one batch."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.envs.dream import DreamVectorEnv

pytest.importorskip("torchrl", reason="the extra [torchrl] is not installed")
from torchrl.envs import GymEnv, GymWrapper, check_env_specs

DREAM = "worldmodel/Dream-v0"
SPACES = {"box": gym.spaces.Box(-1.0, 1.0, (2,), np.float32), "discrete": gym.spaces.Discrete(5)}
MAKE = {
    "GymEnv": lambda model: GymEnv(DREAM, checkpoint=model),
    "GymWrapper": lambda model: GymWrapper(gym.make(DREAM, checkpoint=model)),
    "vector": lambda model: GymWrapper(gym.make_vec(DREAM, num_envs=3, checkpoint=model)),
    "features": lambda model: GymWrapper(
        gym.make_vec(DREAM, num_envs=3, checkpoint=model, obs_type="features")
    ),
    "both": lambda model: GymEnv(DREAM, checkpoint=model, obs_type="both"),
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.filterwarnings("error")
def test_the_checker_of_torchrl(kind: str, space: str) -> None:
    env = MAKE[kind](tiny_world_model(SPACES[space]))
    check_env_specs(env)
    env.close()


@pytest.mark.filterwarnings("error")
def test_a_rollout_of_a_batch_is_the_dreams_own() -> None:
    """Observations, what a step led to, rewards and ends, through the autoresets of single dreams."""
    model = tiny_world_model()
    torch.nn.init.zeros_(model.network.termination.bias)  # each ends now and then, at a step of its own
    torch.nn.init.normal_(
        model.network.termination.weight, std=5.0, generator=torch.Generator().manual_seed(0)
    )
    env, reference = MAKE["vector"](model), DreamVectorEnv(model, 3)
    env.set_seed(4)
    reference.reset(seed=4)  # TorchRL resets to seed, and again to begin
    told = env.rollout(25, break_when_any_done=False)
    frames, _ = reference.reset()
    ends = []
    for t in range(25):
        assert np.array_equal(told["observation"][:, t].numpy(), frames), t
        frames, rewards, terminated, truncated, infos = reference.step(told["action"][:, t].numpy())
        last, done = frames.copy(), terminated | truncated
        for index in np.flatnonzero(done):
            last[index] = infos["final_obs"][index]
        following = told["next"][:, t]
        assert np.array_equal(following["observation"].numpy(), last)
        assert np.allclose(following["reward"][:, 0].numpy(), rewards)
        assert np.array_equal(following["terminated"][:, 0].numpy(), terminated)
        assert np.array_equal(following["truncated"][:, 0].numpy(), truncated)
        ends.append(done)
        if done.all():
            frames, _ = reference.reset()  # TorchRL resets a batch that ended as a whole once more
    assert any(done.any() and not done.all() for done in ends), "dreams ended one by one"
