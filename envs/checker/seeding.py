"""Checks of a vector environment's seeds."""

from __future__ import annotations

from worldmodel.envs.checker.rollout import (
    EXACT,
    Moment,
    difference,
    first_difference,
    member_info,
    play,
    timeline,
)
from worldmodel.envs.checker.subject import Subject, require


def check_same_seed(subject: Subject) -> None:
    """The same seed and actions give the same rollout, bit for bit: in a new environment, and in a played one."""
    subject.same(
        subject.repetition, subject.reference, EXACT, f"two new environments with seed {subject.seed} differ"
    )
    message = (
        f"reset(seed={subject.seed}) of a played environment is not reset(seed={subject.seed}) of a new one"
    )
    with subject.env() as env:
        play(env, subject.other_actions, seed=subject.seed + 100)
        subject.same(play(env, subject.actions, seed=subject.seed), subject.reference, EXACT, message)


def check_same_infos(subject: Subject) -> None:
    """The same seed and actions give the same infos (skip it where an info is the time of day)."""
    for one, other in zip(subject.repetition, subject.reference, strict=True):
        for member in range(subject.num_envs):
            found = difference(member_info(one.infos, member), member_info(other.infos, member), EXACT)
            require(
                found is None, f"two new environments with seed {subject.seed} tell differently of {found}."
            )


def check_int_seed(subject: Subject) -> None:
    """reset(seed=s) is reset(seed=[s, s + 1, ...]), bit for bit."""
    listed = subject.play(subject.actions, seed=subject.seeds)
    message = f"reset(seed={subject.seed}) is not reset(seed={subject.seeds})"
    subject.same(subject.reference, listed, EXACT, message)


def check_list_seeds(subject: Subject) -> None:
    """Each member follows its own seed of the list, wherever it stands there; None seeds nothing."""
    message = (
        f"reset(seed={subject.seeds[::-1]}) is not reset(seed={subject.seeds}) with its members reversed"
    )
    pairs = [(i, subject.num_envs - 1 - i) for i in range(subject.num_envs)]
    turned = subject.play([row[::-1] for row in subject.actions], seed=subject.seeds[::-1])
    subject.same(subject.reference, turned, subject.tolerance, message, pairs)
    partial = [None, *subject.seeds[1:]]
    played = subject.play(subject.actions, seed=partial)
    message = f"reset(seed={partial}) is not reset(seed={subject.seeds}) for the members that it seeds"
    subject.same(
        subject.reference, played, subject.tolerance, message, [(i, i) for i in range(1, subject.num_envs)]
    )


def check_seeds_matter(subject: Subject) -> None:
    """Other seeds give other rollouts (skip it where the environment knows no chance)."""
    other = subject.play(subject.actions, seed=subject.seed + 1000)
    _require_other(subject, subject.reference, other, f"seeds {subject.seed} and {subject.seed + 1000}")


def check_unseeded_reset(subject: Subject) -> None:
    """reset() goes on with the seeded streams: another episode, the same each time; a new env starts anywhere."""
    runs = []
    for _ in range(2):
        with subject.env() as env:
            play(env, subject.actions, seed=subject.seed)
            runs.append(play(env, subject.actions))
    message = f"reset() after reset(seed={subject.seed}) is not the same each time"
    subject.same(runs[0], runs[1], EXACT, message)
    _require_other(
        subject, subject.reference, runs[0], f"reset(seed={subject.seed}) and the reset() after it"
    )
    one, other = subject.play(subject.actions), subject.play(subject.actions)
    _require_other(subject, one, other, "reset() of two new environments without a seed")


def _require_other(subject: Subject, one: list[Moment], other: list[Moment], which: str) -> None:
    members = range(subject.num_envs)
    found = [first_difference(timeline(one, i), timeline(other, i), EXACT) for i in members]
    require(
        any(found), f"{which} give the same rollout (skip this check if the environment knows no chance)."
    )
