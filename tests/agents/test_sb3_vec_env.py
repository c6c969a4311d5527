"""Stable-Baselines3 learns in dreams, and is told what its own vector environments would tell it."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from tiny_world import SIZE, tiny_world_model

from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.errors import WorldModelError
from worldmodel.real_env import EnvConfig

sb3 = pytest.importorskip("stable_baselines3", reason="the extra [sb3] is not installed")
from stable_baselines3.common.env_checker import check_env  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor  # noqa: E402

from worldmodel.agents.sb3_vec_env import SB3VecEnv  # noqa: E402

BOX = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
SMALL_PPO = {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
SMALL_DQN = {"learning_starts": 32, "buffer_size": 200, "policy_kwargs": {"net_arch": [8]}}


def dreams(space: gym.Space = BOX, number: int = 3, **arguments: object) -> DreamVectorEnv:
    return DreamVectorEnv(tiny_world_model(space), number, **arguments)


@pytest.mark.parametrize("space", [BOX, gym.spaces.Discrete(3)], ids=["box", "discrete"])
@pytest.mark.filterwarnings("error")
def test_the_checker_of_stable_baselines(space: gym.Space) -> None:
    """At 36x36, the smallest picture that its CnnPolicy takes: below that it rightly warns.

    Its check of rendering, off by default, closes the environment and then steps it, which a dream refuses.
    """
    env = gym.make(
        "worldmodel/Dream-v0", checkpoint=tiny_world_model(space, size=36), render_mode="rgb_array"
    )
    check_env(env)
    assert env.render().shape == (36, 36, 3)


@pytest.mark.parametrize(
    ("algorithm", "space", "settings"),
    [
        ("PPO", BOX, SMALL_PPO),
        ("PPO", gym.spaces.Discrete(3, start=1), SMALL_PPO),
        ("PPO", gym.spaces.MultiDiscrete([2, 3]), SMALL_PPO),
        ("PPO", gym.spaces.MultiBinary(2), SMALL_PPO),
        ("DQN", gym.spaces.Discrete(3, start=1), SMALL_DQN),
    ],
)
@pytest.mark.filterwarnings("error")
def test_agents_learn_in_dreams(algorithm: str, space: gym.Space, settings: dict) -> None:
    env = SB3VecEnv(RecordEpisodeStatistics(dreams(space, 4)))
    model = getattr(sb3, algorithm)("MlpPolicy", env, seed=0, device="cpu", **settings)
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(96)
    assert model.num_timesteps == 96
    assert len(model.ep_info_buffer) == 8, "4 dreams of 10 steps, told by RecordEpisodeStatistics"
    assert model.ep_info_buffer[0]["l"] == 10
    changed = [not p.equal(q) for p, q in zip(model.policy.parameters(), before, strict=True)]
    assert any(changed)


def test_the_same_as_single_dreams_in_the_vec_env_of_stable_baselines() -> None:
    """Observations, rewards, ends and infos of a batch are those of DummyVecEnv over single dreams."""
    model = tiny_world_model(max_episode_steps=4)
    batch, single = SB3VecEnv(DreamVectorEnv(model, 2)), DummyVecEnv([lambda: DreamEnv(model)] * 2)
    rng = np.random.default_rng(0)
    seen = []
    for env in (batch, single):
        assert env.seed(3) == [3, 4]
    first = [env.reset() for env in (batch, single)]
    assert np.array_equal(*first)
    assert [one["context"] for one in batch.reset_infos] == [one["context"] for one in single.reset_infos]
    for _ in range(9):
        actions = rng.uniform(-1, 1, (2, 2)).astype(np.float32)
        seen = [env.step(actions) for env in (batch, single)]
        (frames, rewards, dones, infos), (frames_1, rewards_1, dones_1, infos_1) = seen
        assert np.abs(frames.astype(int) - frames_1).max() <= 1
        assert np.allclose(rewards, rewards_1, atol=1e-5) and rewards.dtype == rewards_1.dtype == np.float32
        assert np.array_equal(dones, dones_1)
        for own, reference in zip(infos, infos_1, strict=True):
            assert set(own) == set(reference)
            assert own["TimeLimit.truncated"] is bool(reference["TimeLimit.truncated"])
            assert (own["step"], own["context"]) == (reference["step"], reference["context"])
            if "terminal_observation" in own:
                last, last_1 = own["terminal_observation"], reference["terminal_observation"]
                assert np.abs(last.astype(int) - last_1).max() <= 1
                assert own["step"] == 4 and not np.array_equal(last, frames[0])
        steps = [[one.get("step") for one in env.reset_infos] for env in (batch, single)]
        assert steps[0] == steps[1] == [0, 0]


def test_an_end_of_the_task_is_no_time_limit() -> None:
    env = SB3VecEnv(DreamVectorEnv(tiny_world_model(ends=True), 2))
    env.reset()
    _, _, dones, infos = env.step(np.zeros((2, 2), np.float32))
    assert dones.all() and not any(info["TimeLimit.truncated"] for info in infos)


def test_discrete_actions_count_from_zero() -> None:
    env, reference = (dreams(gym.spaces.Discrete(3, start=5), 2) for _ in range(2))
    bridge = SB3VecEnv(env)
    assert bridge.action_space == gym.spaces.Discrete(3)
    bridge.seed(0)
    assert np.array_equal(bridge.reset(), reference.reset(seed=0)[0])
    assert np.array_equal(bridge.step(np.array([0, 2]))[0], reference.step(np.array([5, 7]))[0])


def test_seeds_and_options_are_used_once() -> None:
    env = SB3VecEnv(dreams())
    env.seed(5)
    first = env.reset()
    assert not np.array_equal(env.reset(), first)
    env.seed(5)
    env.set_options({"context": [0, 1, 2]})
    env.reset()
    assert [info["context"] for info in env.reset_infos] == [0, 1, 2]
    own = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    env.set_options({"frames": own})
    assert not env.reset().any()
    assert env.reset().any()
    with pytest.raises(WorldModelError, match="one dict for all"):
        env.set_options([{}] * 3)
    live = EnvConfig("worldmodel/Push-v0", size=SIZE).make()
    live.reset(seed=0)
    env.set_options({"env": live})
    frame = live.step(np.ones(2, np.float32))[0]
    assert np.array_equal(env.reset(), [frame] * 3), "the environment as it is at the reset, not a copy of it"


def test_attributes_and_methods_of_a_batch() -> None:
    env = SB3VecEnv(RecordEpisodeStatistics(dreams(render_mode="rgb_array")))
    assert env.get_attr("num_inference_steps") == [2, 2, 2]
    assert env.get_attr("episode_count", 1) == [0], "an attribute of the wrapper"
    assert env.has_attr("reward_range") and not env.has_attr("nonsense")
    env.set_attr("num_inference_steps", 1)
    assert env.envs.unwrapped.num_inference_steps == 1
    with pytest.raises(WorldModelError, match="leave indices out"):
        env.set_attr("num_inference_steps", 2, indices=[0])
    with pytest.raises(WorldModelError, match="leave indices out"):
        env.env_method("render", indices=0)
    env.reset()
    assert [frame.shape for frame in env.env_method("render")] == [(SIZE, SIZE, 3)] * 3
    assert [frame.shape for frame in env.get_images()] == [(SIZE, SIZE, 3)] * 3
    assert env.render().shape == (2 * SIZE, 2 * SIZE, 3), "tiled"
    assert env.env_is_wrapped(RecordEpisodeStatistics) == [True] * 3
    assert env.env_is_wrapped(gym.wrappers.TimeLimit, 0) == [False]
    env.close()


def test_without_a_render_mode_there_are_no_images() -> None:
    assert SB3VecEnv(dreams()).get_images() == [None] * 3


def test_any_other_vector_env_and_the_wrappers_of_stable_baselines() -> None:
    made = [lambda: gym.wrappers.TimeLimit(DreamEnv(tiny_world_model()), 3)] * 2
    env = SB3VecEnv(SyncVectorEnv(made, autoreset_mode=AutoresetMode.SAME_STEP))
    assert env.env_is_wrapped(gym.wrappers.TimeLimit) == [True, True]
    assert env.get_attr("render_mode") == [None, None]
    env.set_attr("mark", 6)
    env.set_attr("mark", 7, indices=[1])
    assert env.get_attr("mark") == [6, 7] and env.get_attr("mark", [1]) == [7]
    assert env.env_method("has_wrapper_attr", "mark") == [True, True]
    stacked = VecMonitor(VecFrameStack(env, 2, channels_order="last"))
    assert stacked.reset().shape == (2, SIZE, SIZE, 6)
    for _ in range(3):
        _, _, dones, infos = stacked.step(np.zeros((2, 2), np.float32))
    assert dones.all() and infos[0]["terminal_observation"].shape == (SIZE, SIZE, 6)
    assert infos[1]["episode"]["l"] == 3


def test_what_cannot_be_bridged_says_why() -> None:
    with pytest.raises(WorldModelError, match=r"NEXT_STEP.*SAME_STEP"):
        SB3VecEnv(dreams(autoreset_mode=AutoresetMode.NEXT_STEP))
    with pytest.raises(WorldModelError, match=r"gym\.make_vec"):
        SB3VecEnv(DreamEnv(tiny_world_model()))


def test_without_the_package_one_sentence_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "from worldmodel.errors import WorldModelError\n"
        "try: import worldmodel.agents.sb3_vec_env\n"
        "except WorldModelError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'worldmodel[sb3]'" in done.stdout
