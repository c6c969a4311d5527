"""Spaces survive JSON, and actions survive being stored and encoded."""

import json
from collections import OrderedDict
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from worldmodel.errors import WorldModelError
from worldmodel.spaces import ActionCodec, space_from_json, space_to_json

NESTED = spaces.Dict(
    OrderedDict(
        zeta=spaces.Box(-3.0, 1.0, (2, 2), np.float32),
        alpha=spaces.Tuple([spaces.Discrete(3, start=-1), spaces.MultiBinary(2)]),
        many=spaces.MultiDiscrete([2, 4]),
    )
)
SPACES = {
    "box": spaces.Box(-1.0, 1.0, (2,), np.float32),
    "box of unequal bounds": spaces.Box(np.array([0.0, -5.0]), np.array([1.0, 20.0]), dtype=np.float64),
    "scalar box": spaces.Box(-2.0, 2.0, (), np.float32),
    "integer box": spaces.Box(0, 255, (3,), np.uint8),
    "unbounded box": spaces.Box(-np.inf, np.inf, (2,), np.float32),
    "half-bounded box": spaces.Box(np.float32([0.0, -1.0]), np.float32([np.inf, 1.0]), dtype=np.float32),
    "discrete": spaces.Discrete(4),
    "discrete from 2": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 2, 5], start=[0, -1, 7]),
    "multi-discrete table": spaces.MultiDiscrete([[3, 2], [5, 4]]),
    "multi-binary": spaces.MultiBinary(4),
    "multi-binary table": spaces.MultiBinary([2, 3]),
    "tuple": spaces.Tuple([spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Discrete(3)]),
    "nested": NESTED,
}


@pytest.fixture(params=list(SPACES))
def space(request: pytest.FixtureRequest) -> gym.Space:
    return SPACES[request.param]


def samples(space: gym.Space, count: int = 20) -> list[Any]:
    space.seed(0)
    return [space.sample() for _ in range(count)]


def test_json_round_trip(space: gym.Space) -> None:
    text = json.dumps(space_to_json(space), allow_nan=False)
    again = space_from_json(json.loads(text))
    assert again == space
    assert spaces.flatten_space(again) == spaces.flatten_space(space)  # the order of a Dict, too


def test_store_and_restore(space: gym.Space) -> None:
    codec = ActionCodec(space)
    for action in samples(space):
        stored = codec.store(action)
        assert stored.shape == codec.stored_shape
        assert stored.dtype == codec.stored_dtype
        restored = codec.restore(stored)
        assert space.contains(restored) or space.contains(np.asarray(restored))
        np.testing.assert_array_equal(codec.store(restored), stored)


def test_encode_and_decode(space: gym.Space) -> None:
    codec = ActionCodec(space)
    stored = np.stack([codec.store(action) for action in samples(space)]).reshape(4, 5, *codec.stored_shape)
    encoded = codec.encode(stored)
    assert encoded.shape == (4, 5, codec.size)
    assert encoded.dtype == np.float32
    decoded = codec.decode(encoded)
    assert decoded.dtype == codec.stored_dtype
    np.testing.assert_allclose(decoded, stored, rtol=1e-5, atol=1e-5)


def test_bounded_boxes_fill_minus_one_to_one() -> None:
    codec = ActionCodec(SPACES["box of unequal bounds"])
    np.testing.assert_allclose(
        codec.encode(np.array([[0.0, -5.0], [0.5, 7.5], [1.0, 20.0]]))[:, 0], [-1, 0, 1]
    )
    np.testing.assert_allclose(
        codec.encode(np.array([[0.0, -5.0], [0.5, 7.5], [1.0, 20.0]]))[:, 1], [-1, 0, 1]
    )


def test_encodings_in_closed_form() -> None:
    assert ActionCodec(SPACES["discrete from 2"]).encode(np.array(3)).tolist() == [0, 1, 0, 0, 0]
    multi = ActionCodec(SPACES["multi-discrete"])
    assert multi.encode(np.array([2, -1, 8])).tolist() == [0, 0, 1, 1, 0, 0, 1, 0, 0, 0]
    half = ActionCodec(SPACES["half-bounded box"])
    assert half.encode(np.array([3.5, 0.5])).tolist() == [3.5, 0.5]
    both = ActionCodec(SPACES["tuple"])
    assert both.encode(both.store((np.array([-1.0, 0.5], np.float32), 2))).tolist() == [-1.0, 0.5, 0, 0, 1]


def test_decode_always_gives_a_valid_action(space: gym.Space) -> None:
    """A network's output may be anything: it is clipped, rounded, or its largest entry taken."""
    codec = ActionCodec(space)
    for wild in np.random.default_rng(0).normal(0, 5, (50, codec.size)):
        codec.check(codec.restore(codec.decode(wild)))


def test_store_many_is_store_of_each(space: gym.Space) -> None:
    codec, actions = ActionCodec(space), samples(space, 3)
    batched = concatenate(space, actions, create_empty_array(space, 3))
    assert batch_space(space, 3).contains(batched)
    np.testing.assert_array_equal(codec.store_many(batched, 3), [codec.store(action) for action in actions])
    if codec.stored_shape == () or isinstance(space, spaces.Box):
        with pytest.raises(WorldModelError, match="expected"):
            codec.store_many(batched, 4)


@pytest.mark.parametrize(
    ("name", "action", "message"),
    [
        ("box", np.zeros(3), r"has shape \(3,\), expected \(2,\)"),
        ("box", np.array([0.0, 1.5]), r"holds 1.5, which is outside of Box"),
        ("box", np.array([0.0, np.nan]), "holds nan"),
        ("box", "left", r"has shape \(\), expected \(2,\)"),
        ("box", None, r"has shape \(\), expected \(2,\)"),
        ("discrete", 4, r"holds 4, which is outside of Discrete\(4\)"),
        ("discrete from 2", 1, "holds 1, which is outside of"),
        ("discrete", 1.0, "has dtype float64, expected int64"),
        ("discrete", "left", "has dtype <U4, expected int64"),
        ("multi-binary", [0, 1, 2, 0], "holds 2"),
        ("tuple", (np.zeros(2), 3), r"The action\[1\] holds 3"),
        ("tuple", 3, "must be a tuple of 2 parts, got 3"),
        ("nested", {"zeta": 1}, "must be a dict with the keys"),
    ],
)
def test_wrong_actions_are_named(name: str, action: Any, message: str) -> None:
    with pytest.raises(WorldModelError, match=message):
        ActionCodec(SPACES[name]).store(action)


def test_bounds_hold_in_the_precision_of_the_space() -> None:
    """0.1 + 0.2 in float64 is more than float32's 0.3, but the environment will never see that."""
    ActionCodec(spaces.Box(-0.3, 0.3, (1,), np.float32)).check(np.array([0.1 + 0.2]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_there_is_no_bound_numbers_that_a_network_cannot_take_are_refused(dtype: type) -> None:
    """inf was taken, and 1e12: both made every later frame of the dream NaN, and so black, without a word."""
    largest = np.finfo(dtype).max
    for low, high in ((-np.inf, np.inf), (-largest, largest), (0, np.inf)):
        codec = ActionCodec(spaces.Box(low, high, (2,), dtype))
        codec.check(np.array([0.0, 1e4], dtype))
        for wrong in (np.inf, 2e6):
            with pytest.raises(WorldModelError, match="1000000 is the largest"):
                codec.check(np.array([0.0, wrong], dtype))
    ActionCodec(spaces.Box(-1e12, 1e12, (1,), np.float64)).check(np.array([1e12]))


def test_unsupported_spaces_are_refused() -> None:
    with pytest.raises(WorldModelError, match="Text are not supported; use Box"):
        ActionCodec(spaces.Tuple([spaces.Text(3)]))


@pytest.mark.parametrize(
    ("name", "actions", "message"),
    [
        ("box", [[0.0, 0.0], [0.0]], "ragged list"),
        ("box", np.zeros((3, 2)), r"have shape \(3, 2\), expected \(2, 2\)"),
        ("tuple", (np.zeros((2, 2)),), "tuple of 2 arrays, got 1 parts"),
        ("tuple", (np.zeros((2, 2)), [0, 1, 2]), r"The actions\[1\] have shape \(3,\), expected \(2,\)"),
        ("tuple", (np.zeros((2, 2)), [0, 3]), r"The actions\[1\] holds 3"),
        ("tuple", 3, "tuple of 2 arrays, got int"),
        ("nested", {"zeta": 1}, "keys .* got the keys"),
        ("nested", [{}, {}], "must be one dict of arrays"),
        (
            "nested",
            {"zeta": [[1.0], [[2.0, 3.0]]], "alpha": ([0, 0], np.zeros((2, 2), int)), "many": [[0, 0]] * 2},
            r"The actions\['zeta'\] came as a ragged list",
        ),
    ],
)
def test_wrong_batches_are_named(name: str, actions: Any, message: str) -> None:
    with pytest.raises(WorldModelError, match=message) as error:
        ActionCodec(SPACES[name]).store_many(actions, 2)
    assert "\n" not in str(error.value)


def test_a_ragged_action_is_named() -> None:
    with pytest.raises(WorldModelError, match="ragged list"):
        ActionCodec(SPACES["box"]).store([0.0, [1.0]])
