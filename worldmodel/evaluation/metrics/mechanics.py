"""What MuJoCo says of states that a probe has read: energy, momentum, and what touches or overlaps."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.moments.rollouts import Contexts
from worldmodel.evaluation.moments.simulator import restore
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.evaluation.moments.subject import mujoco_model
from worldmodel.progress import progress

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
BETWEEN = (0.0, 0.5, 1.0)  # of a step, at which what a state will touch is looked for
TOUCH = 0.04  # [m], about a pixel of our scenes: how near counts as touching, so that less than that decides nothing
MIN_BAR = 5000


@dataclass(frozen=True)
class Mechanics:
    """Of h states of N contexts, after the context's own last one in column 0: energy [N,1+h] and kinetic [N,1+h] [J];
    momentum [N,1+h,3] [kg m/s] and flow [N,1+h], the sum of its bodies' magnitudes; depth [N,1+h], by how much the two
    bodies that overlap most do [m]; touching bool [N,1+h,nbody,nbody] (symmetric; body 0 is the world): nearer than
    TOUCH at that moment or, as it moved in the step before, within the step to come. NaN (False) where a state is not
    known."""

    energy: Floats
    kinetic: Floats
    momentum: Floats
    flow: Floats
    depth: Floats
    touching: Mask


def mechanics_of(contexts: Contexts, spec: StateSpec, first: Floats, features: Floats) -> Mechanics:
    """By MuJoCo's forward computation on features [N,h,D] and the contexts' own, first [N,D]; what they leave open is
    as in the context (another body's place, a goal)."""
    env = contexts.env.make()
    states = np.concatenate([first[:, None], features], axis=1)
    rows: list[list[_Moment]] = []
    try:
        bar = progress(
            total=states[..., 0].size, desc="mechanics", unit="state", disable=states[..., 0].size < MIN_BAR
        )
        with bar:
            for number in range(len(contexts)):
                restore(env, contexts, number)
                model = mujoco_model(env)
                rows.append(
                    _Forward(model, env.get_wrapper_attr("data"), spec, seconds_of(env, contexts)).of(
                        states[number]
                    )
                )
                bar.update(states.shape[1])
    finally:
        env.close()
    columns = zip(*(zip(*row, strict=True) for row in rows), strict=True)
    return Mechanics(*(np.array([list(part) for part in column]) for column in columns))


_Moment = tuple[float, float, Floats, float, float, Mask]


class _Forward:
    """One context's model, with energies switched on and everything else as it is."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, spec: StateSpec, seconds: float) -> None:
        self._model, self._spec, self._seconds = model, spec, seconds
        self._velocities = spec.velocities
        self._near = copy.copy(model)  # finds contacts before they are
        self._near.geom_margin[:] += TOUCH
        self._data = mujoco.MjData(model)
        self._qpos, self._qvel = data.qpos.copy(), data.qvel.copy()
        self._data.mocap_pos[:], self._data.mocap_quat[:] = data.mocap_pos, data.mocap_quat

    def of(self, states: Floats) -> list[_Moment]:
        """Of features [h,D]."""
        moments: list[_Moment] = []
        before: Floats | None = None
        for state in states:
            moments.append(self._moment(state, before))
            before = state
        return moments

    def _moment(self, state: Floats, before: Floats | None) -> _Moment:
        model, data = self._model, self._data
        touching = np.zeros((model.nbody, model.nbody), bool)
        if not np.isfinite(state[~self._velocities]).all():
            return np.nan, np.nan, np.full(3, np.nan), np.nan, np.nan, touching
        qpos, qvel = self._put(state)
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_fwdPosition(model, data)
        mujoco.mj_fwdVelocity(model, data)
        mujoco.mj_energyPos(model, data)
        mujoco.mj_energyVel(model, data)
        potential, kinetic = data.energy
        momenta = self._momenta()
        depth = max((-contact.dist for contact in data.contact[: data.ncon]), default=0.0)
        going = self._going(qpos, qvel, before)
        for between in BETWEEN:
            self._touch(qpos, going, between * self._seconds, touching)
        return (
            float(potential + kinetic),
            float(kinetic),
            momenta.sum(axis=0),
            float(np.linalg.norm(momenta, axis=1).sum()),
            float(max(depth, 0.0)),
            touching,
        )

    def _put(self, state: Floats) -> tuple[Floats, Floats]:
        qpos, qvel = self._qpos.copy(), self._qvel.copy()
        self._spec.put(state, qpos, qvel)
        return qpos, qvel

    def _going(self, qpos: Floats, qvel: Floats, before: Floats | None) -> Floats:
        """How fast everything moves [nv] by its last two places: a probe reads places better than speeds."""
        if before is None or not np.isfinite(before[~self._velocities]).all():
            return qvel
        going = np.empty_like(qvel)
        mujoco.mj_differentiatePos(self._model, going, self._seconds, self._put(before)[0], qpos)
        return going

    def _momenta(self) -> Floats:
        """[nbody,3]: of every body's mass centre."""
        velocity, momenta = np.empty(6), np.zeros((self._model.nbody, 3))
        for body in range(1, self._model.nbody):
            mujoco.mj_objectVelocity(self._model, self._data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)
            momenta[body] = self._model.body_mass[body] * velocity[3:]
        return momenta

    def _touch(self, qpos: Floats, qvel: Floats, seconds: float, touching: Mask) -> None:
        """Note which bodies are as near as TOUCH after moving on for so long."""
        model, data = self._near, self._data
        data.qpos[:] = qpos
        mujoco.mj_integratePos(model, data.qpos, qvel, seconds)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_collision(model, data)
        for contact in data.contact[: data.ncon]:
            if contact.dist <= TOUCH:
                one, other = model.geom_bodyid[contact.geom]
                touching[one, other] = touching[other, one] = True


def seconds_of(env: gym.Env[Any, Any], contexts: Contexts) -> float:
    """How long one step of the contexts' environment is [s]."""
    inner: Any = env.unwrapped
    return float(inner.frame_skip * inner.model.opt.timestep) * contexts.env.action_repeat
