import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from tiny_world import CONTEXT, SIZE, tiny_world_model

from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.model.checkpoint import save_world_model

SPACES = {
    "box": gym.spaces.Box(-1.0, 1.0, (2,), np.float32),
    "discrete": gym.spaces.Discrete(5, start=1),
    "multi_discrete": gym.spaces.MultiDiscrete([2, 3]),
    "multi_binary": gym.spaces.MultiBinary(3),
    "dict": gym.spaces.Dict({"aim": gym.spaces.Box(-1, 1, (2,), np.float32), "fire": gym.spaces.Discrete(2)}),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    save_world_model(tiny_world_model(), folder)
    return str(folder)


def play(env, seed, steps, actions):
    frames, _ = env.reset(seed=seed)
    rows = [frames]
    for t in range(steps):
        rows.append(env.step(actions[t])[0])
    return np.stack(rows)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_passes_for_every_action_space(name):
    check_env(DreamEnv(tiny_world_model(SPACES[name]), render_mode="rgb_array"), skip_render_check=True)


@pytest.mark.filterwarnings("error")
def test_gym_make_and_its_checker(checkpoint):
    with gym.make("worldmodel:worldmodel/Dream-v0", checkpoint=checkpoint) as env:
        check_env(env.unwrapped)


@pytest.mark.parametrize("name", SPACES)
def test_make_vec_steps_every_action_space(name):
    env = gym.make_vec("worldmodel/Dream-v0", num_envs=3, checkpoint=tiny_world_model(SPACES[name]))
    assert isinstance(env.unwrapped, DreamVectorEnv)
    frames, infos = env.reset(seed=0)
    assert frames in env.observation_space
    env.action_space.seed(0)
    frames, rewards, terminated, truncated, step_infos = env.step(env.action_space.sample())
    assert frames in env.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (3,)
    assert set(infos) == set(step_infos)


def test_the_same_seed_and_actions_dream_the_same_twice(checkpoint):
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 2)).astype(np.float32)
    with gym.make("worldmodel/Dream-v0", checkpoint=checkpoint) as env:
        assert np.array_equal(play(env, 5, 8, actions), play(env, 5, 8, actions))
        assert not np.array_equal(play(env, 5, 8, actions), play(env, 6, 8, actions))


def test_one_dream_alone_is_the_same_as_in_a_batch(checkpoint):
    actions = np.random.default_rng(0).uniform(-1, 1, (25, 3, 2)).astype(np.float32)
    batch = play(DreamVectorEnv(checkpoint, 3), 7, 25, actions)  # 25 steps: through two resets
    alone = play(DreamVectorEnv(checkpoint, 1), 9, 25, actions[:, 2:])
    assert np.abs(batch[:, 2].astype(int) - alone[:, 0].astype(int)).max() <= 1


def test_single_is_the_vector_of_size_one(checkpoint):
    actions = np.random.default_rng(0).uniform(-1, 1, (9, 2)).astype(np.float32)
    single, vector = DreamEnv(checkpoint), DreamVectorEnv(checkpoint, 1)
    assert np.array_equal(play(single, 3, 9, actions), play(vector, 3, 9, actions[:, None])[:, 0])


def test_a_reset_of_one_dream_touches_no_other(checkpoint):
    actions = np.zeros((6, 2, 2), np.float32)
    undisturbed = play(DreamVectorEnv(checkpoint, 2), 0, 6, actions)
    env = DreamVectorEnv(checkpoint, 2, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    rows = [env.step(actions[t])[0] for t in range(3)]
    env.reset(options={"reset_mask": np.array([True, False])})
    rows += [env.step(actions[t])[0] for t in range(3, 6)]
    assert np.array_equal(np.stack(rows)[:, 1], undisturbed[1:, 1])
    assert not np.array_equal(np.stack(rows)[3:, 0], undisturbed[4:, 0])


def test_same_step_hands_out_the_last_frame_and_begins_anew():
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=4), 2)
    reference = DreamVectorEnv(tiny_world_model(max_episode_steps=50), 2)
    env.reset(seed=1)
    reference.reset(seed=1)
    action = np.zeros((2, 2), np.float32)
    for _ in range(3):
        infos = env.step(action)[4]
        reference.step(action)
        assert "final_obs" not in infos
    frames, _, terminated, truncated, infos = env.step(action)
    last = reference.step(action)[0]
    assert truncated.all() and not terminated.any()
    assert infos["_final_obs"].all()
    assert np.array_equal(np.stack(infos["final_obs"]), last)
    assert infos["final_info"]["step"].tolist() == [4, 4]
    assert infos["step"].tolist() == [0, 0]
    assert not np.array_equal(frames, last)


def test_the_termination_head_ends_a_dream():
    env = DreamVectorEnv(tiny_world_model(ends=True), 2)
    env.reset(seed=1)
    _, _, terminated, truncated, infos = env.step(np.zeros((2, 2), np.float32))
    assert terminated.all() and not truncated.any() and infos["_final_obs"].all()


def test_next_step_begins_anew_one_step_later_with_zero_reward():
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=2), 1, autoreset_mode="NextStep")
    env.reset(seed=1)
    action = np.ones((1, 2), np.float32)
    env.step(action)
    assert env.step(action)[3].tolist() == [True]
    frames, rewards, terminated, truncated, infos = env.step(action)
    assert infos["step"].tolist() == [0]
    assert (rewards[0], terminated[0], truncated[0]) == (0.0, False, False)
    contexts = env.model.contexts.frames[:, -1].numpy()
    assert any(np.array_equal(frames[0], context) for context in contexts)


def test_disabled_autoreset_asks_for_a_reset():
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=1), 2, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=1)
    env.step(np.zeros((2, 2), np.float32))
    with pytest.raises(WorldModelError, match="reset_mask"):
        env.step(np.zeros((2, 2), np.float32))
    env.reset(options={"reset_mask": np.array([True, True])})
    env.step(np.zeros((2, 2), np.float32))


def test_starts_a_real_context_or_the_callers_frames(checkpoint):
    env = DreamEnv(checkpoint)
    contexts = env.vector.model.contexts.frames.numpy()
    frame, info = env.reset(seed=0)
    assert np.array_equal(frame, contexts[info["context"], -1])
    frame, info = env.reset(options={"context": 3})
    assert info["context"] == 3 and np.array_equal(frame, contexts[3, -1])
    own = np.random.default_rng(0).integers(0, 256, (CONTEXT, SIZE, SIZE, 3), dtype=np.uint8)
    frame, info = env.reset(options={"frames": own, "actions": np.zeros((CONTEXT - 1, 2), np.float32)})
    assert info["context"] == -1 and np.array_equal(frame, own[-1])
    frame, _ = env.reset(options={"frames": own[-1:]})
    assert np.array_equal(frame, own[-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contexts": 1}, "Unknown reset option 'contexts'"),
        ({"context": 99}, "contexts 0 to 4"),
        ({"frames": np.zeros((2, 4, 4, 3), np.uint8)}, "must be uint8"),
        ({"frames": np.zeros((2, SIZE, SIZE, 3), np.uint8)}, "need the 1 actions"),
        ({"actions": np.zeros((1, 2))}, "needs 'frames'"),
        ({"reset_mask": np.array([1])}, "bool array"),
    ],
)
def test_bad_reset_options_are_one_sentence_and_harm_nothing(checkpoint, options, message):
    env = DreamVectorEnv(checkpoint, 1)
    env.reset(seed=0)
    before = env.step(np.zeros((1, 2), np.float32))[0]
    env.reset(seed=0)
    with pytest.raises(WorldModelError, match=message):
        env.reset(options=options)
    assert np.array_equal(env.step(np.zeros((1, 2), np.float32))[0], before)


@pytest.mark.parametrize("action", [np.zeros(3), np.array([np.nan, 0.0]), np.array([5.0, 0.0]), "left", None])
def test_a_bad_action_is_one_sentence_and_harms_nothing(checkpoint, action):
    env = DreamEnv(checkpoint)
    env.reset(seed=0)
    with pytest.raises(WorldModelError) as error:
        env.step(action)
    assert "\n" not in str(error.value)
    after = env.step(np.zeros(2, np.float32))[0]
    env.reset(seed=0)
    assert np.array_equal(env.step(np.zeros(2, np.float32))[0], after)


def test_what_cannot_be_made_says_why(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        gym.make("worldmodel/Dream-v0", checkpoint=str(tmp_path / "nothing"))
    with pytest.raises(WorldModelError, match="num_inference_steps"):
        DreamEnv(tiny_world_model(), num_inference_steps=0)
    with pytest.raises(WorldModelError, match="render_mode"):
        DreamEnv(tiny_world_model(), render_mode="human")
    with pytest.raises(WorldModelError, match=r"reset\(\) before step"):
        DreamEnv(tiny_world_model()).step(np.zeros(2, np.float32))
