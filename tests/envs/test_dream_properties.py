"""Whatever a dream is given, it answers with a result of its spaces or refuses in one sentence, and a refusal leaves no
trace: it goes on exactly as another dream that was never given it."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny_world import SIZE, tiny_world_model

from worldmodel.envs.checker.rollout import EXACT, difference
from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.errors import WorldModelError
from worldmodel.model.world_model import WorldModel

COUNT = 3
SPACES = {
    "box": gym.spaces.Box(-1.0, 1.0, (2,), np.float32),
    "discrete": gym.spaces.Discrete(5, start=1),
    "multi_discrete": gym.spaces.MultiDiscrete([2, 3]),
    "multi_binary": gym.spaces.MultiBinary(3),
    "dict": gym.spaces.Dict({"aim": gym.spaces.Box(-1, 1, (2,), np.float32), "fire": gym.spaces.Discrete(2)}),
}
MODELS: dict[str, WorldModel] = {}
QUICK = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=100)

# What no action, seed, option or mask is, or only some of them are.
ODD_VALUES: list[Any] = [
    None,
    "left",
    b"left",
    {},
    [],
    (),
    [[1.0], [1.0, 2.0]],
    [None, None, None],
    {"aim": None, "fire": 1},
    {"aim": [0.0, 0.0]},
    object(),
    1 + 2j,
    np.nan,
    -np.inf,
    10**30,
    -1,
    1,
    True,
    1.5,
    {1, 2},
    torch.zeros(COUNT, 2),
    torch.ones(2, dtype=torch.bfloat16),
    torch.zeros(COUNT, 2, requires_grad=True),
    torch.zeros(COUNT, 2, device="meta"),  # as one on a GPU, NumPy cannot have it
    np.array("left"),
    np.array([None] * COUNT),
    np.array([1, "x"], object),
    np.datetime64("2026-01-01"),
    np.ma.masked_array([1.0, 2.0], [True, False]),
]
ODD = st.sampled_from(ODD_VALUES)
OPTIONS = ("context", "frames", "actions", "env", "reset_mask", "contexts")
DTYPES = st.sampled_from(["?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "O", "U3", "M8[s]"]).map(
    np.dtype
)
Call = tuple[str, Any]


def model(name: str) -> WorldModel:
    """A dream of this action space which the termination head and a short time limit end."""
    if name not in MODELS:
        made = MODELS[name] = tiny_world_model(SPACES[name], max_episode_steps=4)
        head = made.network.termination
        with torch.no_grad():
            head.weight.copy_(
                30.0 * torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0))
            )
            head.bias.fill_(30.0)
    return MODELS[name]


def odd_arrays(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Arrays of about this shape and of any type."""
    shapes = [
        shape,
        shape,
        shape[1:],
        shape[:-1],
        (1, *shape),
        (*shape, 1),
        (0, *shape[1:]),
        (COUNT + 1, *shape[1:]),
    ]
    numeric = hnp.arrays(DTYPES.filter(lambda dtype: dtype.kind != "O"), st.sampled_from(shapes))
    return numeric | numeric.filter(lambda array: array.dtype.kind != "M").map(np.ndarray.tolist)


def odd_actions(space: gym.Space) -> st.SearchStrategy[Any]:
    """Mostly no actions of the space; sometimes some are."""
    if isinstance(space, gym.spaces.Dict):
        parts = {key: odd_actions(item) | good_actions(item) for key, item in space.spaces.items()}
        return ODD | st.fixed_dictionaries(parts) | st.fixed_dictionaries({}, optional=parts)
    return ODD | odd_arrays(space.shape or ()) | good_actions(space).flatmap(one_number_spoilt)


def good_actions(space: gym.Space) -> st.SearchStrategy[Any]:
    def sample(seed: int) -> Any:
        source = copy.deepcopy(space)
        source.seed(seed)
        return source.sample()

    return st.integers(0, 2**16).map(sample)


def one_number_spoilt(action: Any) -> st.SearchStrategy[Any]:
    def spoil(number: float, place: int, dtype: np.dtype) -> Any:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            spoilt = np.array(action).astype(dtype)
            spoilt.reshape(-1)[place % spoilt.size] = number
        return spoilt

    numbers = st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 1.0000001, 1.01, 2.0, 1e9, 1e-30, -0.0, 0.5])
    return st.builds(spoil, numbers, st.integers(0, 9), st.sampled_from([np.dtype("f8"), np.dtype("f4")]))


SEEDS = (
    st.integers(0, 3)
    | st.integers(-(2**70), 2**70)
    | st.lists(st.none() | st.integers(0, 9), min_size=COUNT - 1, max_size=COUNT + 1)
)
MASKS = (
    hnp.arrays(bool, (COUNT,)) | hnp.arrays(bool, (COUNT - 1,)) | st.lists(st.booleans(), max_size=COUNT + 1)
)
FRAMES = st.builds(
    lambda lead, size, dtype: np.zeros((*lead, size, size, 3), dtype),
    st.sampled_from([(), (0,), (1,), (2,), (3,), (1, 2), (COUNT, 2), (COUNT + 1, 1), (2, 1, 1)]),
    st.sampled_from([SIZE, SIZE, SIZE, SIZE + 1]),
    st.sampled_from([np.uint8, np.uint8, np.uint8, np.float32, np.int64, bool]),
)


def odd_options(space: gym.Space) -> st.SearchStrategy[Any]:
    keys = {
        "context": ODD | st.integers(-2, 7) | st.lists(st.integers(-1, 5), max_size=COUNT + 1),
        "frames": ODD | FRAMES,
        "actions": ODD | st.lists(good_actions(space), max_size=3) | st.lists(odd_actions(space), max_size=3),
        "env": ODD,
        "reset_mask": ODD | MASKS,
        "contexts": st.just(1),
    }
    one = st.sampled_from(sorted(keys)).flatmap(lambda key: keys[key].map(lambda value: {key: value}))
    start = st.fixed_dictionaries(
        {"frames": FRAMES, "actions": keys["actions"]}, optional={"reset_mask": MASKS}
    )
    return ODD | one | start | st.fixed_dictionaries({"context": keys["context"], "reset_mask": MASKS})


def calls(space: gym.Space, single: gym.Space) -> st.SearchStrategy[list[Call]]:
    """A stream of calls: steps, some of them with odd actions, and resets at any moment, some of them odd."""
    steps = st.tuples(st.just("step"), good_actions(space))
    odd_steps = st.tuples(st.just("step"), odd_actions(space))
    options = st.none() | st.fixed_dictionaries(
        {}, optional={"reset_mask": MASKS, "context": st.integers(0, 4)}
    )
    resets = st.fixed_dictionaries({"seed": st.none() | SEEDS, "options": options})
    odd_resets = st.fixed_dictionaries({"seed": SEEDS | ODD, "options": st.none() | odd_options(single)})
    reset = st.tuples(st.just("reset"), resets | odd_resets)
    return st.lists(st.one_of(steps, steps, odd_steps, odd_steps, reset), min_size=1, max_size=8)


def answer(env: Any, call: Call) -> Any:
    """What the environment returns; None when it refuses, in one sentence of ours."""
    name, arguments = copy.deepcopy(call)
    try:
        result = env.reset(**arguments) if name == "reset" else env.step(arguments)
    except WorldModelError as error:
        assert str(error).strip() and "\n" not in str(error)
        return None
    assert result[0] in env.observation_space
    if name == "step":
        assert np.isfinite(result[1]).all()
        assert all(np.asarray(flag).dtype == bool for flag in result[2:4])
    return result


def goes_on_undisturbed(make: Callable[[], Any], stream: list[Call], action: Any) -> None:
    """Every call that the one answers is given to the other too, and every answer is the same."""
    env, other = make(), make()
    for each in (env, other):
        each.reset(seed=7)
    usable = [("reset", {"seed": 3}), ("step", action)]
    for number, call in enumerate([*stream, *usable]):
        if (result := answer(env, call)) is not None:
            found = difference(result, answer(other, call), EXACT, "the answer")
            assert found is None, found
        else:
            assert number < len(stream), f"refused {call}"


def vector_property(name: str, mode: AutoresetMode, obs_type: str, stream: list[Call], action: Any) -> None:
    def make() -> DreamVectorEnv:
        return DreamVectorEnv(
            model(name), COUNT, autoreset_mode=mode, obs_type=obs_type, truncate_on_uncertainty=40.0
        )

    goes_on_undisturbed(make, stream, action)


def vector_arguments(name: str) -> dict[str, st.SearchStrategy[Any]]:
    batch = batch_space(SPACES[name], COUNT)
    return {
        "mode": st.sampled_from(AutoresetMode),
        "obs_type": st.sampled_from(["frames", "features", "both"]),
        "stream": calls(batch, SPACES[name]),
        "action": good_actions(batch),
    }


def odd_everywhere() -> list[Call]:
    """Every odd value in every place."""
    stream: list[Call] = []
    for odd in ODD_VALUES:
        stream += [("step", odd), ("step", {"aim": odd, "fire": odd})]
        stream += [("reset", {"seed": odd}), ("reset", {"options": odd}), ("reset", {"seed": [0, odd, 1]})]
        stream += [("reset", {"options": {option: odd}}) for option in OPTIONS]
        start = {"frames": np.zeros((3, SIZE, SIZE, 3), np.uint8)}
        stream += [("reset", {"options": {**start, "actions": odd}})]
        stream += [("reset", {"options": {**start, "actions": [odd, odd]}})]
    return stream


def single_arguments(name: str) -> dict[str, st.SearchStrategy[Any]]:
    return {"stream": calls(SPACES[name], SPACES[name]), "action": good_actions(SPACES[name])}


def run_vector(name: str, profile: settings) -> None:
    @profile
    @given(**vector_arguments(name))
    def check(mode: AutoresetMode, obs_type: str, stream: list[Call], action: Any) -> None:
        vector_property(name, mode, obs_type, stream, action)

    check()


def run_single(name: str, profile: settings) -> None:
    @profile
    @given(**single_arguments(name))
    def check(stream: list[Call], action: Any) -> None:
        goes_on_undisturbed(lambda: DreamEnv(model(name)), stream, action)

    check()


@pytest.mark.parametrize("name", SPACES)
def test_every_odd_value_in_every_place_is_answered_or_refused(name):
    for make, space in (
        (lambda: DreamEnv(model(name)), SPACES[name]),
        (lambda: DreamVectorEnv(model(name), COUNT), batch_space(SPACES[name], COUNT)),
    ):
        space.seed(0)
        goes_on_undisturbed(make, odd_everywhere(), space.sample())


@pytest.mark.parametrize("name", SPACES)
def test_a_batch_of_dreams_answers_or_refuses_and_goes_on(name):
    run_vector(name, QUICK)


@pytest.mark.parametrize("name", SPACES)
def test_a_dream_answers_or_refuses_and_goes_on(name):
    run_single(name, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_batch_of_dreams_answers_or_refuses_whatever_comes(name):
    run_vector(name, LONG)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_dream_answers_or_refuses_whatever_comes(name):
    run_single(name, LONG)
