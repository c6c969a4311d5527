"""One model steps the dreams of all, and none is changed by its neighbours."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.play.engine import Dream, Due, Engine, Imagined


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny_world_model(max_episode_steps=None), threads=1)


def dream(engine: Engine, seed: int) -> Dream:
    contexts = engine.model.contexts
    number = seed % len(contexts)
    return Dream.at(engine.begin(contexts.frames[number].numpy(), contexts.actions[number].numpy(), seed))


def action(seed: int, t: int) -> np.ndarray:
    return np.random.default_rng((seed, t)).uniform(-1, 1, 2).astype(np.float32)


def alone(engine: Engine, seed: int, steps: int, passes: int = 2) -> list[Imagined]:
    made = dream(engine, seed)
    return [engine.step([Due(made, action(seed, t), passes)])[0] for t in range(steps)]


def near(one: Imagined, other: Imagined) -> bool:
    apart = np.abs(one.frame.astype(int) - other.frame.astype(int)).max()
    return apart <= 1 and abs(one.reward - other.reward) < 1e-4


def test_eight_dreams_are_one_batch_and_each_is_what_it_is_alone(engine: Engine) -> None:
    dreams = [dream(engine, seed) for seed in range(8)]
    expected = [alone(engine, seed, 6) for seed in range(8)]
    with patch.object(engine.model, "step", wraps=engine.model.step) as step:
        for t in range(6):
            found = engine.step([Due(made, action(k, t), 2) for k, made in enumerate(dreams)])
            assert all(near(found[k], expected[k][t]) for k in range(8)), t
    assert [len(call.args[0]) for call in step.call_args_list] == [8] * 6


def test_dreams_come_and_go_and_are_the_same_dreams(engine: Engine) -> None:
    """Gathered, scattered, alone again, in another order: nothing of it is seen in a dream."""
    expected = {seed: alone(engine, seed, 8) for seed in range(3)}
    dreams, done = {seed: dream(engine, seed) for seed in range(3)}, dict.fromkeys(range(3), 0)
    for group in ([0, 1, 2], [0, 1], [2], [2, 0], [1, 0, 2], [0, 1, 2], [1], [0], [2, 1, 0]):
        due = [Due(dreams[seed], action(seed, done[seed]), 2) for seed in group]
        for seed, found in zip(group, engine.step(due), strict=True):
            assert near(found, expected[seed][done[seed]]), (group, seed)
            done[seed] += 1


def test_a_dream_alone_is_stepped_without_a_copy_and_bit_for_bit_again(engine: Engine) -> None:
    one, other = alone(engine, 4, 5), alone(engine, 4, 5)
    assert all(np.array_equal(a.frame, b.frame) for a, b in zip(one, other, strict=True))
    made = dream(engine, 0)
    state = made.state
    engine.step([Due(made, action(0, 0), 2)])
    assert made.state is state


def test_sessions_with_other_passes_are_batches_of_their_own(engine: Engine) -> None:
    dreams = [dream(engine, seed) for seed in range(4)]
    with patch.object(engine.model, "step", wraps=engine.model.step) as step:
        due = [Due(made, action(k, 0), 1 + k % 2) for k, made in enumerate(dreams)]
        found = engine.step(due)
    assert sorted((len(call.args[0]), call.args[2]) for call in step.call_args_list) == [(2, 1), (2, 2)]
    for k, made in enumerate(found):
        assert near(made, alone(engine, k, 1, passes=1 + k % 2)[0])


def test_a_dream_of_the_batch_can_be_forgotten(engine: Engine) -> None:
    dreams = [dream(engine, seed) for seed in range(3)]
    engine.step([Due(made, action(k, 0), 2) for k, made in enumerate(dreams)])
    engine.forget(dreams[1])
    found = engine.step([Due(dreams[0], action(0, 1), 2), Due(dreams[2], action(2, 1), 2)])
    assert near(found[0], alone(engine, 0, 2)[1]) and near(found[1], alone(engine, 2, 2)[1])


def test_the_number_of_threads_is_measured_where_none_is_given() -> None:
    engine = Engine(tiny_world_model())
    assert 1 <= engine.threads <= max(1, torch.get_num_threads() - 1)
    engine.close()
