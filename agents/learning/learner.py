"""The learning loop: roll out, update, keep."""

# T steps of a rollout, B worlds

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.curve import Row
from worldmodel.agents.learning.ppo import PPOConfig, Rollout, ppo_update
from worldmodel.agents.learning.snapshots import Snapshots
from worldmodel.agents.learning.storage import restore_learner, save_learner, saved_learners
from worldmodel.agents.learning.worlds import World
from worldmodel.envs.dream import TensorStep
from worldmodel.errors import WorldModelError
from worldmodel.noise import seeded_generator
from worldmodel.progress import progress

ROLLOUT_STREAM, UPDATE_STREAM = 2, 3
SECONDS_BETWEEN_CHECKPOINTS = 15.0


@dataclass(frozen=True)
class Budget:
    """When learning ends: after at most `frames` steps of all worlds together or `minutes`, whichever is first."""

    frames: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.frames is None and self.minutes is None:
            raise WorldModelError("Learning needs an end: give frames= or minutes=.")
        for name, value in (("frames", self.frames), ("minutes", self.minutes)):
            if value is not None and value <= 0:
                raise WorldModelError(f"{name} is {value}, expected more than 0.")

    def steps(self, frames: int, seconds: float, num_worlds: int, wanted: int) -> int:
        """How many of the `wanted` steps of each world are still to be done; 0: learning is over."""
        if self.minutes is not None and seconds >= 60 * self.minutes:
            return 0
        return wanted if self.frames is None else min(wanted, (self.frames - frames) // num_worlds)

    def share(self, frames: int, seconds: float) -> float:
        """How much of the budget is used, from 0 to 1."""
        by_frames = frames / self.frames if self.frames else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_frames, by_time))


class Check(Protocol):
    """Looks at the policy now and then; may end learning (`stopped`) or change the uncertainty penalty."""

    @property
    def penalty(self) -> float:
        """In reward per grey level."""

    @property
    def stopped(self) -> bool:
        """Whether learning must end here."""

    def due(self, updates: int) -> bool:
        """Whether to look after so many updates."""

    def check(self, policy: ActorCritic, rollout: Rollout, updates: int, frames: int) -> None:
        """Look."""

    def to_json(self) -> list[dict[str, Any]]:
        """What it saw, for `restore`."""

    def restore(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Go on from there."""


class Penalised:
    """The uncertainty penalty of a run that nothing checks."""

    def __init__(self, penalty: float = 0.0) -> None:
        self.penalty, self.stopped = penalty, False

    def due(self, updates: int) -> bool:
        """Never."""
        return False

    def check(self, policy: ActorCritic, rollout: Rollout, updates: int, frames: int) -> None:
        """Nothing to look at."""

    def to_json(self) -> list[dict[str, Any]]:
        """Nothing seen."""
        return []

    def restore(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing to restore."""


def learn(
    policy: ActorCritic,
    world: World,
    config: PPOConfig,
    budget: Budget,
    folder: Path,
    seed: int = 0,
    check: Check | None = None,
    snapshots: Snapshots | None = None,
) -> list[Row]:
    """Train `policy` in `world` until the budget is used or `check` stops it; returns the learning curve.

    `folder` keeps checkpoints: started again, learning goes on from the newest one, in a dream exactly as if it had
    never been stopped. Raises WorldModelError when a dream pays nothing at all, or when the losses are not finite.
    """
    check = Penalised() if check is None else check
    optimizer = Adam(policy.parameters(), config.learning_rate, eps=1e-5)
    rows = _restore(folder, policy, optimizer, check)
    frames, before = (rows[-1].frames, rows[-1].seconds) if rows else (0, 0.0)
    if budget.frames is not None and frames > budget.frames:
        raise WorldModelError(
            f"The agent in {folder.parent} has learned from {frames} frames already, more than frames={budget.frames}: "
            "choose another out."
        )
    began = saved = time.monotonic()
    observation = world.reset(frames // world.num_worlds)
    with _bar(budget, frames, before) as advance:
        seconds = before
        while steps := budget.steps(frames, seconds, world.num_worlds, config.rollout_steps):
            if check.stopped:
                break
            start, inside = time.perf_counter(), world.seconds
            _set_learning_rate(optimizer, config, budget.share(frames, seconds))
            chance = seeded_generator(seed, frames, ROLLOUT_STREAM, observation.device)
            rollout, observation = roll_out(policy, world, observation, steps, chance)
            _check_reward(rollout, world)
            chance = seeded_generator(seed, frames, UPDATE_STREAM, observation.device)
            learned_from = penalised(rollout, check.penalty)
            metrics = ppo_update(policy, optimizer, learned_from, config, chance)
            frames += steps * world.num_worlds
            seconds = before + time.monotonic() - began
            inside, busy = world.seconds - inside, time.perf_counter() - start
            row = _row(frames, seconds, rollout, metrics)
            rows.append(replace(row, penalty=check.penalty, inside=inside, busy=busy))
            advance(rows[-1])
            if snapshots is not None and snapshots.due(frames):
                snapshots.keep(policy, frames, seconds)
            exact = frames // world.num_worlds % world.period == 0
            checked = exact and check.due(len(rows))
            if checked:
                check.check(policy, rollout, len(rows), frames)
            if checked or (exact and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS):
                _save(folder, policy, optimizer, rows, check)
                saved = time.monotonic()
    if not rows:
        raise WorldModelError(
            f"Nothing was learned: one step of {world.num_worlds} worlds takes more than frames={budget.frames}."
        )
    _save(folder, policy, optimizer, rows, check)
    return rows


def penalised(rollout: Rollout, penalty: float) -> Rollout:
    """The rollout with `penalty` taken from each reward for every grey level of the error that is expected of the frame
    the transition led to. Raises WorldModelError where nothing is known about that error."""
    if penalty == 0:
        return rollout
    if not rollout.uncertainty.isfinite().all():
        raise WorldModelError(
            "The uncertainty of the imagined frames is not known, so it cannot be penalised: run `worldmodel "
            "calibrate` with these num_inference_steps among its measurements.passes, or set uncertainty_penalty=0."
        )
    return replace(rollout, rewards=rollout.rewards - penalty * rollout.uncertainty)


@torch.no_grad()
def roll_out(
    policy: ActorCritic, world: World, observation: Tensor, steps: int, generator: torch.Generator
) -> tuple[Rollout, Tensor]:
    """`steps` steps from `observation` under sampled actions; also returns the observation to go on from."""
    outlook = policy(observation)
    taken: list[tuple[Tensor, ...]] = []
    for _ in range(steps):
        action = outlook.actions.sample(generator)
        step = world.step(action)
        ahead = policy(step.observation)
        next_value = _value_ahead(policy, step, ahead.value)
        log_prob = outlook.actions.log_prob(action)
        paid = (step.reward, outlook.value, next_value, step.terminated, step.truncated, step.uncertainty)
        taken.append((observation, action, log_prob, *paid))
        observation, outlook = step.observation, ahead
    return Rollout(*(torch.stack(parts) for parts in zip(*taken, strict=True))), observation


def _value_ahead(policy: ActorCritic, step: TensorStep, value: Tensor) -> Tensor:
    """Values [B] of the frames these transitions led to: where an episode was truncated, of its last frame."""
    cut = step.truncated.nonzero()[:, 0]
    if not len(cut):
        return value
    value = value.clone()
    value[cut] = policy(step.final[cut]).value
    return value


def _check_reward(rollout: Rollout, world: World) -> None:
    if world.imagined and not rollout.rewards.any():
        raise WorldModelError(
            f"All {rollout.rewards.numel()} imagined rewards are exactly zero, so there is nothing to learn from: "
            "train the world model on episodes in which something is rewarded."
        )


def _row(frames: int, seconds: float, rollout: Rollout, metrics: dict[str, float]) -> Row:
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise WorldModelError(
            f"{bad[0]} is {metrics[bad[0]]} after {frames} frames: lower ppo.learning_rate and run the same command "
            "again; the last good checkpoint is kept."
        )
    reward, terminations = rollout.rewards.mean().item(), rollout.terminated.float().mean().item()
    error = rollout.uncertainty.mean().item()
    return Row(
        frames=frames,
        seconds=seconds,
        reward=reward,
        terminations=terminations,
        uncertainty=error if math.isfinite(error) else None,
        **metrics,
    )


def _set_learning_rate(optimizer: Optimizer, config: PPOConfig, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate + share * (config.final_learning_rate - config.learning_rate)


def _save(folder: Path, policy: ActorCritic, optimizer: Optimizer, rows: list[Row], check: Check) -> None:
    """A new checkpoint; the older ones go once it is complete."""
    older, newest = saved_learners(folder), folder / f"{rows[-1].frames:012d}"
    save_learner(
        policy, optimizer, newest, {"rows": [asdict(row) for row in rows], "checks": check.to_json()}
    )
    for stale in older:
        if stale != newest:
            shutil.rmtree(stale)


def _restore(folder: Path, policy: ActorCritic, optimizer: Optimizer, check: Check) -> list[Row]:
    saved = saved_learners(folder)
    if not saved:
        return []
    about = restore_learner(saved[-1], policy, optimizer)
    check.restore(about.get("checks", []))
    return [Row(**row) for row in about["rows"]]


@contextmanager
def _bar(budget: Budget, frames: int, seconds: float) -> Iterator[Callable[[Row], None]]:
    """A progress bar in frames, or in seconds where time is what runs out; yields what advances it to a row."""
    timed = budget.minutes is not None
    total = round(60 * budget.minutes) if budget.minutes is not None else budget.frames
    with progress(
        total=total, initial=round(seconds) if timed else frames, desc="learn", unit="s" if timed else "frame"
    ) as bar:

        def advance(row: Row) -> None:
            bar.set_postfix(frames=row.frames, reward=f"{row.reward:.3f}", refresh=False)
            bar.update(min(total or 0, round(row.seconds) if timed else row.frames) - bar.n)

        yield advance
