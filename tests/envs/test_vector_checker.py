import gymnasium as gym
import numpy as np
import pytest
import torch
from broken_episodes import BROKEN
from broken_vector_envs import Broken
from drift_env import ACTIONS, OBSERVATIONS, DriftEnv, DriftVectorEnv
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from tiny_world import tiny_world_model

from worldmodel.envs.checker.vector_checker import CHECKS, VectorEnvError, check_vector_env
from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.errors import WorldModelError
from worldmodel.model.world_model import WorldModel

STEPS = 14
CASES = [(broken, mode) for broken in BROKEN for mode in broken.modes]
DREAMS = {  # action space, bias of the termination head
    "box": (gym.spaces.Box(-1.0, 1.0, (2,), np.float32), 30.0),
    "discrete": (gym.spaces.Discrete(5, start=1), 60.0),
}
MODES = pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)


@MODES
@pytest.mark.parametrize(("kind", "act"), list(zip(OBSERVATIONS, [*ACTIONS, "box"], strict=True)))
def test_a_right_environment_passes(kind, act, mode):
    passed = check_vector_env(
        lambda n: DriftVectorEnv(n, mode, kind, act, "rgb_array"), lambda: DriftEnv(kind, act), steps=STEPS
    )
    assert passed == tuple(CHECKS)


@pytest.mark.parametrize(
    ("broken", "mode"), CASES, ids=[f"{broken.env.__name__}-{mode.name}" for broken, mode in CASES]
)
def test_a_broken_environment_is_told_what_is_broken(broken: Broken, mode: AutoresetMode):
    with pytest.raises(VectorEnvError, match=broken.message) as error:
        check_vector_env(lambda n: broken.env(n, mode, render_mode="rgb_array"), DriftEnv, steps=STEPS)
    assert error.value.check == broken.check
    assert str(error.value).startswith(f"{broken.check}: ") and "\n" not in str(error.value)


def test_every_check_has_an_environment_that_breaks_it():
    assert {broken.check for broken in BROKEN} == set(CHECKS)


@MODES
def test_gymnasiums_sync_vector_env_passes(mode):
    def make(n):
        return SyncVectorEnv([lambda: gym.make("CartPole-v1")] * n, autoreset_mode=mode)

    assert check_vector_env(make, lambda: gym.make("CartPole-v1"), steps=40) == tuple(CHECKS)


@MODES
def test_gymnasiums_sync_vector_env_of_chance_and_composite_spaces_passes(mode):
    def make(n):
        return SyncVectorEnv([lambda: DriftEnv("dict", "dict", "rgb_array")] * n, autoreset_mode=mode)

    check_vector_env(make, lambda: DriftEnv("dict", "dict"), steps=STEPS)


@pytest.mark.slow
@MODES
def test_gymnasiums_async_vector_env_passes(mode):
    def make(n):
        return AsyncVectorEnv([lambda: DriftEnv("dict", "dict", "rgb_array")] * n, autoreset_mode=mode)

    check_vector_env(make, lambda: DriftEnv("dict", "dict"), steps=STEPS)


def test_gymnasiums_cartpole_vector_env_has_one_stream_for_all_members():
    """A finding, not a wish: no member can be seeded by itself, and each depends on when the others end."""
    shared = ["close", "independence", "int_seed", "list_seeds", "batch_size", "parity"]

    def make(n):
        return gym.make_vec("CartPole-v1", n, vectorization_mode="vector_entry_point")

    check_vector_env(make, lambda: gym.make("CartPole-v1"), steps=40, skip=shared)
    for name in shared:
        with pytest.raises(VectorEnvError, match=f"^{name}: "):
            check_vector_env(make, lambda: gym.make("CartPole-v1"), steps=40, skip=set(CHECKS) - {name})


def test_episodes_that_do_not_end_are_not_checked_in_silence():
    def make(n):
        return DriftVectorEnv(n, AutoresetMode.SAME_STEP)

    with pytest.raises(VectorEnvError, match=r"no episode ended within 2 steps.*give more steps"):
        check_vector_env(make, steps=2, seed=6)


def test_arguments_that_check_nothing_are_refused():
    with pytest.raises(WorldModelError, match="no check 'seeds' to skip: the checks are metadata"):
        check_vector_env(lambda n: None, skip=["seeds"])
    with pytest.raises(WorldModelError, match="at least 2 of each"):
        check_vector_env(lambda n: None, num_envs=1)


def dream(name: str, max_episode_steps: int = 4) -> WorldModel:
    """A tiny dream that the termination head ends after a few steps, each member at another time."""
    space, bias = DREAMS[name]
    model = tiny_world_model(space, max_episode_steps=max_episode_steps)
    head = model.network.termination
    with torch.no_grad():
        head.weight.copy_(30.0 * torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0)))
        head.bias.fill_(bias)
    return model


def check_dream(
    model: WorldModel, mode: AutoresetMode, num_envs: int, steps: int, **arguments: object
) -> None:
    passed = check_vector_env(
        lambda n: DreamVectorEnv(model, n, autoreset_mode=mode, render_mode="rgb_array", **arguments),
        lambda: DreamEnv(model, **arguments),
        num_envs=num_envs,
        steps=steps,
        atol=1e-4,  # sums of another order, in batches of another size
        atol_uint8=1,
    )
    assert passed == tuple(CHECKS)


@MODES
def test_a_dream_passes(mode):
    check_dream(dream("box"), mode, 2, 5, obs_type="both")


def test_a_dream_of_a_discrete_world_passes():
    check_dream(dream("discrete"), AutoresetMode.SAME_STEP, 2, 5)


@pytest.mark.slow
@MODES
@pytest.mark.parametrize(("name", "obs_type"), [("box", "frames"), ("box", "features"), ("discrete", "both")])
def test_a_dream_passes_for_longer(name, obs_type, mode):
    check_dream(dream(name, 12), mode, 3, 25, obs_type=obs_type)
