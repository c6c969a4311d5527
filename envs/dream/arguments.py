"""What a dream is made and reset with, checked: numbers, seeds, device, checkpoint, limits, reset mask."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from worldmodel.action_check import as_array
from worldmodel.device import usable_device
from worldmodel.errors import WorldModelError, quoted
from worldmodel.model.checkpoint import load_world_model
from worldmodel.model.world_model import WorldModel

NO_LIMIT = -1
SEEDS = 2**64  # seeds are taken modulo this
_NO_SEED = "seed is {}: give a whole number, or a list of one for each dream."


def count(name: str, value: Any) -> int:
    """`value` as an int of at least 1."""
    number = _integer(value)
    if number is None or number < 1:
        raise WorldModelError(f"{name} is {quoted(value)}: give a whole number of at least 1.")
    return number


def time_limit(value: Any, default: int | None) -> int | None:
    """Steps a dream lasts: None takes the default, -1 means no limit."""
    if value is None:
        return default
    number = _integer(value)
    if number is None or (number < 1 and number != NO_LIMIT):
        raise WorldModelError(
            f"max_episode_steps is {quoted(value)}: give a whole number of at least 1, -1 for no limit, "
            "or leave it out for the limit of the real environment."
        )
    return None if number == NO_LIMIT else number


def uncertainty_limit(value: Any, model: WorldModel, num_inference_steps: int) -> float | None:
    """Grey levels of expected error above which a dream is truncated; None: never."""
    if value is None:
        return None
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 < value <= sys.float_info.max:
        raise WorldModelError(
            f"truncate_on_uncertainty is {quoted(value)}: give a number of grey levels above 0, "
            "or None for no such limit."
        )
    if not model.is_calibrated(num_inference_steps):
        raise WorldModelError(
            f"truncate_on_uncertainty needs a checkpoint calibrated for {num_inference_steps} passes: "
            f"run `worldmodel calibrate` with measurements.passes=[{num_inference_steps}] first."
        )
    return float(value)


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, which must be one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise WorldModelError(f"{name} is {quoted(value)}: give one of {', '.join(map(repr, choices))}.")
    return value


def autoreset(mode: Any) -> AutoresetMode:
    """The mode of this name."""
    try:
        return AutoresetMode(mode)
    except (TypeError, ValueError):
        names = ", ".join(item.value for item in AutoresetMode)
        raise WorldModelError(f"autoreset_mode is {quoted(mode)}: the modes are {names}.") from None


def world_model(checkpoint: Any, device: Any, precision: Any = None) -> WorldModel:
    """The given model, as it is, or the one in a folder, on `device` (None: cpu), dreaming in `precision`."""
    place = None if device is None else usable_device(device)
    if isinstance(checkpoint, WorldModel):
        if place is not None and not _same_place(place, checkpoint.device):
            raise WorldModelError(
                f"device is {str(device)!r} but the given model is on {checkpoint.device}: "
                "move it with its method to() first, or leave device out."
            )
        if precision not in (None, checkpoint.precision):
            raise WorldModelError(
                f"precision is {quoted(precision)} but the given model dreams in {checkpoint.precision}: "
                "set it with its method to() first, or leave precision out."
            )
        return checkpoint
    if not isinstance(checkpoint, str | Path):
        raise WorldModelError(
            f"checkpoint is of type {type(checkpoint).__name__}: "
            "give the folder of a checkpoint or training run, the name of a shipped world, or a loaded WorldModel."
        )
    return load_world_model(checkpoint, place or "cpu", precision)


def seeds_given(seed: Any, number: int) -> list[int | None]:
    """A seed, or None, for each of `number` dreams: Gymnasium's rule, an int seeds dream i with seed + i."""
    if seed is None:
        return [None] * number
    first = _integer(seed)
    if first is not None:
        return [(first + i) % SEEDS for i in range(number)]
    listed = seed.ndim == 1 if isinstance(seed, np.ndarray) else isinstance(seed, Sequence)
    if not listed or isinstance(seed, str | bytes):
        raise WorldModelError(_NO_SEED.format(quoted(seed)))
    if len(seed) != number:
        raise WorldModelError(f"{len(seed)} seeds were given for {number} dreams: give one each, or one int.")
    return [None if item is None else one_seed(item) for item in seed]


def one_seed(value: Any) -> int:
    """A seed modulo 2**64."""
    number = _integer(value)
    if number is None:
        raise WorldModelError(_NO_SEED.format(quoted(value)))
    return number % SEEDS


def reset_options(options: Any) -> dict[str, Any]:
    """A copy of the reset options."""
    if options is not None and not isinstance(options, Mapping):
        raise WorldModelError(
            f"Reset options are of type {type(options).__name__}: give a dict with frames and actions, "
            "context, env or reset_mask."
        )
    return dict(options or {})


def reset_mask(mask: Any, number: int) -> np.ndarray:
    """Which of the dreams to start: bool [number], all of them when None."""
    if mask is None:
        return np.ones(number, bool)
    array = as_array("reset_mask", mask)
    if array.dtype != bool or array.shape != (number,) or not array.any():
        raise WorldModelError(f"reset_mask must be a bool array of shape ({number},) with at least one True.")
    return array


def _integer(value: Any) -> int | None:
    """The int that `value` is (NumPy's too, or a 0-dimensional array of one), else None."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return int(value) if whole else None


def _same_place(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (one.index is None or one.index == (other.index or 0))
