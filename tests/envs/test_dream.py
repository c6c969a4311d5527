import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from tiny_world import CONTEXT, SIZE, tiny_world_model

from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.model.checkpoint import save_world_model
from worldmodel.model.dreams import noise_seeds

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


def own_frames(count):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def one_sentence(call, match):
    with pytest.raises(WorldModelError, match=match) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", SPACES)
def test_own_start_frames_in_every_action_space(name):
    env = DreamEnv(tiny_world_model(SPACES[name]))
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(CONTEXT - 1)]
    for options in ({"frames": own_frames(1)}, {"frames": own_frames(1), "actions": []}):
        assert np.array_equal(env.reset(options=options)[0], own_frames(1)[-1])
    stored = np.stack([env.vector.codec.store(action) for action in actions])
    seen = []
    for given in (actions, stored):
        env.reset(seed=0, options={"frames": own_frames(CONTEXT), "actions": given})
        seen.append(env.step(actions[0])[0])
    assert np.array_equal(*seen)


def test_own_start_actions_of_a_tuple_space_may_be_lists_and_one_list_a_start():
    space = gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Box(-1, 1, (2,), np.float32)])
    env = DreamVectorEnv(tiny_world_model(space), 2)
    step, batch, seen = (1, np.zeros(2, np.float32)), ([1, 0], np.zeros((2, 2), np.float32)), []
    for actions in ([step, step], (step, step), [list(step), list(step)], [[step, step]]):
        env.reset(seed=0, options={"frames": own_frames(3), "actions": actions})
        seen.append(env.step(batch)[0])
    env.reset(seed=0, options={"frames": np.stack([own_frames(3)] * 2), "actions": [[step, step]] * 2})
    seen.append(env.step(batch)[0])
    assert all(np.array_equal(frames, seen[0]) for frames in seen)


@pytest.mark.parametrize(
    ("name", "actions", "message"),
    [
        ("box", np.full((2, 2), np.nan, np.float32), "holds nan"),
        ("box", np.full((2, 2), 5.0), "outside of"),
        ("box", [[0.0, 0.0], [0.0]], "lists of equal lengths"),
        ("box", [["a", "b"], ["c", "d"]], "has dtype"),
        ("discrete", np.array([1, 9]), "holds 9"),
        ("discrete", np.array([1.0, 2.0]), "has dtype float64"),
        ("discrete", None, "need the 2 actions"),
        ("discrete", [], "need the 2 actions"),
        ("dict", [{"aim": np.zeros(2), "fire": 7}] * 2, "holds 7"),
        ("dict", [{"aim": np.zeros(2)}] * 2, "must be a dict"),
        ("dict", {"aim": np.zeros((2, 2)), "fire": np.zeros(2)}, "give a list of actions"),
        ("dict", [{"aim": np.zeros(2), "fire": 1}], "need the 2 actions"),
        ("dict", np.full((2, 4), np.nan), "holds nan"),
    ],
)
def test_own_start_actions_must_be_actions_of_the_space(name, actions, message):
    env = DreamEnv(tiny_world_model(SPACES[name]))
    options = {"frames": own_frames(3), "actions": actions}
    one_sentence(lambda: env.reset(options=options), message)


def test_own_frames_may_be_flipped_but_not_ragged(checkpoint):
    env = DreamEnv(checkpoint)
    flipped = own_frames(1)[:, ::-1]
    assert np.array_equal(env.reset(options={"frames": flipped})[0], flipped[-1])
    ragged = [own_frames(1)[0], own_frames(1)[0][:2]]
    one_sentence(lambda: env.reset(options={"frames": ragged}), "lists of equal lengths")


@pytest.mark.parametrize("context", [1.0, 1.7, True, "2", None, 10**30, 2**63, [1, 2, 3], [[1], [2, 3]], -1])
def test_a_context_is_a_whole_number_of_the_range(checkpoint, context):
    env = DreamVectorEnv(checkpoint, 2)
    one_sentence(lambda: env.reset(options={"context": context}), "Reset option 'context'")
    assert env.reset(options={"context": np.array([2, 4])})[1]["context"].tolist() == [2, 4]


def test_frames_and_context_exclude_each_other(checkpoint):
    options = {"frames": own_frames(1), "context": 1}
    one_sentence(lambda: DreamEnv(checkpoint).reset(options=options), "exclude each other")


def test_next_step_tells_no_uncertainty_of_a_restart():
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=1), 2, autoreset_mode="NextStep")
    env.reset(seed=1)
    assert np.isfinite(env.step(np.zeros((2, 2), np.float32))[4]["uncertainty"]).all()
    assert np.isnan(env.step(np.zeros((2, 2), np.float32))[4]["uncertainty"]).all()


def test_a_refused_reset_changes_nothing(checkpoint):
    env, undisturbed = (DreamVectorEnv(checkpoint, 2) for _ in range(2))
    for each in (env, undisturbed):
        each.reset(seed=3)
    for options in ({"context": 99}, {"frames": "none"}, [1], {1: 2, "b": 3}):
        one_sentence(lambda options=options: env.reset(seed=8, options=options), "Reset option|reset option")
    assert np.array_equal(env.reset()[1]["context"], undisturbed.reset()[1]["context"])
    for name, values in env.get_state().episodes.tensors().items():
        assert np.array_equal(
            values, getattr(undisturbed.get_state().episodes, name), equal_nan=values.is_floating_point()
        )


def test_a_refused_reset_of_one_dream_leaves_gymnasiums_seed(checkpoint):
    env = DreamEnv(checkpoint)
    env.reset(seed=3)
    one_sentence(lambda: env.reset(seed=8, options={"context": 99}), "context")
    assert env.np_random_seed == 3


def test_no_two_seeds_and_episodes_share_a_stream():
    streams = [(0, 5), (5, 0), (5 * 2**32, 0), (2**32, 5), (1, 1), (2**32 + 1, 0), (1 + 2**32, 1)]
    words = set(noise_seeds(streams).tolist())
    assert len(words) == len(streams)


@pytest.mark.parametrize("seed", [2**63, 2**64 - 1, 2**70, -5, np.uint64(2**63), np.int32(7), np.array(7)])
def test_any_whole_number_is_a_seed(checkpoint, seed):
    for env in (DreamEnv(checkpoint), DreamVectorEnv(checkpoint, 3)):
        first, again = env.reset(seed=seed)[0], env.reset(seed=int(seed) % 2**64)[0]
        assert np.array_equal(first, again)


def test_the_seeds_that_the_dreams_chose_bring_them_back(checkpoint):
    env = DreamVectorEnv(checkpoint, 3)
    frames, _ = env.reset(seed=[4, None, 6])
    seeds = env.np_random_seed
    assert seeds[0] == 4 and seeds[2] == 6
    assert np.array_equal(DreamVectorEnv(checkpoint, 3).reset(seed=list(seeds))[0], frames)
    single = DreamEnv(checkpoint)
    frame, _ = single.reset()
    assert np.array_equal(DreamEnv(checkpoint).reset(seed=single.np_random_seed)[0], frame)


def test_any_sequence_of_whole_numbers_are_seeds(checkpoint):
    env = DreamVectorEnv(checkpoint, 3)
    frames, _ = env.reset(seed=4)
    for seeds in (range(4, 7), (4, 5, 6), np.arange(4, 7), np.array([4, 5, 6], object)):
        assert np.array_equal(env.reset(seed=seeds)[0], frames)


@pytest.mark.parametrize(
    "seed", [1.5, "x", "xyz", b"xyz", True, [1, 1.5, 2], [1, [2], 3], np.zeros(3), {1, 2, 3}]
)
def test_nothing_else_is_a_seed(checkpoint, seed):
    one_sentence(lambda: DreamVectorEnv(checkpoint, 3).reset(seed=seed), "give a whole number")
    one_sentence(lambda: DreamEnv(checkpoint).reset(seed=seed), "give a whole number")


def test_info_masks_are_those_of_gymnasiums_own_vector_envs():
    envs = [
        DreamVectorEnv(tiny_world_model(), 2, max_episode_steps=3),
        gym.vector.SyncVectorEnv(
            [lambda: DreamEnv(tiny_world_model(), max_episode_steps=3)] * 2,
            autoreset_mode=AutoresetMode.SAME_STEP,
        ),
    ]
    mask, action, told = np.array([True, False]), np.zeros((2, 2), np.float32), []
    for env in envs:
        env.reset(seed=0)
        env.step(action)
        masked = env.reset(options={"reset_mask": mask})[1]
        stepped = [env.step(action)[4] for _ in range(3)]
        told.append([masked, *stepped, stepped[1]["final_info"]])
    for own, reference in zip(*told, strict=True):
        assert set(own) == set(reference)
        for key in (key for key in own if key.startswith("_")):
            assert own[key].tolist() == reference[key].tolist(), key


def test_every_env_has_an_action_space_of_its_own():
    model = tiny_world_model()
    one, other = DreamEnv(model), DreamEnv(model)
    one.action_space.seed(0)
    expected = one.action_space.sample()
    one.action_space.seed(0)
    other.action_space.seed(1)
    assert np.array_equal(one.action_space.sample(), expected)


@pytest.mark.parametrize(("limit", "length"), [(15, 15), (3, 3), (-1, 20)])
def test_a_time_limit_may_be_longer_than_the_real_environments(limit, length):
    env = gym.make("worldmodel/Dream-v0", checkpoint=tiny_world_model(), time_limit=limit)
    vector = DreamVectorEnv(tiny_world_model(), 1, max_episode_steps=limit)
    env.reset(seed=0)
    vector.reset(seed=0)
    for t in range(1, length + 1):
        truncated = env.step(np.zeros(2, np.float32))[3]
        assert truncated == vector.step(np.zeros((1, 2), np.float32))[3][0] == (t == limit)


def test_one_dream_past_its_end_asks_for_a_reset():
    env = DreamEnv(tiny_world_model(max_episode_steps=1))
    env.reset(seed=1)
    env.step(np.zeros(2, np.float32))
    one_sentence(lambda: env.step(np.zeros(2, np.float32)), r"^The dream has ended: call reset\(\)\.$")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_inference_steps": 1.5}, "num_inference_steps"),
        ({"num_inference_steps": True}, "num_inference_steps"),
        ({"max_episode_steps": 0}, "-1 for no limit"),
        ({"max_episode_steps": -2}, "-1 for no limit"),
        ({"max_episode_steps": 2.5}, "-1 for no limit"),
        ({"num_envs": 0}, "num_envs"),
        ({"num_envs": "2"}, "num_envs"),
        ({"autoreset_mode": "sometimes"}, "NextStep, SameStep, Disabled"),
        ({"autoreset_mode": None}, "NextStep, SameStep, Disabled"),
        ({"checkpoint": 3}, "type int"),
        ({"device": "gpu"}, "give 'cpu'"),
        ({"device": "cuda:99"}, "give 'cpu'"),
        ({"device": "meta"}, "is on cpu"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, message):
    one_sentence(lambda: DreamVectorEnv(**{"checkpoint": tiny_world_model(), **arguments}), message)
