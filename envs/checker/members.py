"""Checks that the members of a vector environment are environments of their own, the same as single ones."""

from __future__ import annotations

from worldmodel.envs.checker.rollout import difference, member_info
from worldmodel.envs.checker.subject import Subject, require


def check_independence(subject: Subject) -> None:
    """How the others act, when they end and are reset does not change a member."""
    for i in range(subject.num_envs):
        actions = [
            [*other[:i], own[i], *other[i + 1 :]]
            for own, other in zip(subject.actions, subject.other_actions, strict=True)
        ]
        played = subject.play(actions, seed=subject.seed)
        message = "other actions of the other members change this one"
        subject.same(subject.reference, played, subject.tolerance, message, [(i, i)])


def check_batch_size(subject: Subject) -> None:
    """A member alone, in an environment of size one, is the member in the batch."""
    for i in {0, subject.num_envs - 1}:
        alone = subject.play([[row[i]] for row in subject.actions], seed=subject.seeds[i])
        message = (
            f"an environment of size 1 with seed {subject.seeds[i]} is not member {i} of {subject.num_envs}"
        )
        subject.same(subject.reference, alone, subject.tolerance, message, [(i, 0)])


def check_single_spaces(subject: Subject) -> None:
    """The single spaces are those of the single environment."""
    if subject.make_single is None:
        return
    single = subject.make_single()
    try:
        spaces = (single.observation_space, single.action_space)
    finally:
        single.close()
    for name, own, theirs in zip(("observation", "action"), subject.spaces, spaces, strict=True):
        require(own == theirs, f"single_{name}_space is {own}, but the single environment has {theirs}.")


def check_parity(subject: Subject) -> None:
    """SyncVectorEnv over single environments returns the same for the same seeds and actions, ends included."""
    if subject.make_single is not None:
        message = "it is not SyncVectorEnv of the single one"
        subject.same(subject.reference, subject.sync_reference, subject.tolerance, message)


def check_parity_of_infos(subject: Subject) -> None:
    """SyncVectorEnv over single environments tells the same infos of the same members."""
    if subject.make_single is None:
        return
    for own, theirs in zip(subject.reference, subject.sync_reference, strict=True):
        for i in range(subject.num_envs):
            told = member_info(own.infos, i)
            found = difference(told, member_info(theirs.infos, i), subject.tolerance)
            require(
                found is None,
                f"SyncVectorEnv of the single environment tells member {i} at {own.call} otherwise: {found}.",
            )
