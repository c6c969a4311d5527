"""What can be said of an environment's states and objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from worldmodel.body_names import body_names
from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.rollouts import Contexts, Floats
from worldmodel.evaluation.moments.state_spec import StateSpec, state_spec


@dataclass(frozen=True)
class Subject:
    """spec: the features of its states; objects: names of the n objects whose pixels it tells apart, and `places`,
    their numbers among the environment's own."""

    spec: StateSpec
    objects: tuple[str, ...]
    places: tuple[int, ...]


def subject_of(contexts: Contexts, seen: bool = True) -> Subject:
    """Of the objects that all contexts have in common; seen: whether the recording tells how much of each is visible,
    without which there are none. Raises EnvError where there is no MuJoCo model."""
    env = contexts.env.make()
    there: np.ndarray | None = None
    try:
        for seed, options in dict.fromkeys(
            zip(contexts.seeds.tolist(), map(_key, contexts.options), strict=True)
        ):
            _, info = env.reset(seed=seed, options=dict(options) or None)
            if "present" not in info or not seen:
                break
            there = info["present"] if there is None else there & info["present"]
        return _subject(env, there)
    finally:
        env.close()


def mujoco_model(env: gym.Env[Any, Any]) -> mujoco.MjModel:
    """The model behind an environment. Raises EnvError where there is none."""
    model = getattr(env.unwrapped, "model", None)
    if not isinstance(model, mujoco.MjModel):
        name = env.spec.kwargs.get("env_id", env.spec.id) if env.spec else type(env.unwrapped).__name__
        raise EnvError(f"{name} has no MuJoCo model, so its states cannot be compared.")
    return model


def _key(options: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, value) for name, value in options.items()))


def _subject(env: gym.Env[Any, Any], present: np.ndarray | None) -> Subject:
    model = mujoco_model(env)
    if present is None:
        return Subject(state_spec(model), (), ())
    names = tuple(env.get_wrapper_attr("objects"))
    absent = tuple(name for name, there in zip(names, present, strict=True) if not there)
    places = tuple(np.flatnonzero(present).tolist())
    return Subject(state_spec(model, absent), tuple(names[i] for i in places), places)


@dataclass(frozen=True)
class Bodies:
    """The n bodies of a model that can move and are there: their names and numbers."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]

    def places(self, env: gym.Env[Any, Any]) -> Floats:
        """Their centres of mass now, [n,3], in metres in the world frame."""
        return np.array(env.unwrapped.data.xipos[list(self.numbers)], np.float64)  # type: ignore[attr-defined]

    def apart(self, places: Floats, other: Floats) -> Floats:
        """How far each is from its other place, [n], in metres."""
        return np.asarray(np.linalg.norm(places - other, axis=-1))


def moving_bodies(env: gym.Env[Any, Any], info: Mapping[str, Any]) -> Bodies:
    """Of an environment that was reset, with its `info` then, which may tell that some of its objects are not present.

    Raises EnvError where there is no MuJoCo model, or nothing in it can move.
    """
    model = mujoco_model(env)
    names = body_names(model)
    absent = set()
    if "present" in info:
        objects = env.get_wrapper_attr("objects")
        absent = {name for name, there in zip(objects, info["present"], strict=True) if not there}
    # A body that is welded to the world has the world, number 0, as the body it is welded to.
    moving = [n for n in range(1, model.nbody) if model.body_weldid[n] and names[n] not in absent]
    if not moving:
        raise EnvError("Nothing in this environment can move.")
    return Bodies(tuple(names[n] for n in moving), tuple(moving))
