"""M7: mirrors, halves, rest, and the direction of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from worldmodel.errors import EnvError
from worldmodel.evaluation.metrics.state_error import Mask, Scale, overall_nrmse, state_error
from worldmodel.evaluation.moments.rollouts import Contexts, Rollouts, Source
from worldmodel.evaluation.moments.simulator import restore
from worldmodel.evaluation.moments.subject import mujoco_model
from worldmodel.evaluation.statistics import Estimate

Floats = NDArray[np.float64]
SAME = 0.5  # as far from the mirrored picture as the picture itself is: a mirrored state looks so different (shading)
CHECKED = 4  # contexts on which a mirror is tried out


@dataclass(frozen=True)
class Mirror:
    """Left and right exchanged. signs [A] of continuous action dimensions, or order [n] of discrete actions
    (stored)."""

    signs: NDArray[np.float64] | None
    order: NDArray[np.int64] | None

    def contexts(self, contexts: Contexts) -> Contexts:
        """The mirrored moments. Their states are those of the originals: only what needs no state may go on from
        them."""
        return replace(
            contexts,
            frames=np.ascontiguousarray(contexts.frames[:, :, :, ::-1]),
            context_actions=self.actions(contexts.context_actions),
            actions=self.actions(contexts.actions),
        )

    def frames(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[...,H,W,C] from left to right."""
        return np.ascontiguousarray(frames[..., ::-1, :])

    def actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        """[N,h,...] as stored."""
        if self.order is not None:
            return self.order[actions]
        assert self.signs is not None
        return (actions * self.signs).astype(actions.dtype)


def find_mirror(contexts: Contexts) -> Mirror:
    """From the model's joints, and tried out on real pictures. Raises EnvError where the scene has no mirror."""
    env = contexts.env.make()
    try:
        restore(env, contexts, 0)
        model = mujoco_model(env)
        signs = np.array([_sign(model, joint) for joint in range(model.njnt)])
        if (model.jnt_type < int(mujoco.mjtJoint.mjJNT_SLIDE)).any() or not signs.all():
            raise EnvError(f"{contexts.env.id} has joints that a mirror from left to right does not keep.")
        mirror = _of_actions(env, model, signs)
        off = np.array([_compared(env, contexts, n, signs) for n in range(min(CHECKED, len(contexts)))])
        if off[:, 0].mean() > SAME * off[:, 1].mean():
            raise EnvError(f"{contexts.env.id} does not look mirrored when its state is: it has no mirror.")
        return mirror
    finally:
        env.close()


def mirror_error(source: Source, contexts: Contexts, mirror: Mirror) -> Rollouts:
    """The source's futures of the mirrored contexts, mirrored back: to be compared with its futures of the contexts."""
    rollouts = source.rollouts(mirror.contexts(contexts))
    if rollouts.frames is None:
        raise EnvError(f"{source.name} makes no frames, so it cannot be mirrored.")
    return replace(rollouts, frames=mirror.frames(rollouts.frames))


def in_two_parts(source: Source, contexts: Contexts, first: int) -> Rollouts:
    """The source's futures, where after `first` steps it begins anew from its own last frames as context."""
    count = contexts.frames.shape[1]
    begun = source.rollouts(contexts.under(contexts.actions[:, :first]))
    if begun.frames is None or first < count:
        raise EnvError(f"{source.name} must make at least {count} frames before it can begin anew from them.")
    again = replace(
        contexts,
        frames=begun.frames[:, -count:],
        context_actions=contexts.actions[:, first - count + 1 : first],
        actions=contexts.actions[:, first:],
    )
    rest = source.rollouts(again)
    assert rest.frames is not None
    return Rollouts(
        f"{source.name}, in two parts",
        np.concatenate([begun.frames, rest.frames], axis=1),
        np.concatenate([begun.valid, rest.valid], axis=1),
    )


def apart(one: Floats, other: Floats, asked: Mask, valid: Mask, scale: Scale) -> Estimate:
    """How far two readings [N,h,D] of what should be the same are apart: nRMSE over all steps. Of what is `asked`
    [N,h,D] (see sight.in_plain_sight), what either does not show is as far off as an unrelated state."""
    read = np.isfinite(other)
    same = np.where(asked, np.where(read, other, 0.0), np.nan)
    return overall_nrmse(state_error(np.where(read, one, np.nan), same, valid, scale).places, valid)


def idle_drift(predicted: Floats, truth: Floats, valid: Mask, scale: Scale) -> Estimate:
    """nRMSE of places at the last step of futures without actions, [N,h,D]."""
    squared = state_error(predicted, truth, valid, scale).places
    return overall_nrmse(squared[:, -1:], valid[:, -1:])


def time_arrow(predicted: Floats, truth: Floats, valid: Mask, scale: Scale) -> Estimate:
    """nRMSE of the same future read backwards over that read forwards: above 1, or time has no direction in it.

    Backwards its places come in the opposite order, and its speeds are negated.
    """
    backwards = np.where(scale.velocities, -predicted[:, ::-1], predicted[:, ::-1])
    forth, back = (state_error(part, truth, valid, scale).both for part in (predicted, backwards))
    one, two = overall_nrmse(back, valid), overall_nrmse(forth, valid)
    return Estimate(lambda a, b, c, d: np.sqrt((a / b) / (c / d)), (*one.columns, *two.columns))


def _sign(model: mujoco.MjModel, joint: int) -> float:
    """What a mirror along x does to the joint's number: 1, -1, or 0 where it does not keep the joint."""
    along = abs(float(model.jnt_axis[joint] @ [1.0, 0.0, 0.0]))
    if 1e-6 < along < 1 - 1e-6:
        return 0.0
    turns = model.jnt_type[joint] == int(mujoco.mjtJoint.mjJNT_HINGE)
    return 1.0 if (along > 0.5) == bool(turns) else -1.0


def _of_actions(env: gym.Env[Any, Any], model: mujoco.MjModel, signs: Floats) -> Mirror:
    kinds = model.actuator_trntype == int(mujoco.mjtTrn.mjTRN_JOINT)
    moves = signs[model.actuator_trnid[:, 0]]
    if isinstance(env.action_space, spaces.Box) and kinds.all() and env.action_space.shape == moves.shape:
        return Mirror(moves, None)
    if isinstance(env.action_space, spaces.Discrete) and env.has_wrapper_attr("moves"):
        table = [tuple(row) for row in np.asarray(env.get_wrapper_attr("moves"), np.float64).tolist()]
        turned = [tuple(row) for row in (np.array(table) * moves + 0.0).tolist()]
        if set(turned) <= set(table):
            return Mirror(None, np.array([table.index(row) for row in turned]))
    raise EnvError("The actions of this environment have no mirror.")


def _compared(env: gym.Env[Any, Any], contexts: Contexts, number: int, signs: Floats) -> tuple[float, float]:
    """Mean distance in grey levels from the mirrored picture: of the mirrored state's picture, and of the picture."""
    restore(env, contexts, number)
    model, data = mujoco_model(env), env.unwrapped.data  # type: ignore[attr-defined]
    data.qpos[model.jnt_qposadr] *= signs
    data.qvel[model.jnt_dofadr] *= signs
    data.mocap_pos[:, 0] *= -1
    state = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
    mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    turned, _ = env.get_wrapper_attr("set_state")(state)
    frame = contexts.frames[number, -1].astype(float)
    wanted = frame[:, ::-1]
    return float(np.abs(turned - wanted).mean()), float(np.abs(frame - wanted).mean())
