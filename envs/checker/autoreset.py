"""Checks of what a vector environment does when episodes end, in the mode that its metadata names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from gymnasium.vector import AutoresetMode

from worldmodel.envs.checker.rollout import (
    EXACT,
    Moment,
    difference,
    first,
    go_on,
    member_info,
    play,
)
from worldmodel.envs.checker.subject import Subject, require


def check_autoreset(subject: Subject) -> None:
    """SAME_STEP: final_obs and final_info with the end, and already the first observation of the next episode.
    NEXT_STEP: the next step begins anew, whatever its action, with reward 0 and no end. DISABLED: neither."""
    # NEXT_STEP shows an end in the step after it
    last = -1 if subject.mode == AutoresetMode.NEXT_STEP else None
    require(
        any(moment.ended.any() for moment in subject.reference[:last]),
        f"no episode ended within {subject.steps} steps, so this was not checked: "
        "give more steps, a shorter time limit, or skip this check.",
    )
    match subject.mode:
        case AutoresetMode.SAME_STEP:
            _check_same_step(subject)
        case AutoresetMode.NEXT_STEP:
            _check_no_final(subject)
            _check_next_step(subject)
        case AutoresetMode.DISABLED:
            _check_no_final(subject)


def check_reset_after_end(subject: Subject) -> None:
    """reset(seed) right after an end is a reset like any other: no autoreset is left pending."""
    ends = [t for t, moment in enumerate(_steps(subject.reference)) if moment.ended.any()]
    for t in ends[:1]:
        with subject.env() as env:
            play(env, subject.actions[: t + 1], seed=subject.seed)
            again = play(env, subject.actions, seed=subject.seed)
        subject.same(
            again, subject.reference, EXACT, "a reset right after an end differs from one at the start"
        )


def check_reset_mask(subject: Subject) -> None:
    """DISABLED: reset with options={"reset_mask": mask} begins the members of the mask, and touches no other."""
    if subject.mode != AutoresetMode.DISABLED:
        return
    mask, others = np.arange(subject.num_envs) == 0, range(1, subject.num_envs)
    quiet = [t for t, moment in enumerate(_steps(subject.reference), 1) if not moment.ended.any()]
    played = max((t for t in quiet if t <= subject.steps // 2), default=0)
    actions = subject.actions
    with subject.env() as env:
        before = play(env, actions[:played], seed=subject.seed)
        begun = first(env, seed=subject.seed, options={"reset_mask": (given := mask.copy())})
        require(np.array_equal(given, mask), f"reset changes its reset_mask from {mask} to {given}.")
        for i in others:
            found = difference(before[-1].obs[i], begun.obs[i], EXACT, "its observation")
            require(found is None, f"reset_mask {mask} leaves member {i} out, but {found}.")
            told = sorted(member_info(begun.infos, i))
            require(not told, f"reset_mask {mask} leaves member {i} out, but infos tell its {told}.")
        rows = [[early[0], *late[1:]] for early, late in zip(actions, actions[played:], strict=False)]
        after = go_on(env, rows, [*before, begun])
    message = f"reset_mask {mask} disturbs a member that it leaves out"
    subject.same(subject.reference, after, subject.tolerance, message, [(i, i) for i in others])
    message = (
        f"reset(seed={subject.seed}) with reset_mask {mask} is no reset(seed={subject.seed}) of member 0"
    )
    expected = _until_step(subject.reference, len(rows))
    subject.same(expected, after[len(before) :], subject.tolerance, message, [(0, 0)])


def _check_same_step(subject: Subject) -> None:
    changed = []
    for moment in _steps(subject.reference):
        for key in ("final_obs", "final_info"):
            mask = moment.infos.get(f"_{key}", np.zeros(subject.num_envs, bool))
            require(
                np.array_equal(mask, moment.ended),
                f"SAME_STEP: at {moment.call} the episodes of {_which(moment.ended)} end, "
                f"but infos has {key} of {_which(mask)}.",
            )
        for i in np.flatnonzero(moment.ended).tolist():
            final = moment.infos["final_obs"][i]
            require(
                final in subject.spaces[0],
                f"SAME_STEP: final_obs of member {i} at {moment.call} is not in the observation space: {final!r}.",
            )
            info = moment.infos["final_info"]
            require(isinstance(info, Mapping), f"SAME_STEP: final_info is no dict: {info!r}.")
            changed.append(difference(moment.obs[i], final, EXACT) is not None)
    require(
        any(changed),
        "SAME_STEP: at every end the returned observation is the final one, not the first of the next episode.",
    )


def _check_next_step(subject: Subject) -> None:
    changed = []
    moments = list(_steps(subject.reference))
    for end, begin in pairwise(moments):
        for i in np.flatnonzero(end.ended).tolist():
            where = f"NEXT_STEP: member {i} ended at {end.call}, but at {begin.call}"
            reward = begin.rewards[i] if begin.rewards is not None else None
            require(reward == 0, f"{where}, which only begins it anew, its reward is {reward}.")
            require(not begin.ended[i], f"{where}, which only begins it anew, it ends again.")
            changed.append(difference(end.obs[i], begin.obs[i], EXACT) is not None)
    require(
        any(changed),
        "NEXT_STEP: after every end the next step returns the last observation again, not one of a new episode.",
    )
    _check_action_ignored(subject, moments)


def _check_action_ignored(subject: Subject, moments: Sequence[Moment]) -> None:
    """Members that begin anew are given another action: nothing changes."""
    actions = [
        [other if ended else own for own, other, ended in zip(*rows, moment.ended, strict=True)]
        for *rows, moment in zip(subject.actions[1:], subject.other_actions[1:], moments, strict=False)
    ]
    played = subject.play([subject.actions[0], *actions], seed=subject.seed)
    message = "NEXT_STEP: the action of the step that begins a member anew is not ignored"
    subject.same(subject.reference, played, subject.tolerance, message)


def _check_no_final(subject: Subject) -> None:
    for moment in _steps(subject.reference):
        found = [key for key in ("final_obs", "final_info") if key in moment.infos]
        require(
            not found,
            f"{subject.mode.name}: infos has {found} at {moment.call}, which belongs to SAME_STEP: "
            "metadata['autoreset_mode'] and what the environment does disagree.",
        )


def _steps(moments: Sequence[Moment]) -> Iterator[Moment]:
    return (moment for moment in moments if moment.rewards is not None)


def _until_step(moments: Sequence[Moment], steps: int) -> list[Moment]:
    """The moments up to this many steps."""
    counts = np.cumsum([moment.rewards is not None for moment in moments])
    return list(moments[: int(np.searchsorted(counts, steps)) + 1])


def _which(mask: np.ndarray) -> str:
    return f"members {np.flatnonzero(mask).tolist()}" if np.any(mask) else "no member"
