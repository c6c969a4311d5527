"""Snapshots: the same actions bring the same dream again, resets included; files say what is wrong with them."""

import json
import struct

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.envs.dream import DreamEnv, DreamSnapshot, DreamVectorEnv, TruncatedBy
from worldmodel.envs.dream.snapshot import FORMAT
from worldmodel.errors import WorldModelError

MODES = ["SameStep", "NextStep", "Disabled"]


def one_sentence(call, match):
    with pytest.raises(WorldModelError, match=match) as error:
        call()
    assert "\n" not in str(error.value)


def equal(one, other):
    if isinstance(one, dict):
        assert set(one) == set(other)
        return all(equal(one[key], other[key]) for key in one)
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype == object:
        return all(
            a is b or equal(a, b) if isinstance(a, np.ndarray | dict) else a == b
            for a, b in zip(one, other, strict=True)
        )
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def play(env, steps, shape=(2, 2)):
    """12 steps go through a reset of every dream in the modes that reset by themselves."""
    rng, seen = np.random.default_rng(0), []
    for _ in range(steps):
        seen.append(env.step(rng.uniform(-1, 1, shape).astype(np.float32)))
    return seen


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("obs_type", ["frames", "both"])
def test_the_same_actions_bring_the_same_dream_again(mode, obs_type):
    model = tiny_world_model(max_episode_steps=5 if mode != "Disabled" else 50)
    env, fresh = (DreamVectorEnv(model, 2, autoreset_mode=mode, obs_type=obs_type) for _ in range(2))
    env.reset(seed=1)
    first, first_info = env.step(np.ones((2, 2), np.float32))[::4]
    snapshot = env.get_state()
    expected = play(env, 12)
    for each in (env, fresh):  # one that was stepped on, one that was never reset
        observation, info = each.set_state(snapshot)
        assert equal(observation, first) and equal(info, first_info)
        for seen, known in zip(play(each, 12), expected, strict=True):
            for a, b in zip(seen, known, strict=True):
                assert equal(a, b)
    assert equal(env.reset()[0], fresh.reset()[0]), "later resets follow from the snapshot too"


def test_a_snapshot_of_a_start_and_of_an_end():
    env = DreamEnv(tiny_world_model(max_episode_steps=1))
    frame, info = env.reset(seed=2)
    snapshot = env.get_state()
    env.step(np.zeros(2, np.float32))
    end = env.get_state()
    again = env.set_state(snapshot)
    assert np.array_equal(again[0], frame) and equal(again[1], info)
    assert env.set_state(end)[1]["truncated_by"] == TruncatedBy.TIME_LIMIT
    one_sentence(lambda: env.step(np.zeros(2, np.float32)), "has ended")
    same_step = DreamVectorEnv(env.vector.model, 1)
    one_sentence(lambda: same_step.set_state(end), "have ended")
    next_step = DreamVectorEnv(env.vector.model, 1, autoreset_mode="NextStep")
    next_step.set_state(end)
    assert next_step.step(np.zeros((1, 2), np.float32))[4]["step"].tolist() == [0]


def test_a_snapshot_never_changes(tmp_path):
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=3), 2)
    env.reset(seed=1)
    snapshot = env.get_state()
    before = snapshot.to_bytes()
    play(env, 7)
    env.set_state(snapshot)
    play(env, 7)
    env.branch(snapshot, np.zeros((2, 3, 2), np.float32), seeds=3)
    assert snapshot.to_bytes() == before
    assert np.array_equal(DreamSnapshot.from_bytes(before).frames, snapshot.frames)


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_a_file_is_the_snapshot(tmp_path, seed):
    env = DreamVectorEnv(tiny_world_model(max_episode_steps=5), 2)
    env.reset(seed=seed)
    play(env, 3)
    snapshot = env.get_state()
    snapshot.save(tmp_path / "here" / "moment.safetensors")
    expected = play(env, 6)
    loaded = DreamSnapshot.load(tmp_path / "here" / "moment.safetensors")
    assert len(loaded) == 2 and loaded.to_bytes() == snapshot.to_bytes()
    other = DreamVectorEnv(tiny_world_model(max_episode_steps=5), 2)  # as if in another process
    other.set_state(loaded)
    assert all(
        equal(a, b)
        for one, two in zip(play(other, 6), expected, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    header = json.loads(snapshot.to_bytes()[8 : 8 + struct.unpack("<Q", snapshot.to_bytes()[:8])[0]])
    assert json.loads(header["__metadata__"][FORMAT])["frame_shape"] == [8, 8, 3], "plain JSON"


def test_dreams_are_selected_and_joined():
    model = tiny_world_model()
    env = DreamVectorEnv(model, 3)
    env.reset(seed=1)
    play(env, 2, (3, 2))
    snapshot = env.get_state()
    last = snapshot.select(2)
    assert len(last) == 1 and np.array_equal(last.frames[0], snapshot.frames[2])
    joined = DreamSnapshot.concatenate([snapshot.select([2, 0]), snapshot.select(np.array([1]))])
    assert np.array_equal(joined.frames, snapshot.frames[[2, 0, 1]])
    single = DreamEnv(model)
    single.set_state(last)
    action = np.full((3, 2), 0.5, np.float32)
    difference = single.step(action[0])[0].astype(int) - env.step(action)[0][2]
    assert np.abs(difference).max() <= 1
    for indices in (3, -1, [], [0.5], "one", [[1]], True, None):
        one_sentence(lambda indices=indices: snapshot.select(indices), "no dream|indices are")
    for snapshots in ([], [1], snapshot, None):
        one_sentence(lambda snapshots=snapshots: DreamSnapshot.concatenate(snapshots), "at least one")


def test_a_snapshot_is_itself_and_prints_as_one_line():
    """Comparing tensors raised, and printing one filled a thousand lines."""
    env = DreamVectorEnv(tiny_world_model(), 2)
    env.reset(seed=1)
    one, other = env.get_state(), env.get_state()
    assert one == one and one != other and len({one, other, one}) == 2
    assert one.to_bytes() == other.to_bytes()
    assert repr(one).startswith("DreamSnapshot(dreams=2, frame_shape=(8, 8, 3)")
    assert len(repr(one)) < 100


def test_another_number_format_is_cast():
    model = tiny_world_model()
    env, half = DreamEnv(model), DreamEnv(tiny_world_model().to("cpu", "bfloat16"))
    env.reset(seed=1)
    frame = half.set_state(env.get_state())[0]
    assert np.array_equal(frame, env.render() if env.render_mode else env.get_state().frames[0])
    assert half.get_state().state.memory.keys.dtype == torch.bfloat16
    action = np.ones(2, np.float32)
    assert np.abs(half.step(action)[0].astype(int) - env.step(action)[0]).mean() < 10
    env.set_state(half.get_state())
    assert env.get_state().state.memory.keys.dtype == torch.float32


def other_weights():
    model = tiny_world_model()
    model.network.reward.logits.weight.data += 0.1
    return model


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (lambda: tiny_world_model(gym.spaces.Discrete(2)), "another world, or with other weights"),
        (other_weights, "another world, or with other weights"),
    ],
)
def test_a_snapshot_of_another_world_is_refused_and_harms_nothing(world, message):
    foreign = DreamVectorEnv(world(), 2)
    foreign.reset(seed=0)
    env = DreamVectorEnv(tiny_world_model(), 2)
    env.reset(seed=0)
    before = env.get_state().to_bytes()
    one_sentence(lambda: env.set_state(foreign.get_state()), message)
    one_sentence(lambda: env.branch(foreign.get_state(), np.zeros((2, 1, 2), np.float32)), message)
    one_sentence(lambda: env.set_state(env.get_state().select(0)), "holds 1 dreams and the environment 2")
    one_sentence(lambda: env.set_state(before), "type bytes")
    one_sentence(lambda: DreamVectorEnv(tiny_world_model(), 2).get_state(), r"reset\(\) before get_state")
    joined = [env.get_state(), foreign.get_state()]
    one_sentence(lambda: DreamSnapshot.concatenate(joined), "all are of one world")
    assert env.get_state().to_bytes() == before


def test_a_start_from_one_frame_cannot_be_shown_as_features():
    model = tiny_world_model()
    env = DreamEnv(model)
    env.reset(options={"frames": np.zeros((1, 8, 8, 3), np.uint8)})
    features = DreamEnv(model, obs_type="features")
    one_sentence(lambda: features.set_state(env.get_state()), "single frame")
    env.step(np.zeros(2, np.float32))
    assert np.isfinite(features.set_state(env.get_state())[0]).all()


def test_a_start_from_one_frame_has_no_expected_error_to_bound():
    """It was taken, and every later step was truncated by an uncertainty that nobody knew."""
    model = tiny_world_model()
    env = DreamEnv(model)
    env.reset(options={"frames": np.zeros((1, 8, 8, 3), np.uint8)})
    env.step(np.zeros(2, np.float32))
    bounded = DreamEnv(model, truncate_on_uncertainty=40.0)
    one_sentence(lambda: bounded.set_state(env.get_state()), "single frame")
    actions = np.zeros((1, 2, 2), np.float32)
    one_sentence(lambda: bounded.branch(env.get_state(), actions), "single frame")
    env.reset(seed=0)
    bounded.set_state(env.get_state())
    bounded.branch(env.get_state(), actions)


def rewritten(data, **changes):
    """The file with other words in its header."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    content = json.loads(header["__metadata__"][FORMAT]) | changes
    header["__metadata__"][FORMAT] = json.dumps(content)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def test_a_damaged_file_says_so(tmp_path):
    env = DreamEnv(tiny_world_model())
    env.reset(seed=0)
    data = env.get_state().to_bytes()
    flipped = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
    for wrong in (
        flipped,
        data[:-100],
        data[:50],
        b"",
        b"hello",
        rewritten(data, fits="0"),
        rewritten(data, window=1),
    ):
        one_sentence(lambda wrong=wrong: DreamSnapshot.from_bytes(wrong), "damaged")
    assert DreamSnapshot.from_bytes(memoryview(data)).to_bytes() == data
    one_sentence(lambda: DreamSnapshot.from_bytes(rewritten(data, version=2)), "newer version")
    one_sentence(lambda: DreamSnapshot.from_bytes(rewritten(data, version="x")), "damaged")
    one_sentence(lambda: DreamSnapshot.load(tmp_path / "none"), "cannot be read")
    (tmp_path / "bad").write_bytes(flipped)
    one_sentence(lambda: DreamSnapshot.load(tmp_path / "bad"), "bad is damaged")
