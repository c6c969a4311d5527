"""Pages follow from the numbers, also where these are bad or missing."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from physics_report import physics_report
from tiny_world import tiny_world_model

from worldmodel.benchmark.dream import Speed
from worldmodel.evaluation.evaluation import Evaluation
from worldmodel.evaluation.metrics.ranking import Ranking
from worldmodel.evaluation.moments.reality import RealBranches
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.pixels.chance import Chance, Spread, Whereabouts
from worldmodel.evaluation.pixels.cost import BATCHES, Cost
from worldmodel.evaluation.pixels.counterfactual import Counterfactual, Response
from worldmodel.evaluation.pixels.endings import Calls, Endings
from worldmodel.evaluation.pixels.fidelity import COPY, DREAM, SHUFFLED, STILL, Fidelity
from worldmodel.evaluation.pixels.long_dreams import Difference, LongDreams, Window
from worldmodel.evaluation.pixels.memory import FULL, GUESS, Duration, Film, Permanence, Recall
from worldmodel.evaluation.pixels.objects import ObjectCount
from worldmodel.evaluation.pixels.signals import Rewards, Trust
from worldmodel.evaluation.report.agents import AgentResult, Gap
from worldmodel.evaluation.report.evaluation_page import Report, evaluation_numbers
from worldmodel.evaluation.report.evaluation_pictures import smoothed
from worldmodel.evaluation.report.physics_page import cards, physics_html, physics_numbers
from worldmodel.evaluation.report.physics_tables import Cells
from worldmodel.evaluation.report_data import Film as WorstCase
from worldmodel.evaluation.report_data import PhysicsReport
from worldmodel.evaluation.rows.closed_loop import ClosedLoop, PolicyReturns
from worldmodel.evaluation.rows.measures import Measured, Number
from worldmodel.evaluation.statistics import Interval
from worldmodel.machine import this_machine
from worldmodel.report.wording import sample_horizons

HIGH = Interval(0.9, 0.8, 0.95)
NONE = float("nan")
NOTHING = NotMeasured("Nothing to count here.")


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


def counterfactual(response: Response) -> Counterfactual:
    frames = torch.zeros(1, 2, len(response.real), 8, 8, 3, dtype=torch.uint8)
    alive = torch.ones(frames.shape[:3], dtype=torch.bool)
    alive[:, :, -1] = False
    real = RealBranches(frames, alive, "replay")
    return Counterfactual(["action 0", "action 1"], frames, [0.0] * len(response.real), real, response, "")


def exactly(value: float) -> Interval:
    return Interval(value, value, value)


def frames(*shape: int) -> np.ndarray:
    return np.zeros((*shape, 8, 8, 3), np.uint8)


def long_dreams() -> LongDreams:
    near, far = Difference(0.4, 0.2, exactly(0.5)), Difference(9.0, 3.0, Interval(-40.0, -45.0, -30.0))
    windows = [Window(1, 2, near, near, near), Window(9, 10, far, None, None)]
    puck = ObjectCount("puck", 2, 20.0, [1.0] * 10, [exactly(1.0), exactly(0.25)], [1.0, None], 0.99, True)
    ghost = ObjectCount("ghost", 0, 5.0, None, [None, None], [None, None], None, False)
    return LongDreams(
        dreams=2,
        steps=10,
        real_frames=500,
        windows=windows,
        floor=Difference(0.3, 0.1, exactly(0.2)),
        gradient=[1.0] * 10,
        called_end=0.5,
        first_end=7.0,
        objects=[puck, ghost],
        objects_reason="",
        simulator_reason="",
        shown_steps=[0, 1, 10],
        shown=frames(2, 3),
        films=frames(2, 10),
    )


def permanence(on_time: float = 0.8) -> Permanence:
    recall = Recall(
        exactly(1.0), Interval(on_time, on_time - 0.1, on_time + 0.1), exactly(1.0), exactly(-1.0), None
    )
    guess = Recall(exactly(1.0), exactly(0.4), exactly(3.0), exactly(0.0), exactly(9.0))
    never = Recall(exactly(0.0), exactly(0.0), None, None, None)
    rows = {FULL: recall, "window_4": never, COPY: never, GUESS: guess}
    films = [Film(10, frames(12), {FULL: frames(12), "window_4": frames(11)})]
    return Permanence([Duration(8, 12, 30, 20, rows)], {FULL: 45, "window_4": 9}, films)


def chance(ratio: float = 1.0, real: float = 5.0) -> Chance:
    ratios = [exactly(ratio if real else NONE)] * 8
    spread = Spread([ratio * real] * 8, [real] * 8, ratios)
    enemies = Whereabouts("enemies", spread, [12.0] * 8, [10.0] * 8)
    return Chance(
        4, 6, "state", spread, spread, [enemies], [(1.0, 0.9)] * 8, 8, frames(), frames(4), frames(4)
    )


def page(**changes: Any) -> tuple[str, Evaluation]:
    """The page of an evaluation, some of whose parts, or whose agents, are others."""
    agents = changes.pop("agents", [])
    response = Response([10.0] * 8, [9.0] * 8, [0.9] * 8, [0.85] * 8, [30.0] * 8, [1] * 8)
    futures = SimpleNamespace(episodes=torch.arange(0), starts=torch.arange(0))
    parts = {
        "fidelity": fidelity([5.0] * 16),
        "noisy": None,
        "counterfactual": counterfactual(response),
        "long_dreams": long_dreams(),
        "permanence": permanence(),
        "chance": chance(),
        "cost": cost(7072.0),
        "films": SimpleNamespace(futures=futures, dream=[]),
    }
    evaluation = Evaluation(**{**parts, **changes})
    world = tiny_world_model().world
    return Report(world, evaluation, agents, this_machine(), 1.0).html(), evaluation


def test_every_section_shows_its_numbers() -> None:
    html, evaluation = page()
    for text in (
        "+5.0 dB at the first imagined frame, +5.0 dB at frame 16; above 0 at 16 of 16 horizons",
        "+3.0 (+2.0 to +4.0) dB at frame 8",
        "3 of 8 truly end and 2 call an end: 1 of these are right (precision 0.90 (0.80 to 0.95)",
        "In 2 of 8 moments nothing has moved by the first frame",
        "replaying the episode&#39;s actions",
        "50% call one, at step 7 in the median",
        "<td>-40.0 (-45.0 to -30.0)</td>",
        "Not told apart by colour: ghost.",
        "window 4 (at most 9 steps back)",
        "<td>80% (70% to 90%)</td>",
        "enemies: places differ (%)",
        "10 times as fast is reality",
    ):
        assert text in html, text
    numbers = evaluation_numbers(evaluation)
    assert (
        numbers["long_dreams"]["windows"][0]["dream"]["colour"] == 0.4
        and "films" not in numbers["long_dreams"]
    )
    assert numbers["chance"]["deterministic"] is False and numbers["permanence"]["reach"] == {
        FULL: 45,
        "window_4": 9,
    }


def test_what_could_not_be_measured_is_said_not_to_have_been() -> None:
    odd = replace(
        fidelity([1.0] * 4),
        endings=Endings(Calls(8, 0, 0, 0, None, None), None, 40, 0, None, None, 0.0),
        trust=Trust(None, [None] * 4, None, None, None),
        rewards=Rewards([None] * 4, [0.1] * 4, [0.0] * 4, None, 0.1),
    )
    none: list[float | None] = [None] * 4
    still = Response([0.0] * 4, [0.0] * 4, none, none, [30.0] * 4, [1] * 4)
    alone = replace(counterfactual(still), real=None, response=None, reason="It cannot be brought back.")
    blind = replace(
        long_dreams(), objects=None, objects_reason="No masks.", simulator_reason="Gone.", called_end=0.0
    )
    html, evaluation = page(
        fidelity=odd,
        counterfactual=alone,
        long_dreams=blind,
        permanence=NOTHING,
        chance=None,
        cost=cost(None, "Gone-v0."),
    )
    for text in (
        "none of the 40 steps ended",
        "these dreams have none",
        "constant here",
        "It cannot be brought back.",
        "Objects were not counted: No masks.",
        "No simulator beside it: Gone.",
        "What is out of sight: Nothing to count here.",
        "could not be timed: Gone-v0.",
    ):
        assert text in html, text
    assert evaluation_numbers(evaluation)["permanence"] == {"reason": NOTHING.reason}
    assert "no two real futures differ" in page(counterfactual=counterfactual(still))[0]
    assert "all real futures of a moment are the same" in page(chance=chance(1.0, real=0.0))[0]


def test_agents_are_shown_where_there_are_any() -> None:
    assert "Learning inside" not in page()[0] and "worth in reality" not in page()[0]
    flattered = agent("dream agent", -30.0, "dream", Gap(-10.0, -30.0, (15.0, 25.0), 40))
    html, _ = page(agents=[flattered, agent("random", -60.0)])
    assert "Learning inside the dream" in html and "95 % interval of the difference +15.0 to +25.0" in html
    assert "4,000 imagined frames in 12 s" in html


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


def with_row(**numbers: Number) -> PhysicsReport:
    """A report in which the model "dream" has these numbers too (_ for a space)."""
    report = physics_report(["dream"])
    split = report.splits[0]
    own = {key.replace("_", " "): value for key, value in numbers.items()}
    row = Measured({**split.rows["dream"].numbers, **own}, {}, {})
    return replace(report, splits=[replace(split, rows={**split.rows, "dream": row})])


def ranked(report: PhysicsReport) -> PhysicsReport:
    """With a closed loop whose returns rank nothing."""
    ranking = Ranking(6, None, None, None, HIGH, {1: None, 3: 0.5})
    policy = PolicyReturns("linear", False, np.ones(4), np.ones(4))
    loop = ClosedLoop(15, 4, [policy], 1.0, {15: ranking}, {15: HIGH}, None, None)
    return replace(report, findings={"dream": replace(report.findings["dream"], closed_loop=loop)})


def test_a_metric_that_failed_its_control_says_nothing_anywhere() -> None:
    report = with_row(nrmse=Interval(0.4321, 0.43, 0.44), usable=Interval(17.0, 16.0, 18.0))
    sure = physics_html(report, 10.0, this_machine(), 1.0)
    assert ">0.43<" in sure and "17 steps" in sure and ">0.70<" in sure
    failed = dict.fromkeys(("M1", "M6"), "control 7 (actions shuffled): expected -1, got 0")
    doubted = replace(report, untrusted=failed)
    html = physics_html(doubted, 10.0, this_machine(), 1.0)
    assert not cards(doubted) and "0.43" not in html and "17 steps" not in html and "0.70" not in html
    assert "M1 fails its negative control 7" in html and ">untrusted<" in html


def test_a_ranking_of_constants_is_no_number() -> None:
    html = physics_html(ranked(physics_report(["dream"])), 10.0, this_machine(), 1.0)
    assert (
        "6 policies are fewer than the 20" in html
        and "N/A: Spearman, tau-b, Pearson, regret@1, exploit gap" in html
    )


@pytest.mark.parametrize(
    ("interval", "told"),
    [(Interval(3.0, -np.inf, np.inf), "3\n-inf to > 25"), (Interval(np.inf, 3.0, np.inf), "> 25\n3 to > 25")],
)
def test_a_usable_horizon_may_outlast_the_future(interval: Interval, told: str) -> None:
    assert Cells(25, {}).number(interval, ".0f") == told


def test_a_game_is_shown_by_what_can_be_measured_of_it() -> None:
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    worst = WorstCase("dream", 4, 2, 21.3, "psnr", frames, frames)
    report = replace(with_row(usable=NOTHING, nrmse=NOTHING, present=HIGH), films=[worst])
    assert "PSNR 21.3 dB" in physics_html(report, 10.0, this_machine(), 1.0)
    assert physics_numbers(report)["films"] == [{"model": "dream", "context": 4, "episode": 2, "psnr": 21.3}]
    said = [card.meaning for card in cards(report)]
    assert not any("usable horizon" in text or "where it should be" in text for text in said)
