"""What the learner sees of dreams and of real environments: alignment, restarts, ends, number by number."""

import numpy as np
import pytest
import torch
from counting_dream import CountingDream, dream_world, level
from counting_env import SIZE as REAL_SIZE
from counting_env import read, reward_of

from worldmodel.agents.learning.worlds import RealEnvs, World, dream_envs
from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec


def newest(observation: torch.Tensor) -> torch.Tensor:
    return level(observation[:, :3])


def before(observation: torch.Tensor) -> torch.Tensor:
    return level(observation[:, 3:])


def test_a_dream_starts_from_real_contexts_with_their_velocity() -> None:
    world = dream_world(CountingDream(), num_worlds=32)
    first = world.reset(0)
    assert set(newest(first).tolist()) == {20, 40, 60, 80}
    assert torch.equal(newest(first), before(first) + 1), "x_{t-1} is the real frame before"


def test_a_dream_step_is_aligned_and_clamped() -> None:
    world = dream_world(CountingDream(), num_worlds=8, horizon=100)
    seen = newest(world.reset(0))
    step = world.step(torch.full((8, 2), 5.0))
    assert torch.equal(step.reward, 1000.0 * seen + 1.0), "r_t is paid at x_t, for the action clamped to 1"
    assert torch.equal(newest(step.observation), seen + 1)
    assert torch.equal(before(step.observation), seen)
    assert not step.terminated.any() and not step.truncated.any()


def test_dreams_are_truncated_together_and_start_anew() -> None:
    world = dream_world(CountingDream(), num_worlds=16, horizon=3)
    start = newest(world.reset(0))
    steps = [world.step(torch.zeros(16, 2)) for _ in range(4)]
    assert [bool(s.truncated.all()) for s in steps] == [False, False, True, False]
    assert torch.equal(newest(steps[2].final), start + 3), "what the dream ended on"
    assert set((newest(steps[2].observation) % 20).tolist()) == {0}, "what the next one starts with"
    assert torch.equal(newest(steps[3].observation), newest(steps[2].observation) + 1)


def test_a_dream_that_ends_is_replaced_alone() -> None:
    model = CountingDream(ends_at=22, contexts=2)  # 20 ends after two steps, 40 after four
    world = dream_world(model, num_worlds=16, horizon=100)
    start = newest(world.reset(0))
    world.step(torch.zeros(16, 2))
    step = world.step(torch.zeros(16, 2))
    assert torch.equal(step.terminated, start == 20)
    assert not step.truncated.any()
    assert (newest(step.final)[step.terminated] == 22).all()
    assert set((newest(step.observation)[step.terminated] % 20).tolist()) == {0}
    assert (newest(step.observation)[~step.terminated] == 42).all()
    assert model.begun == [16, int((start == 20).sum())]


def test_an_end_on_the_last_step_is_no_truncation() -> None:
    world = dream_world(CountingDream(ends_at=22, contexts=1), num_worlds=4, horizon=2)
    world.reset(0)
    world.step(torch.zeros(4, 2))
    step = world.step(torch.zeros(4, 2))
    assert step.terminated.all() and not step.truncated.any()


def test_dreams_depend_on_seed_and_steps_alone() -> None:
    """What makes a killed run go on as if it had not been."""
    through = dream_world(CountingDream(), num_worlds=16, horizon=2, seed=3)
    through.reset(0)
    for _ in range(4):
        last = through.step(torch.zeros(16, 2))
    resumed = dream_world(CountingDream(), num_worlds=16, horizon=2, seed=3).reset(4)
    assert torch.equal(resumed, last.observation)
    other = dream_world(CountingDream(), num_worlds=16, horizon=2, seed=4).reset(4)
    assert not torch.equal(resumed, other)


def test_a_world_without_contexts_says_so() -> None:
    with pytest.raises(WorldModelError, match="no start contexts"):
        dream_envs(CountingDream(contexts=0), 1)


def real_world(**kwargs) -> World:
    config = EnvConfig("counting_env:Counting-v0", size=REAL_SIZE, kwargs=kwargs)
    return World(RealEnvs(config, 6), seed=1)


def shown(observation: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Seeds and steps in x_t, and steps in x_{t-1}."""
    steps = [read(float_to_frames(part).numpy())[1] for part in (observation[:, :3], observation[:, 3:])]
    return steps[0], steps[1]


def test_real_episodes_show_their_first_frame_twice_and_are_aligned() -> None:
    world = real_world()
    now, previous = shown(world.reset(0))
    assert now.tolist() == previous.tolist() == [0] * 6
    action = torch.rand(6, 3) * 4 - 2
    step = world.step(action)
    now, previous = shown(step.observation)
    assert now.tolist() == [1] * 6 and previous.tolist() == [0] * 6
    expected = [reward_of(row) for row in ActionCodec(world.action_space).decode(action.numpy())]
    np.testing.assert_allclose(step.reward.numpy(), expected)
    world.close()


@pytest.mark.parametrize("discrete", [False, True])
def test_real_ends_keep_the_last_frame_and_show_the_next_first_one(discrete: bool) -> None:
    world = real_world(discrete=discrete)
    world.reset(0)
    steps = np.zeros(6, int)
    seen_ends = 0
    for _ in range(30):
        step = world.step(torch.zeros(6, ActionCodec(world.action_space).size))
        steps += 1
        ended = (step.terminated | step.truncated).numpy()
        assert not (step.terminated & step.truncated).any()
        final_now, final_previous = shown(step.final)
        assert final_now.tolist() == steps.tolist(), "the transition's own last frame"
        assert final_previous.tolist() == (steps - 1).tolist()
        steps[ended] = 0
        now, previous = shown(step.observation)
        assert now.tolist() == steps.tolist()
        assert previous.tolist() == np.maximum(steps - 1, 0).tolist()
        seen_ends += ended.sum()
    assert seen_ends >= 6
    world.close()


def test_real_episodes_depend_on_the_seed() -> None:
    worlds = [real_world() for _ in range(2)]
    assert torch.equal(worlds[0].reset(5), worlds[1].reset(5))
    assert not torch.equal(worlds[0].reset(5), worlds[1].reset(6))
