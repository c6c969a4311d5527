"""The engine: what ends a dream, when, and that it is the same alone, in a batch and on replay."""

import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.model.dreams import ENDLESS, SAMPLED, Dreams, Ending, Rollout, TruncatedBy, noise_seeds
from worldmodel.model.world_model import WorldModel
from worldmodel.noise import counter_normal, counter_uniform

STREAMS = [(seed, 0) for seed in range(400)]


def half_ending() -> WorldModel:
    """Every step ends with about one half."""
    model = tiny_world_model()
    with torch.no_grad():
        last = [
            module for module in model.network.termination.modules() if isinstance(module, torch.nn.Linear)
        ][-1]
        last.weight.mul_(0.01)
        last.bias.zero_()
    model.dynamics.denoiser.termination_probability = torch.sigmoid  # type: ignore[method-assign]
    return model


def rollout(
    model: WorldModel, streams: list[tuple[int, int]], steps: int, ending: Ending = SAMPLED
) -> Rollout:
    actions = torch.zeros(len(streams), steps, model.world.codec.size)
    return Dreams.fresh(model, streams, ending=ending).rollout(actions)


def test_ends_come_as_often_as_the_head_says_and_again_on_replay() -> None:
    model = half_ending()
    made, again = (rollout(model, STREAMS, 3) for _ in range(2))
    assert made.terminated.float().mean() == pytest.approx(
        float(made.termination_probability.mean()), abs=0.05
    )
    assert torch.equal(made.terminated, again.terminated)
    step = made.terminated.float() - made.terminated.float().mean(0)
    assert abs(float((step[:, 0] * step[:, 1]).mean())) < 0.05, (
        "one step's end says nothing of the next one's"
    )


def test_a_dream_ends_the_same_alone_and_in_a_batch() -> None:
    model = half_ending()
    batch = rollout(model, STREAMS[:16], 6)
    for index in (0, 7, 15):
        alone = rollout(model, [STREAMS[index]], 6)
        assert torch.equal(alone.terminated[0], batch.terminated[index])
        assert (alone.frames[0].int() - batch.frames[index].int()).abs().max() <= 2


def test_the_chance_of_ends_is_not_that_of_the_noise() -> None:
    seeds, step = noise_seeds([(seed, 0) for seed in range(4000)]), torch.zeros(4000, dtype=torch.int64)
    chance, noise = counter_uniform(seeds, step), counter_normal(seeds, step, (1,))[:, 0]
    assert chance.min() >= 0 and chance.max() < 1 and chance.mean() == pytest.approx(0.5, abs=0.02)
    assert abs(float(torch.corrcoef(torch.stack([chance, noise]))[0, 1])) < 0.05


def test_the_rules() -> None:
    model = half_ending()
    sampled = rollout(model, STREAMS[:32], 4)
    threshold = rollout(model, STREAMS[:32], 4, Ending("threshold"))
    assert torch.equal(threshold.terminated, sampled.termination_probability > 0.5)
    endless = rollout(model, STREAMS[:32], 4, ENDLESS)
    assert not endless.terminated.any() and endless.alive.all()
    limited = rollout(model, STREAMS[:32], 4, Ending("ignore", time_limit=3))
    assert limited.truncated_by[0].tolist() == [0, 0, TruncatedBy.TIME_LIMIT, TruncatedBy.TIME_LIMIT]
    assert limited.alive[0].tolist() == [True, True, True, False]
    for other in (threshold, endless, limited):
        assert torch.equal(other.frames, sampled.frames)


def test_steps_stop_where_all_have_ended() -> None:
    dreams = Dreams.fresh(tiny_world_model(ends=True), STREAMS[:3])
    assert len(list(dreams.steps(lambda _: torch.zeros(3, 2), 9))) == 1
    dreams = Dreams.fresh(tiny_world_model(ends=True), STREAMS[:3], ending=ENDLESS)
    assert len(list(dreams.steps(lambda _: torch.zeros(3, 2), 9))) == 9


def test_a_restart_is_the_streams_next_episode() -> None:
    model = tiny_world_model()
    dreams = Dreams.fresh(model, [(5, 0), (6, 0)])
    dreams.step(torch.zeros(2, 2))
    dreams.restart(torch.tensor([1]).numpy())
    assert dreams.episodes.step.tolist() == [1, 0] and dreams.episodes.begun.tolist() == [1, 2]
    assert torch.equal(dreams.state.last[1], Dreams.fresh(model, [(6, 1)]).state.last[0])


def test_observing_is_beginning_with_a_frame_more() -> None:
    model = tiny_world_model()
    starts = model.contexts.select(torch.tensor([0, 1]))
    seeds = torch.tensor([1, 2])
    whole = Dreams.begin(model, starts.frames, starts.actions, seeds)
    dreams = Dreams.begin(model, starts.frames[:, :-1], starts.actions[:, :-1], seeds)
    dreams.observe(starts.actions[:, -1], starts.frames[:, -1])
    torch.testing.assert_close(dreams.state.features, whole.state.features)
    assert torch.equal(dreams.state.last, whole.state.last) and dreams.episodes.step.tolist() == [1, 1]
