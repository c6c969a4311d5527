"""What the page says follows from the numbers, also when they are bad."""

from dataclasses import replace

import pytest
import torch

from worldmodel.benchmark.dream import Speed
from worldmodel.evaluation.cost import BATCHES, Cost
from worldmodel.evaluation.counterfactual import Counterfactual, Response
from worldmodel.evaluation.endings import Calls, Endings
from worldmodel.evaluation.fidelity import COPY, DREAM, SHUFFLED, STILL, Fidelity
from worldmodel.evaluation.reality import RealBranches
from worldmodel.evaluation.signals import Rewards, Trust
from worldmodel.evaluation.statistics import Interval
from worldmodel.machine import this_machine
from worldmodel.report.actions_section import actions_section
from worldmodel.report.agents import AgentResult, Gap
from worldmodel.report.agents_section import compare, learning_section, returns_section, smoothed
from worldmodel.report.cost_section import WORTH, cost_section
from worldmodel.report.dream_section import fidelity_section
from worldmodel.report.wording import sample_horizons

HIGH = Interval(0.9, 0.8, 0.95)


def fidelity(over_copy: list[float], over_shuffled: float = 3.0) -> Fidelity:
    horizon = len(over_copy)
    gains = [Interval(gain, gain - 0.5, gain + 0.5) for gain in over_copy]
    other = [Interval(over_shuffled, over_shuffled - 1, over_shuffled + 1)] * horizon
    psnr = {DREAM: [30.0] * horizon, SHUFFLED: [25.0] * horizon, STILL: [25.0] * horizon}
    psnr[COPY] = [30.0 - gain for gain in over_copy]
    return Fidelity(
        contexts=8,
        episodes=4,
        counts=[8] * horizon,
        unmoved=[2] + [0] * (horizon - 1),
        psnr=psnr,
        psnr_pooled=psnr,
        gain_over={COPY: gains, SHUFFLED: other, STILL: other},
        rewards=Rewards([HIGH] * horizon, [0.1] * horizon, [0.4] * horizon, HIGH, 0.1),
        endings=Endings(Calls(8, 3, 2, 1, HIGH, HIGH), Calls(4, 4, 4, 3, HIGH, HIGH), 50, 4, 0.9, 0.7, 0.01),
        trust=Trust(HIGH, [HIGH] * horizon, 0.4, 3.0, 9.0),
    )


def agent(name: str, mean: float, world: str | None = None, gap: Gap | None = None) -> AgentResult:
    curve = tuple({"frames": 100.0 * i, "reward": -1.0 + 0.01 * i} for i in range(1, 41)) if world else ()
    returns = [mean - 1, mean + 1]
    return AgentResult(name, returns, mean, (mean - 2, mean + 2), 0.5, world, 4000, 12.0, gap, curve)


def cost(real: float | None, reason: str = "") -> Cost:
    speeds = [Speed(batch, 1, 20, 8.0, 9.0, 125.0 * batch**0.5) for batch in BATCHES]
    return Cost("cpu", 600_000, 2, 0.13, speeds, real, reason)


def test_a_dream_above_the_copy_everywhere_is_said_to_be() -> None:
    text = fidelity_section(fidelity([5.0] * 32)).content
    assert "closer to reality than a copy of the last frame at every horizon" in text
    assert "It listens to the actions" in text and "+3.0 dB at frame 8, 95 % interval +2.0 to +4.0" in text
    assert "In 2 of 8 moments nothing has moved by the first frame" in text
    assert "3 of 8 truly end and 2 call an end: 1 of these are right (precision 0.90" in text
    assert "Of dreams begun a few steps before an end, 4 of 4 truly end" in text
    assert "correlates with the true one at 0.90 (95 % interval 0.80 to 0.95)" in text


def test_a_dream_below_the_copy_is_said_to_be() -> None:
    assert "at no horizon closer" in fidelity_section(fidelity([-1.0] * 16)).content
    mixed = fidelity_section(fidelity([2.0] * 10 + [-1.0] * 6)).content
    assert "at 10 of 16 horizons, but not at frame 11, 12, 13, 14, 15 and 1 more" in mixed


def test_a_deaf_dream_is_said_to_be_deaf() -> None:
    text = fidelity_section(fidelity([2.0] * 16, over_shuffled=0.3)).content
    assert "That it listens to the actions is not shown here" in text


def test_a_gain_too_small_to_see_is_no_listening() -> None:
    """An untrained dream beat shuffled actions by 0.002 dB with an interval above zero, and was praised for it."""
    dream = fidelity([1.0] * 8)
    tiny = [Interval(0.002, 0.001, 0.003)] * 8
    dream = replace(dream, gain_over={**dream.gain_over, SHUFFLED: tiny})
    assert "That it listens to the actions is not shown here" in fidelity_section(dream).content


def counterfactual(response: Response) -> Counterfactual:
    frames = torch.zeros(1, 2, len(response.real), 8, 8, 3, dtype=torch.uint8)
    alive = torch.ones(frames.shape[:3], dtype=torch.bool)
    alive[:, :, -1] = False
    real = RealBranches(frames, alive, "replay")
    return Counterfactual(["action 0", "action 1"], frames, [0.0] * len(response.real), real, response, "")


def test_actions_matter_too_little_too_much_or_as_in_reality() -> None:
    def text(distance: float, explained: float) -> str:
        response = Response(
            [10.0] * 8, [distance] * 8, [distance / 10] * 8, [explained] * 8, [30.0] * 8, [1] * 8
        )
        return actions_section(counterfactual(response), fps=10.0).content

    assert "the dream underestimates what actions do" in text(2.0, 0.1)
    assert "the dream exaggerates what actions do" in text(20.0, -3.0)
    assert "0% at step 4, 0% at step 8 right" in text(20.0, -3.0), "worse than nothing is nothing, in words"
    assert "as much as in reality. Of the real differences the dream gets 90% at step 4, 90%" in text(
        9.0, 0.9
    )
    assert "replaying the episode&#x27;s actions" in text(9.0, 0.9) and "the real episode is over" in text(
        9.0, 0.9
    )


def test_futures_that_never_differ_or_no_reality_are_said_to_be_so() -> None:
    none: list[float | None] = [None] * 4
    response = Response([0.0] * 4, [0.0] * 4, none, none, [30.0] * 4, [1] * 4)
    assert "no two of these futures differ" in actions_section(counterfactual(response), fps=10.0).content
    alone = replace(counterfactual(response), real=None, response=None, reason="It cannot be brought back.")
    assert (
        "Reality cannot be shown beside it: It cannot be brought back."
        in actions_section(alone, 10.0).content
    )


def test_what_could_not_be_measured_is_said_not_to_have_been() -> None:
    nothing = replace(
        fidelity([1.0] * 4),
        endings=Endings(Calls(8, 0, 0, 0, None, None), None, 40, 0, None, None, 0.0),
        trust=Trust(None, [None] * 4, None, None, None),
        rewards=Rewards([None] * 4, [0.1] * 4, [0.0] * 4, None, 0.1),
    )
    text = fidelity_section(nothing).content
    assert "None of the 40 steps ended an episode" in text
    assert "There is no uncertainty" in text and "reward is constant here" in text


def test_agents_are_better_worse_or_not_told_apart() -> None:
    dreamer = agent("dream agent", -30.0, "dream")
    better, close, worse = agent("random", -60.0), agent("real agent", -31.0, "real"), agent("expert", -5.0)
    first, second, third = compare([dreamer, close, better, worse])
    assert first.startswith("Dream agent: better in reality than random (-30.0 against -60.0, disjoint")
    assert second.startswith("Dream agent: worse in reality than expert")
    assert third.startswith("Dream agent: not to be told apart in reality from the real agent")


def test_flattering_dreams_are_called_so() -> None:
    flattered = agent("dream agent", -30.0, "dream", Gap(-10.0, -30.0, (15.0, 25.0), 40))
    section = returns_section([flattered, agent("random", -60.0)])
    assert section is not None
    assert "dreams promise it more than reality pays (-10.0 dreamt, -30.0 real" in section.content
    honest = replace(flattered, gap=Gap(-29.0, -30.0, (-2.0, 3.0), 40))
    section = returns_section([honest])
    assert section is not None and "on average dreams promise it what reality pays" in section.content


def test_sections_without_data_are_left_out() -> None:
    assert returns_section([]) is None and learning_section([]) is None
    assert learning_section([agent("real agent", 1.0, "real")]) is None
    section = learning_section([agent("dream agent", 1.0, "dream")])
    assert section is not None and "over 4,000 imagined frames" in section.content


def test_a_faster_simulator_is_called_faster_and_what_dreams_are_for_is_said() -> None:
    content = cost_section(cost(real=7072.0), this_machine()).content
    assert "it is 10 times as fast as the dream" in content and WORTH in content
    content = cost_section(cost(real=70.70), this_machine()).content
    assert "the dream is 10 times as fast" in content and WORTH not in content
    content = cost_section(cost(None, "Gone-v0 is not there."), this_machine()).content
    assert "could not be timed: Gone-v0 is not there." in content


def test_learning_curves_are_smoothed_over_frames_without_looking_ahead() -> None:
    """A last, short rollout must not weigh as much as a whole one: it once bent every curve's end."""
    curve = [{"frames": 100.0 * (i + 1), "reward": float(i)} for i in range(20)]
    frames, means = smoothed(curve)
    assert frames == [row["frames"] for row in curve]
    assert means[0] == 0.0 and means[1] == 0.5 and means[10] == 9.5
    _, means = smoothed([*curve, {"frames": 2001.0, "reward": -1000.0}])
    assert means[-1] == pytest.approx((19 * 100 - 1000) / 101)


def test_tables_show_powers_of_two_and_the_last() -> None:
    assert sample_horizons(32) == [1, 2, 4, 8, 16, 32]
    assert sample_horizons(24) == [1, 2, 4, 8, 16, 24]
    assert sample_horizons(1) == [1]
