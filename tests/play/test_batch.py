"""One batch steps the dreams of all, none is changed by its neighbours, and each comes back to any of its moments."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from tiny_world import WINDOW, tiny_world_model

from worldmodel.envs.dream import DreamEnv
from worldmodel.model.dreams import Dreams
from worldmodel.model.state import DreamState
from worldmodel.play.batch import Dream, DreamBatch, Imagined, StepRequest, Trace, memory_steps, restore
from worldmodel.play.ticker import ModelThread


@pytest.fixture(scope="module")
def batch() -> DreamBatch:
    return DreamBatch(tiny_world_model(max_episode_steps=None))


def dream(batch: DreamBatch, seed: int) -> Dream:
    contexts = batch.model.contexts.select(torch.tensor([seed % len(batch.model.contexts)]))
    return Dream.of(batch.begin(contexts.frames[0].numpy(), contexts.actions[0].numpy(), seed))


def request(dream: Dream, seed: int, t: int, passes: int = 2) -> StepRequest:
    action = np.random.default_rng((seed, t)).uniform(-1, 1, 2).astype(np.float32)
    return StepRequest(dream, action, passes)


def alone(batch: DreamBatch, seed: int, steps: int, passes: int = 2) -> list[Imagined]:
    made = dream(batch, seed)
    return [batch.step([request(made, seed, t, passes)])[0] for t in range(steps)]


def near(one: Imagined, other: Imagined) -> bool:
    apart = np.abs(one.frame.astype(int) - other.frame.astype(int)).max()
    return apart <= 1 and abs(one.reward - other.reward) < 1e-4


def test_eight_dreams_are_one_batch_and_each_is_what_it_is_alone(batch: DreamBatch) -> None:
    together = [dream(batch, seed) for seed in range(8)]
    expected = [alone(batch, seed, 6) for seed in range(8)]
    with patch.object(batch.model, "step", wraps=batch.model.step) as step:
        for t in range(6):
            found = batch.step([request(made, k, t) for k, made in enumerate(together)])
            assert all(near(found[k], expected[k][t]) for k in range(8)), t
    assert [len(call.args[0]) for call in step.call_args_list] == [8] * 6


def test_dreams_come_and_go_and_are_the_same_dreams(batch: DreamBatch) -> None:
    """Gathered, scattered, alone again, in another order, beside one that is forgotten."""
    expected = {seed: alone(batch, seed, 8) for seed in range(3)}
    made, done = {seed: dream(batch, seed) for seed in range(3)}, dict.fromkeys(range(3), 0)
    for group in ([0, 1, 2], [0, 1], [2], [2, 0], [1, 0, 2], [0, 1, 2], [1], [0], [2, 1, 0]):
        requests = [request(made[seed], seed, done[seed]) for seed in group]
        for seed, found in zip(group, batch.step(requests), strict=True):
            assert near(found, expected[seed][done[seed]]), (group, seed)
            done[seed] += 1
    batch.forget(made[1])
    found = batch.step([request(made[0], 0, done[0])])[0]
    assert near(found, alone(batch, 0, done[0] + 1)[-1])


def test_sessions_with_other_passes_are_batches_of_their_own(batch: DreamBatch) -> None:
    requests = [request(dream(batch, seed), seed, 0, passes=1 + seed % 2) for seed in range(4)]
    for seed, found in enumerate(batch.step(requests)):
        assert near(found, alone(batch, seed, 1, passes=1 + seed % 2)[0])


def test_the_number_of_threads_is_measured_where_none_is_given() -> None:
    model_thread = ModelThread(tiny_world_model())
    assert 1 <= model_thread.threads <= max(1, torch.get_num_threads() - 1)
    model_thread.close()


def test_a_dream_is_the_one_that_the_environment_dreams(batch: DreamBatch) -> None:
    model, starts = batch.model, batch.model.contexts
    env = DreamEnv(model)
    frame, _ = env.reset(
        seed=3, options={"frames": starts.frames[0].numpy(), "actions": starts.actions[0].numpy()}
    )
    made = Dream.of(batch.begin(starts.frames[0].numpy(), starts.actions[0].numpy(), 3))
    for t in range(5):
        asked = request(made, 3, t)
        frame, reward, terminated, _, info = env.step(asked.action)
        imagined = batch.step([asked])[0]
        assert np.array_equal(imagined.frame, frame) and imagined.reward == pytest.approx(reward)
        assert imagined.terminated == terminated
        assert imagined.termination == pytest.approx(info["termination_probability"])


# Traces.


def begin(batch: DreamBatch, context: int, known: int = 3) -> Dreams:
    start = batch.model.contexts.select(torch.tensor([context]))
    return batch.begin(start.frames[0, :known].numpy(), start.actions[0, : known - 1].numpy(), 5)


def copy(dreams: Dreams, row: int = 0) -> Dreams:
    return dreams.select(torch.tensor([row]))


def same(one: Dreams, other: Dreams) -> bool:
    """Of what a step could read: a slot that holds nothing may hold anything."""
    pairs = zip(one.state.tensors().values(), other.state.tensors().values(), strict=True)
    equal = all(torch.equal(a.nan_to_num(-7.0), b.nan_to_num(-7.0)) for a, b in pairs)
    return equal and torch.equal(one.episodes.step, other.episodes.step)


@pytest.mark.parametrize("known", [1, 2, 3])
def test_every_moment_comes_back_and_goes_on_as_it_did(batch: DreamBatch, known: int) -> None:
    dreams = begin(batch, 0, known)
    start = copy(dreams)
    actions = torch.rand(3 * WINDOW, 1, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    traces, moments = [], [copy(dreams)]
    for action in actions:
        time = int(dreams.state.time[0])
        dreams.step(action)
        traces.append(Trace.of_row(dreams.state, 0, time))
        moments.append(copy(dreams))
    for t, was in enumerate(moments):
        back = restore(start, traces[max(0, t - memory_steps(start)) : t])
        assert same(back, was), t
        if t < len(actions):
            back.step(actions[t])
            assert same(back, moments[t + 1]), t
    assert same(start, moments[0]), "restoring leaves the start as it was"


def test_a_trace_is_of_its_own_row(batch: DreamBatch) -> None:
    starts = [begin(batch, 0), begin(batch, 1)]
    both = DreamState.concatenate([start.state for start in starts])
    times = both.time.tolist()
    batch.model.step(both, torch.rand(2, 2))
    for row, start in enumerate(starts):
        back = restore(start, [Trace.of_row(both, row, times[row])])
        expected = Dreams(batch.model, both).select(torch.tensor([row]))
        expected.episodes.step += 1
        assert same(back, expected)
