"""A checker of vector environments: what gymnasium.utils.env_checker is for single ones.

from worldmodel.envs.checker.vector_checker import check_vector_env

check_vector_env(lambda n: gym.make_vec("CartPole-v1", n, vectorization_mode="sync"), lambda: gym.make("CartPole-v1"))
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import gymnasium as gym
from gymnasium.vector import VectorEnv

from worldmodel.envs.checker import autoreset, contract, members, ownership, seeding
from worldmodel.envs.checker.rollout import Tolerance
from worldmodel.envs.checker.subject import Subject, VectorEnvError
from worldmodel.errors import WorldModelError

__all__ = ["CHECKS", "VectorEnvError", "check_vector_env"]

# In this order: a check may rely on those before it.
CHECKS: dict[str, Callable[[Subject], None]] = {
    "metadata": contract.check_metadata,
    "spaces": contract.check_spaces,
    "reset": contract.check_reset,
    "step": contract.check_step,
    "infos": contract.check_infos,
    "render": contract.check_render,
    "close": contract.check_close,
    "results_kept": ownership.check_results_kept,
    "same_seed": seeding.check_same_seed,
    "same_infos": seeding.check_same_infos,
    "seeds_matter": seeding.check_seeds_matter,
    "unseeded_reset": seeding.check_unseeded_reset,
    "results_given": ownership.check_results_given,
    "actions_borrowed": ownership.check_actions_borrowed,
    "independence": members.check_independence,
    "autoreset": autoreset.check_autoreset,
    "reset_after_end": autoreset.check_reset_after_end,
    "reset_mask": autoreset.check_reset_mask,
    "int_seed": seeding.check_int_seed,
    "list_seeds": seeding.check_list_seeds,
    "batch_size": members.check_batch_size,
    "single_spaces": members.check_single_spaces,
    "parity": members.check_parity,
    "parity_of_infos": members.check_parity_of_infos,
}


def check_vector_env(
    make: Callable[[int], VectorEnv],
    make_single: Callable[[], gym.Env] | None = None,
    *,
    num_envs: int = 3,
    steps: int = 100,
    seed: int = 0,
    atol: float = 0.0,
    atol_uint8: int = 0,
    skip: Collection[str] = (),
) -> tuple[str, ...]:
    """Check a vector environment in the autoreset mode that its metadata names; returns the names of the checks passed.

    make(n): a new vector environment of n members (it is called some thirty times, also with n = 1); make_single: the
    same environment as a single one (without it nothing is compared with SyncVectorEnv); num_envs: members, at least 2;
    steps: length of every rollout, long enough for an episode to end under random actions; atol: how far floats may
    differ, absolutely and relatively, and atol_uint8 how many levels uint8 values may, between batches that differ in
    their size or in what other members do (all other comparisons are bit for bit); skip: names of CHECKS left out.
    Raises VectorEnvError for the first property broken, in the order of CHECKS.
    """
    if unknown := sorted(set(skip) - set(CHECKS)):
        raise WorldModelError(
            f"There is no check {unknown[0]!r} to skip: the checks are {', '.join(CHECKS)}."
        )
    if num_envs < 2 or steps < 2:
        raise WorldModelError(f"num_envs is {num_envs} and steps is {steps}: give at least 2 of each.")
    subject = Subject(make, make_single, num_envs, steps, seed, Tolerance(atol, atol_uint8))
    passed = [name for name in CHECKS if name not in skip]
    for name in passed:
        try:
            CHECKS[name](subject)
        except VectorEnvError as error:
            raise VectorEnvError(_one_line(error), name) from None
        except Exception as error:  # whatever the environment raises breaks the property
            message = f"the environment raises {type(error).__name__}: {_one_line(error)}"
            raise VectorEnvError(message, name) from error
    return tuple(passed)


def _one_line(error: Exception) -> str:
    """Messages quote arrays and spaces, which NumPy breaks over lines."""
    return " ".join(str(error).split())
