"""Scoring: what is counted, that playing many episodes at once changes nothing, and the gap to the dream."""

import numpy as np
import pytest
import torch
from counting_dream import CONTEXT, CountingDream, level, picture
from counting_env import SIZE, read, reward_of
from gymnasium import spaces

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.tasks.play import Played, PolicyActor, RandomActor, play
from worldmodel.agents.tasks.score import (
    Score,
    dream_gap,
    interquartile_mean,
    iqm,
    iqm_over_runs,
    mean_interval,
)
from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames
from worldmodel.real_env import EnvConfig

ENV = EnvConfig("counting_env:Counting-v0", size=SIZE)
SPACE = spaces.Box(-2.0, 4.0, (3,), np.float32)


class Recorder:
    """Always the same action; remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[int], torch.Tensor]] = []

    def act(self, observation: torch.Tensor, episodes: list[int]) -> np.ndarray:
        self.seen.append((list(episodes), observation))
        return np.tile(np.float32([1.0, 0.5, -1.0]), (len(episodes), 1))


def test_episodes_are_played_to_their_end_and_counted() -> None:
    played = play(Recorder(), ENV, episodes=5, seed=3, at_once=2)
    reward = reward_of(np.float32([1.0, 0.5, -1.0]))
    for episode in played:
        seeds, steps = read(episode.frames)
        assert steps.tolist() == [0], "one frame is kept: the first"
        np.testing.assert_allclose(episode.rewards, reward)
        assert episode.terminated == (seeds[0] % 2 == 1), "odd seeds terminate, even ones run out of time"
    assert len({int(read(p.frames)[0][0]) for p in played}) == 5


def test_an_agent_sees_the_last_two_frames_and_the_first_twice() -> None:
    recorder = Recorder()
    play(recorder, ENV, episodes=1, seed=3)
    for t, (_, observation) in enumerate(recorder.seen):
        steps = [
            read(float_to_frames(part).numpy())[1][0] for part in (observation[:, :3], observation[:, 3:])
        ]
        assert steps == [t, max(0, t - 1)]


def test_first_frames_and_actions_are_kept() -> None:
    episode = play(Recorder(), ENV, episodes=1, seed=3, keep=3)[0]
    assert read(episode.frames)[1].tolist() == [0, 1, 2]
    assert episode.actions.tolist() == [[1.0, 0.5, -1.0]] * 2


@pytest.mark.parametrize("sample", [False, True])
def test_the_number_played_at_once_changes_nothing(sample: bool) -> None:
    policy = ActorCritic((SIZE, SIZE, 3), SPACE, channels=8, hidden=16)
    scores = [play(PolicyActor(policy, sample, seed=1), ENV, 5, seed=3, at_once=n) for n in (1, 4)]
    for one, other in zip(*scores, strict=True):
        np.testing.assert_allclose(one.rewards, other.rewards, atol=1e-3)


def test_random_actions_depend_on_seed_and_episode() -> None:
    first, again, other = (play(RandomActor(SPACE, seed), ENV, 3, seed=3) for seed in (1, 1, 2))
    assert [p.rewards.tolist() for p in first] == [p.rewards.tolist() for p in again]
    assert first[0].rewards.tolist() != other[0].rewards.tolist()
    assert first[0].rewards[0] != first[1].rewards[0]


def test_no_episodes_is_a_mistake() -> None:
    with pytest.raises(WorldModelError, match="at least 1"):
        play(Recorder(), ENV, episodes=0, seed=0)


def an_episode(*rewards: float, terminated: bool = False) -> Played:
    return Played(np.array(rewards), terminated, np.zeros((1, 4, 4, 3), np.uint8), np.zeros((0, 2)))


def test_a_score_sums_rewards_up() -> None:
    score = Score.of([an_episode(1.0, 2.0), an_episode(5.0, terminated=True)])
    assert score.returns == (3.0, 5.0) and score.lengths == (2, 1)
    assert score.mean == 4.0 and score.mean_length == 1.5 and score.terminated_share == 0.5
    assert score.to_json()["returns"] == (3.0, 5.0)


def test_the_interval_is_that_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    interval = mean_interval(values, seed=1)
    half = 1.96 * values.std() / 20
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.03
    )
    assert interval == mean_interval(values, seed=1), "seeded"


def counting_policy(model: CountingDream) -> ActorCritic:
    return ActorCritic(model.world.frame_shape, model.world.action_space, channels=8, hidden=16)


def started_at(first: int, *rewards: float) -> Played:
    frames = picture(first + torch.arange(CONTEXT)).numpy()
    return Played(np.array(rewards), False, frames, np.zeros((CONTEXT - 1, 2), np.float32))


def test_the_gap_compares_the_same_steps() -> None:
    """The dream goes on where the context ends; what was earned inside the context counts for neither side."""
    model = CountingDream(ends_at=25, pay=0.001)
    gap = dream_gap(counting_policy(model), model, [started_at(20, 7.0, 7.0, 20.0, 21.0, 25.0)], 1)  # type: ignore[arg-type]
    assert gap is not None and gap.pairs == 1
    assert gap.real == 20.0 + 21.0 + 25.0
    assert gap.dream == pytest.approx(22 + 23 + 24, abs=0.01), (
        "x_2 shows 22; the dream ends when it would show 25"
    )
    assert gap.difference == pytest.approx(3.0, abs=0.01)


def test_a_dream_lasts_no_longer_than_an_episode() -> None:
    model = CountingDream(pay=0.001)  # at most 10 steps, of which the context takes 2
    gap = dream_gap(counting_policy(model), model, [started_at(20, *[0.0] * 10)], 1)  # type: ignore[arg-type]
    assert gap is not None and gap.dream == pytest.approx(sum(range(22, 30)), abs=0.02)


def test_episodes_shorter_than_a_context_have_no_gap() -> None:
    model = CountingDream()
    assert dream_gap(counting_policy(model), model, [an_episode(1.0)], 1) is None  # type: ignore[arg-type]
    assert level(torch.zeros(1, 3, 1, 1)).item() == 128


def test_the_interquartile_mean_leaves_a_quarter_out_at_either_end() -> None:
    values = np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0, 7.0])  # 9: two go at either end
    assert interquartile_mean(values) == np.mean([2.0, 3.0, 4.0, 5.0, 6.0])
    assert interquartile_mean(np.stack([values, values + 1])).tolist() == [4.0, 5.0]


def test_the_interval_of_an_interquartile_mean_is_seeded_and_holds_it() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    interval = iqm([values], seed=1)
    assert interval == iqm([values], seed=1)
    assert interval.low < interval.mean == interquartile_mean(values) < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 2.0 / 20 * 1.1, rel=0.3)


def test_sampled_actions_are_sampled_in_dreams_too() -> None:
    """The counting dream pays the action, so chance shows in what a dream earns."""
    model = CountingDream()
    policy, played = counting_policy(model), [started_at(20, *[0.0] * 10)]

    def dreamt(seed: int, sample: bool) -> float:
        gap = dream_gap(policy, model, played, 1, seed, sample)  # type: ignore[arg-type]
        assert gap is not None
        return gap.dream

    assert dreamt(0, sample=False) == dreamt(1, sample=False)
    assert dreamt(0, sample=True) == dreamt(0, sample=True) != dreamt(1, sample=True)


def test_the_middle_half_of_all_values() -> None:
    runs = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, 100.0])]
    interval = iqm(runs, seed=0)
    assert interval.mean == np.mean([2.0, 3.0, 4.0, 5.0])
    assert interval.low <= interval.mean <= interval.high
    assert interval == iqm(runs, seed=0)
    assert iqm_over_runs(runs).mean == np.mean([1.5, 5.5])


def test_only_the_interval_over_runs_sees_that_runs_differ() -> None:
    runs = [np.full(50, value) for value in (0.0, 1.0, 2.0)]
    within, over = iqm(runs, seed=0), iqm_over_runs(runs)
    assert (within.low, within.high) == (1.0, 1.0)
    assert (over.low, over.mean, over.high) == pytest.approx(
        (1 - 4.3027 / 3**0.5, 1.0, 1 + 4.3027 / 3**0.5), abs=1e-4
    )


@pytest.mark.parametrize(("count", "between"), [(2, 0.5), (3, 0.0), (3, 0.2), (3, 1.0), (5, 0.5)])
def test_the_interval_over_runs_holds_the_truth_as_often_as_it_says(count: int, between: float) -> None:
    """A percentile bootstrap over three runs and their episodes, which stood here, held it in 76 to 89 % of cases."""
    rng = np.random.default_rng(7)
    truth = rng.normal(scale=between, size=(1500, count, 1))
    cases = truth + rng.normal(size=(1500, count, 40))
    found = [iqm_over_runs(list(runs)) for runs in cases]
    assert 0.93 <= np.mean([interval.low <= 0 <= interval.high for interval in found]) <= 0.97


def test_equal_runs_have_the_interval_of_one_sample() -> None:
    """For a normal distribution the interquartile mean's standard error is 1.09 times that of the mean, about."""
    values = np.random.default_rng(0).normal(size=(4, 500))
    interval = iqm(list(values), seed=1)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 1.09 / np.sqrt(2000), rel=0.15)


def test_strata_may_differ_in_size() -> None:
    assert iqm([np.zeros(2), np.ones(6)], seed=0).mean == 1.0
