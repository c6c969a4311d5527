"""The learning loop: roll out, update, keep. It knows no concrete world."""

# T steps of a rollout, B worlds

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from worldmodel.agents.actor_critic import ActorCritic
from worldmodel.agents.ppo import PPOConfig, Rollout, ppo_update
from worldmodel.agents.storage import restore_learner, save_learner, saved_learners
from worldmodel.agents.worlds import World, WorldStep
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


@dataclass(frozen=True)
class Row:
    """One rollout and update, a point of the learning curve.

    frames: steps of all worlds so far; seconds so far; reward: mean per step; terminations: share of steps that ended
    an episode; policy_loss, value_loss, entropy, kl: means over the update (see ppo_loss).
    """

    frames: int
    seconds: float
    reward: float
    terminations: float
    policy_loss: float
    value_loss: float
    entropy: float
    kl: float


def learn(
    policy: ActorCritic, world: World, config: PPOConfig, budget: Budget, folder: Path, seed: int = 0
) -> list[Row]:
    """Train `policy` in `world` until the budget is used; returns the learning curve.

    `folder` keeps checkpoints: started again, learning goes on from the newest one, in a dream exactly as if it had
    never been stopped. Raises WorldModelError when a dream pays nothing at all, or when the losses are not finite.
    """
    optimizer = Adam(policy.parameters(), config.learning_rate, eps=1e-5)
    rows = _restore(folder, policy, optimizer)
    frames, before = (rows[-1].frames, rows[-1].seconds) if rows else (0, 0.0)
    began = saved = time.monotonic()
    observation = world.reset(frames // world.num_worlds)
    with _bar(budget, frames, before) as advance:
        seconds = before
        while steps := budget.steps(frames, seconds, world.num_worlds, config.rollout_steps):
            _set_learning_rate(optimizer, config, budget.share(frames, seconds))
            chance = seeded_generator(seed, frames, ROLLOUT_STREAM, observation.device)
            rollout, observation = roll_out(policy, world, observation, steps, chance)
            _check_reward(rollout, world)
            chance = seeded_generator(seed, frames, UPDATE_STREAM, observation.device)
            metrics = ppo_update(policy, optimizer, rollout, config, chance)
            frames += steps * world.num_worlds
            seconds = before + time.monotonic() - began
            rows.append(_row(frames, seconds, rollout, metrics))
            advance(rows[-1])
            exact = frames // world.num_worlds % world.period == 0
            if exact and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                _save(folder, policy, optimizer, rows)
                saved = time.monotonic()
    if not rows:
        raise WorldModelError(
            f"Nothing was learned: one step of {world.num_worlds} worlds takes more than frames={budget.frames}."
        )
    _save(folder, policy, optimizer, rows)
    return rows


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
        ends = (step.terminated, step.truncated)
        taken.append((observation, action, log_prob, step.reward, outlook.value, next_value, *ends))
        observation, outlook = step.observation, ahead
    return Rollout(*(torch.stack(parts) for parts in zip(*taken, strict=True))), observation


def _value_ahead(policy: ActorCritic, step: WorldStep, value: Tensor) -> Tensor:
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
    return Row(frames=frames, seconds=seconds, reward=reward, terminations=terminations, **metrics)


def _set_learning_rate(optimizer: Optimizer, config: PPOConfig, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate + share * (config.final_learning_rate - config.learning_rate)


def _save(folder: Path, policy: ActorCritic, optimizer: Optimizer, rows: list[Row]) -> None:
    """A new checkpoint; the older ones go once it is complete."""
    older, newest = saved_learners(folder), folder / f"{rows[-1].frames:012d}"
    save_learner(policy, optimizer, newest, {"rows": [asdict(row) for row in rows]})
    for stale in older:
        if stale != newest:
            shutil.rmtree(stale)


def _restore(folder: Path, policy: ActorCritic, optimizer: Optimizer) -> list[Row]:
    saved = saved_learners(folder)
    if not saved:
        return []
    return [Row(**row) for row in restore_learner(saved[-1], policy, optimizer)["rows"]]


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
