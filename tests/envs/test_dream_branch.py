"""Branches: many futures of one moment, or one of each of many, in one batched rollout that touches nothing else."""

import gymnasium as gym
import numpy as np
import pytest
from tiny_world import SIZE, tiny_world_model

from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.errors import WorldModelError

K, H = 4, 6
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (K, H, 2)).astype(np.float32)
DICT = gym.spaces.Dict(
    {"aim": gym.spaces.Box(-1, 1, (2,), np.float32), "fire": gym.spaces.Discrete(2, start=1)}
)
TUPLE = gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Box(-1, 1, (2,), np.float32)])


def one_sentence(call, match):
    with pytest.raises(WorldModelError, match=match) as error:
        call()
    assert "\n" not in str(error.value)


def vector(count, **settings):
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=20), count, autoreset_mode="Disabled", **settings)
    env.reset(seed=3)
    env.step(np.full((count, 2), 0.3, np.float32))
    return env


def test_k_states_pair_up_with_k_sequences_and_are_what_stepping_brings():
    env = vector(K, obs_type="features")
    snapshot = env.get_state()
    futures = env.branch(snapshot, ACTIONS)
    assert futures.frames.shape == (K, H, SIZE, SIZE, 3) and futures.frames.dtype == np.uint8
    for step in range(H):
        observation, rewards, terminated, truncated, info = env.step(ACTIONS[:, step])
        assert np.array_equal(futures.frames[:, step], env.get_state().frames)
        assert np.array_equal(futures.rewards[:, step], rewards)
        assert np.array_equal(futures.terminated[:, step], terminated)
        assert np.array_equal(futures.truncated[:, step], truncated)
        assert np.array_equal(futures.uncertainty[:, step], info["uncertainty"])
    assert np.array_equal(futures.features, observation)
    assert futures.end.to_bytes() == env.get_state().to_bytes()
    assert futures.alive.all()


def test_one_state_fans_out_and_the_running_dreams_are_not_touched():
    env = vector(2)
    before = env.get_state()
    futures = env.branch(before.select(1), ACTIONS)
    assert env.get_state().to_bytes() == before.to_bytes()
    for index in range(K):
        alone = env.branch(before.select(1), ACTIONS[index : index + 1])
        assert np.abs(futures.frames[index].astype(int) - alone.frames[0]).max() <= 1
    same = env.branch(before.select(1), np.repeat(ACTIONS[:1], K, axis=0))
    assert np.array_equal(same.frames[0], same.frames[1]), "the same chance, so only actions differ"


def test_seeds_give_branches_chances_of_their_own():
    env = vector(1)
    snapshot, still = env.get_state(), np.zeros((3, H, 2), np.float32)
    own = env.branch(snapshot, still, seeds=5)
    assert not np.array_equal(own.frames[0], own.frames[1])
    shifted = env.branch(snapshot, still, seeds=[6, 7, None])
    assert np.abs(own.frames[1].astype(int) - shifted.frames[0]).max() <= 1
    assert np.array_equal(shifted.frames[2], env.branch(snapshot, still).frames[2])
    assert own.end.episodes.seed.tolist() == [5, 6, 7]
    one_sentence(lambda: env.branch(snapshot, still, seeds=[1, 2]), "2 seeds were given for 3")


def test_a_branch_goes_on_after_its_end_and_alive_tells_what_counts():
    env = DreamEnv(tiny_world_model(max_episode_steps=3))
    env.reset(seed=0)
    futures = env.branch(env.get_state(), ACTIONS[:1])
    assert futures.truncated[0].tolist() == [False, False, True, True, True, True]
    assert futures.alive[0].tolist() == [True, True, True, False, False, False]
    assert futures.end.episodes.ended.tolist() == [True]
    ends = DreamEnv(tiny_world_model(ends=True))
    ends.reset(seed=0)
    futures = ends.branch(ends.get_state(), ACTIONS)
    assert futures.terminated.all() and futures.alive.sum() == K


def test_nothing_counts_of_a_branch_from_a_dream_that_is_over():
    env = DreamEnv(tiny_world_model(max_episode_steps=3))
    env.reset(seed=0)
    first = env.branch(env.get_state(), ACTIONS[:1])
    second = env.branch(first.end, ACTIONS[:1])
    assert not first.over.any() and second.over.all() and not second.alive.any()
    assert second.end.episodes.ended.all()


def test_a_branch_does_not_share_its_figures_with_its_end():
    env = vector(K)
    futures = env.branch(env.get_state(), ACTIONS)
    before = futures.end.to_bytes()
    for name in ("frames", "rewards", "uncertainty", "features", "over", "terminated", "truncated"):
        getattr(futures, name)[:] = 1
    assert futures.end.to_bytes() == before


def test_ends_of_branches_can_be_set_and_branched_on():
    env = vector(K)
    snapshot = env.get_state()
    whole = env.branch(snapshot, ACTIONS)
    half = env.branch(snapshot, ACTIONS[:, :3])
    rest = env.branch(half.end, ACTIONS[:, 3:])
    assert np.array_equal(whole.frames[:, 3:], rest.frames)
    observation, info = env.set_state(half.end)
    assert np.array_equal(observation, half.frames[:, -1]) and info["step"].tolist() == [4] * K


def test_another_number_of_passes():
    env = vector(1)
    snapshot = env.get_state()
    once = env.branch(snapshot, ACTIONS[:1], num_inference_steps=1)
    assert not np.array_equal(once.frames, env.branch(snapshot, ACTIONS[:1]).frames)
    assert np.isinf(once.uncertainty).all()
    one_sentence(lambda: env.branch(snapshot, ACTIONS[:1], num_inference_steps=0), "num_inference_steps")


@pytest.mark.parametrize("space", [DICT, TUPLE, gym.spaces.Discrete(3), gym.spaces.MultiBinary(2)], ids=str)
def test_actions_of_every_space(space):
    env = DreamEnv(tiny_world_model(space))
    env.action_space.seed(0)
    env.reset(seed=0)
    snapshot = env.get_state()
    lists = [[env.action_space.sample() for _ in range(H)] for _ in range(K)]
    stored = np.stack([[env.vector.codec.store(action) for action in row] for row in lists])
    forms = [lists, stored]
    if isinstance(space, gym.spaces.Dict):
        forms.append({key: np.array([[action[key] for action in row] for row in lists]) for key in space})
    if isinstance(space, gym.spaces.Tuple):
        forms.append(tuple(np.array([[action[i] for action in row] for row in lists]) for i in range(2)))
    frames = [env.branch(snapshot, form).frames for form in forms]
    assert all(np.array_equal(each, frames[0]) for each in frames)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((3, 2)), "K sequences of h actions"),
        (np.zeros((3, 5, 3)), "K sequences of h actions"),
        (np.zeros((0, 5, 2)), "at least one"),
        (np.zeros((3, 0, 2)), "at least one"),
        (np.full((3, 5, 2), 2.0), "outside of"),
        (np.full((3, 5, 2), np.nan), "holds nan"),
        ([[[0.0, 0.0]], []], "lists of equal lengths"),
        ("left", "K sequences of h actions"),
        (None, "K sequences of h actions"),
    ],
)
def test_bad_sequences_are_one_sentence(actions, message):
    env = vector(1)
    before = env.get_state()
    one_sentence(lambda: env.branch(before, actions), message)
    assert env.get_state().to_bytes() == before.to_bytes()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"aim": np.zeros((3, 5, 2)), "fire": np.ones((3, 4), int)}, "same two dimensions"),
        ({"aim": np.zeros((3, 2)), "fire": np.ones(3, int)}, "same two dimensions"),
        ({"aim": np.zeros((3, 5, 2))}, "must be one dict of arrays with the keys"),
        ({"aim": np.zeros((3, 5, 2)), "fire": np.full((3, 5), 9)}, "holds 9"),
        ([{"aim": np.zeros(2), "fire": 1}], "K sequences of h actions"),
        ([[{"aim": np.zeros(2), "fire": 1}], []], "ragged"),
        (7, "list of actions"),
    ],
)
def test_bad_composite_sequences_are_one_sentence(actions, message):
    env = DreamEnv(tiny_world_model(DICT))
    env.reset(seed=0)
    one_sentence(lambda: env.branch(env.get_state(), actions), message)


def test_states_that_are_neither_one_nor_as_many_as_sequences():
    env = vector(2)
    one_sentence(lambda: env.branch(env.get_state(), ACTIONS), "snapshot of 2 dreams was given for 4")
    one_sentence(lambda: env.branch(None, ACTIONS), "type NoneType")
