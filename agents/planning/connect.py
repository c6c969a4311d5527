"""Which actions lead, in a dream, from the end of one clip to the start of another, and how plausible that is."""

# n start frames, m goal frames, T steps found, N random plans, D size of an encoded action

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.agents.exploration import HeldActions
from worldmodel.agents.planning.goal import MOST_FRAMES, Goal
from worldmodel.agents.planning.planner import Planner, PlannerConfig
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.psnr import squared_error
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import ENDLESS, Dreams, DreamStep
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

_RANDOM_HOLD = 8  # steps, at most, that a random plan holds an action


@dataclass(frozen=True)
class ConnectConfig:
    """How to search.

    steps: how many actions lead to the last goal frame, or (fewest, most), of which the best is taken. planner: see
    PlannerConfig; how many actions it plans follows from `steps`, and what it says of rewards is not used. motion:
    meet the first two frames of a goal that has so many, not only one. random_plans: what the plan found is compared
    with.
    """

    steps: int | tuple[int, int] = 20
    planner: PlannerConfig = field(default_factory=lambda: PlannerConfig(hold=5, candidates=40, iterations=4))
    motion: bool = True
    random_plans: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise WorldModelError(
                f"steps is {self.steps}, expected at least 1, or [FEWEST,MOST] with the fewer first."
            )
        if self.random_plans < 1 or self.seed < 0:
            raise WorldModelError(
                f"random_plans is {self.random_plans}, expected at least 1, and seed {self.seed}, at least 0."
            )

    @property
    def fewest(self) -> int:
        """Steps."""
        return self.steps if isinstance(self.steps, int) else self.steps[0]

    @property
    def most(self) -> int:
        """Steps."""
        return self.steps if isinstance(self.steps, int) else self.steps[1]

    @property
    def search(self) -> PlannerConfig:
        """Of as many actions as the longest way takes."""
        return replace(self.planner, actions=-(-self.most // self.planner.hold), replan_every=1)

    @property
    def frames(self) -> int:
        """Frames imagined for one connection, exactly."""
        return (
            self.search.iterations * self.search.candidates * self.most + (1 + self.random_plans) * self.most
        )


@dataclass(frozen=True)
class Connection:
    """What was found. actions [T, ...] as ActionCodec stores them; frames uint8 [T,H,W,C], what they lead to; the last
    is to be the goal's last.

    Distances (see goal.transport) to the goal: `before`, from the last start frames; `distance`, at the end; `random`
    [N], of random plans, each at its best step. The same as root mean square errors of the last frame, in grey levels:
    error_before, error; `expected_error` is what the dream itself expects of that frame (None where it is not
    calibrated), `uncertainty` [T] of every frame. goal_frames: how many of the goal's were to be met.
    """

    actions: NDArray[Any]
    frames: NDArray[np.uint8]
    before: float
    distance: float
    random: NDArray[np.float64]
    error_before: float
    error: float
    expected_error: float | None
    uncertainty: NDArray[np.float64]
    goal_frames: int

    def plausibility(self) -> dict[str, Any]:
        """The figures, as JSON holds them."""
        return {
            "steps": len(self.actions),
            "distance": {
                "before": self.before,
                "found": self.distance,
                "random_median": float(np.median(self.random)),
                "random_nearest": float(self.random.min()),
                "share_of_before": self.distance / self.before if self.before else None,
            },
            "random_plans": len(self.random),
            "random_plans_nearer": float((self.random < self.distance).mean()),
            "error": {
                "before": self.error_before,
                "found": self.error,
                "expected_by_the_dream": self.expected_error,
            },
            "within_expected_error": None
            if self.expected_error is None
            else self.error <= self.expected_error,
        }


def connect(
    model: WorldModel,
    start_frames: NDArray[np.uint8],
    start_actions: NDArray[Any] | None,
    goal_frames: NDArray[np.uint8],
    config: ConnectConfig,
    quiet: bool = False,
) -> Connection:
    """Find the actions that lead from the last of start_frames uint8 [n,H,W,C] to goal_frames uint8 [m,H,W,C].

    start_actions: the n-1 actions between the start frames, as ActionCodec stores them; None: not known, and the dream
    begins from the last frame alone, at rest. Of the goal the first two frames count (with config.motion; else, or
    where there is one, the first). quiet: no progress bar. The result follows from the arguments alone. Raises
    WorldModelError for frames or actions that are not of this world.
    """
    _check(model, start_frames, start_actions, goal_frames)
    wanted = torch.from_numpy(np.array(goal_frames[: MOST_FRAMES if config.motion else 1]))[None].to(
        model.device
    )
    goal = Goal(wanted, config.fewest, config.most)
    start = _begin(model, start_frames, start_actions, config.seed)
    seeds = torch.tensor([config.seed], device=model.device)
    with progress(total=config.frames, desc="connecting", unit="frame", disable=quiet) as bar:

        def objective(dreams: Dreams, steps: Iterator[DreamStep]) -> Tensor:
            return goal(dreams, _counted(dreams, steps, bar.update))

        planner = Planner(model, config.search, objective=objective)
        plan = planner.plan(start, planner.begin(1), seeds, torch.zeros_like(seeds)).steps[0, : config.most]
        stored = model.world.codec.decode(plan.cpu().numpy())
        candidates = np.concatenate([stored[None], random_plans(model, config)])
        return _looked_at(model, start, candidates, goal, wanted[0, -1], bar.update)


def random_plans(model: WorldModel, config: ConnectConfig) -> NDArray[Any]:
    """[N, most, ...]: actions as stored, uniform, each held for 1 to 8 steps."""
    space, codec = model.world.action_space, model.world.codec
    blank = np.zeros(model.world.frame_shape, np.uint8)
    plans = []
    for rng in np.random.default_rng((config.seed, 1)).spawn(config.random_plans):
        policy = HeldActions(space, rng, max_hold=_RANDOM_HOLD)
        plans.append(np.stack([codec.store(policy.act(blank)) for _ in range(config.most)]))
    return np.stack(plans)


def _looked_at(
    model: WorldModel, start: DreamState, plans: NDArray[Any], goal: Goal, last: Tensor, count: Any
) -> Connection:
    """Dream the first of `plans` and the random ones after it once more, with the world's own number of passes."""
    dreams = Dreams(model, start, ending=ENDLESS).branch(len(plans))
    before = float(goal.distance(start.recent))
    error_before = _error(float_to_frames(start.last[0]), last)
    encoded = torch.from_numpy(model.world.codec.encode(plans)).to(model.device)
    frames, doubts = list[Tensor](), list[float]()

    def steps() -> Iterator[DreamStep]:
        for action in encoded.unbind(dim=1):
            step = dreams.step(action)
            frames.append(float_to_frames(step.frame[0]))
            doubts.append(float(step.uncertainty[0]))
            yield step

    distances = goal.distances(dreams, _counted(dreams, steps(), count)).double().cpu().numpy()
    arrival = goal.first + int(distances[0].argmin())
    uncertainty = np.array(doubts[:arrival])
    return Connection(
        actions=plans[0, :arrival],
        frames=torch.stack(frames[:arrival]).cpu().numpy(),
        before=before,
        distance=float(distances[0].min()),
        random=distances[1:].min(axis=1),
        error_before=error_before,
        error=_error(frames[arrival - 1], last),
        expected_error=None if np.isnan(uncertainty[-1]) else float(uncertainty[-1]),
        uncertainty=uncertainty,
        goal_frames=goal.frames,
    )


def _begin(
    model: WorldModel, frames: NDArray[np.uint8], actions: NDArray[Any] | None, seed: int
) -> DreamState:
    codec = model.world.codec
    if actions is None:
        frames, actions = frames[-1:], np.zeros((0, *codec.stored_shape), codec.stored_dtype)
    encoded = torch.from_numpy(codec.encode(actions))
    return model.begin(torch.from_numpy(np.array(frames))[None], encoded[None], torch.tensor([seed]))


def _counted(dreams: Dreams, steps: Iterator[DreamStep], count: Any) -> Iterator[DreamStep]:
    for step in steps:
        count(len(dreams))
        yield step


def _error(frame: Tensor, other: Tensor) -> float:
    """Root mean square of two frames uint8 [H,W,C], in grey levels."""
    return float(squared_error(frame, other).sqrt())


def _check(
    model: WorldModel, start: NDArray[np.uint8], actions: NDArray[Any] | None, goal: NDArray[np.uint8]
) -> None:
    shape, codec = model.world.frame_shape, model.world.codec
    for name, frames in (("start", start), ("goal", goal)):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != shape or not len(frames):
            raise WorldModelError(
                f"The {name} has frames {frames.dtype} {list(frames.shape)}, this world draws uint8 "
                f"[n, {', '.join(map(str, shape))}]."
            )
    if actions is not None and actions.shape != (len(start) - 1, *codec.stored_shape):
        raise WorldModelError(
            f"{len(start)} start frames have actions of shape {[len(start) - 1, *codec.stored_shape]} between them in "
            f"this world, got {list(actions.shape)}: leave them out, and the dream begins from the last frame."
        )
