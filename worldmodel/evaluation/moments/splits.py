"""Contexts beyond the training data: physics it never had, and starts that it had only one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.contexts import fresh_contexts, joined
from worldmodel.evaluation.moments.rollouts import COMBINATION, Contexts
from worldmodel.real_env import EnvConfig

# What an option changes, by a word in its name; the first that fits counts.
KINDS: Mapping[str, str] = {
    "mass": "mass",
    "friction": "friction",
    "gravity": "gravity",
    "radius": "size",
    "length": "size",
    "width": "size",
    "restitution": "bounce",
    "max_torque": "strength",
    "enemy_speed": "speed",
}
BEYOND = 1.5  # times the default; where that is not allowed, divided by it
EDGE = (0.7, 0.85)  # of a training range from its middle: at its very end, things would stand in a wall
TRIES = 20  # starts tried for each context: extremes of several options may overlap


def unfamiliar_options(env: EnvConfig) -> dict[str, dict[str, float]]:
    """Split name -> reset options, one split for each kind of physics that the environment documents: every option
    of the kind lies outside its training range. Empty for an environment without documented ranges."""
    splits: dict[str, dict[str, float]] = {}
    for name, option in _ranges(env).items():
        kind = next((kind for word, kind in KINDS.items() if word in name), None)
        if kind is None or option.size != 1 or option.whole or option.unit == "rgb":
            continue
        high = option.training[1] if option.training else option.default
        low = option.training[0] if option.training else option.default
        for value in (high * BEYOND, low / BEYOND, option.outside[1], option.outside[0]):
            if option.outside[0] <= value <= option.outside[1] and not low <= value <= high:
                splits.setdefault(f"ood:{kind}", {})[name] = float(value)
                break
    return splits


def unfamiliar_contexts(
    env: EnvConfig,
    options: Mapping[str, float],
    split: str,
    count: int,
    context_frames: int,
    horizon: int,
    seed: int,
) -> Contexts:
    """Fresh episodes under these options. Raises EnvError where too many end before the horizon."""
    return fresh_contexts(
        env, count, context_frames, horizon, seed, options=options, split=split, whole=False
    )


def combined_contexts(
    env: EnvConfig, count: int, context_frames: int, horizon: int, seed: int
) -> Contexts | None:
    """Starts at the edges of several training ranges at once: each edge was seen, together they hardly ever were.
    None for an environment that draws fewer than two of its start options."""
    drawn = {name: o for name, o in _ranges(env).items() if o.default is None and o.training is not None}
    if len(drawn) < 2:
        return None
    rng, parts = np.random.default_rng(seed), []
    for number in range(count):
        parts.append(_extreme(env, drawn, rng, context_frames, horizon, seed + number))
    found = [part for part in parts if part is not None]
    if len(found) < max(2, count // 2):
        raise EnvError("Too few starts at the edges of several ranges are possible in this environment.")
    whole = joined(found)
    every = np.arange(len(whole))
    return Contexts(**{**vars(whole), "episodes": every, "ids": every, "split": COMBINATION})


def _extreme(
    env: EnvConfig,
    drawn: Mapping[str, Any],
    rng: np.random.Generator,
    context_frames: int,
    horizon: int,
    seed: int,
) -> Contexts | None:
    for attempt in range(TRIES):
        options: dict[str, Any] = {}
        for name, option in drawn.items():
            low, high = option.training
            edge = (low + high) / 2 + np.where(rng.random(option.size) < 0.5, -0.5, 0.5) * (
                high - low
            ) * rng.uniform(*EDGE, option.size)
            options[name] = float(edge[0]) if option.size == 1 else tuple(edge.tolist())
        try:
            return fresh_contexts(
                env,
                1,
                context_frames,
                horizon,
                seed * TRIES + attempt,
                options=options,
                split=COMBINATION,
                whole=False,
            )
        except EnvError:
            continue  # they overlap, or there is no such ball: another corner
    return None


def _ranges(env: EnvConfig) -> Mapping[str, Any]:
    made = env.make()
    try:
        return dict(made.get_wrapper_attr("ranges")) if made.has_wrapper_attr("ranges") else {}
    finally:
        made.close()
