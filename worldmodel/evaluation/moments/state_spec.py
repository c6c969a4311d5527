"""Which numbers describe the state of a MuJoCo environment, and how they follow from qpos and qvel and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from worldmodel.body_names import body_names
from worldmodel.errors import EnvError

Kind = Literal["position", "angle", "velocity"]
_FREE, _BALL, _SLIDE, _HINGE = (
    int(kind)
    for kind in (
        mujoco.mjtJoint.mjJNT_FREE,
        mujoco.mjtJoint.mjJNT_BALL,
        mujoco.mjtJoint.mjJNT_SLIDE,
        mujoco.mjtJoint.mjJNT_HINGE,
    )
)


@dataclass(frozen=True)
class Feature:
    """One number of a state. object: the body that its joint moves; unit: m, m/s, rad/s, or 1 for sine and cosine."""

    name: str
    kind: Kind
    unit: str
    object: str


@dataclass(frozen=True)
class Joint:
    """Where a joint's numbers are: its addresses in qpos and qvel, its place and its velocity among the features."""

    kind: int
    qpos: int
    dof: int
    place: slice
    velocity: slice


@dataclass(frozen=True)
class StateSpec:
    """The D features of a state: of every joint its place, then of every joint its velocity.

    A slide gives its position [m], a hinge the sine and cosine of its angle, a ball a quaternion (w >= 0) and a free
    joint position and quaternion. Joints of bodies that are not there are left out.
    """

    features: tuple[Feature, ...]
    joints: tuple[Joint, ...]

    def __len__(self) -> int:
        """D."""
        return len(self.features)

    @property
    def velocities(self) -> NDArray[np.bool_]:
        """Which features are velocities, bool [D]; all others tell places."""
        return np.array([feature.kind == "velocity" for feature in self.features])

    def of(self, qpos: NDArray[np.float64], qvel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features [..., D] of qpos [..., nq] and qvel [..., nv]."""
        features = np.empty((*qpos.shape[:-1], len(self)))
        for joint in self.joints:
            features[..., joint.place] = _place(joint.kind, qpos[..., joint.qpos :])
            count = joint.velocity.stop - joint.velocity.start
            features[..., joint.velocity] = qvel[..., joint.dof : joint.dof + count]
        return features

    def put(
        self, features: NDArray[np.float64], qpos: NDArray[np.float64], qvel: NDArray[np.float64]
    ) -> None:
        """Inverse of `of`, in place; what no feature tells stays. Angles come out in (-pi, pi]."""
        for joint in self.joints:
            place = features[..., joint.place]
            if joint.kind == _HINGE:
                place = np.arctan2(place[..., :1], place[..., 1:])
            elif joint.kind in (_FREE, _BALL):
                place = place.copy()
                place[..., -4:] /= np.maximum(np.linalg.norm(place[..., -4:], axis=-1, keepdims=True), 1e-9)
            qpos[..., joint.qpos : joint.qpos + place.shape[-1]] = place
            velocity = features[..., joint.velocity]
            qvel[..., joint.dof : joint.dof + velocity.shape[-1]] = velocity


def state_spec(model: mujoco.MjModel, absent: tuple[str, ...] = ()) -> StateSpec:
    """Of all joints of a model but those of the bodies named in `absent`. Raises EnvError when nothing can move."""
    places: list[Feature] = []
    velocities: list[Feature] = []
    found: list[tuple[int, int, int, int, int, int, int]] = []
    names = body_names(model)
    for number in range(model.njnt):
        body = names[model.jnt_bodyid[number]]
        if body in absent:
            continue
        kind, name = int(model.jnt_type[number]), model.joint(number).name or f"joint{number}"
        added, turned = _features(kind, name, body)
        addresses = int(model.jnt_qposadr[number]), int(model.jnt_dofadr[number])
        found.append((kind, *addresses, len(places), len(added), len(velocities), len(turned)))
        places += added
        velocities += turned
    if not found:
        raise EnvError("the model has no joints, so there is no state to compare.")
    count = len(places)
    joints = tuple(
        Joint(kind, qpos, dof, slice(p, p + np_), slice(count + v, count + v + nv))
        for kind, qpos, dof, p, np_, v, nv in found
    )
    return StateSpec((*places, *velocities), joints)


def _features(kind: int, name: str, body: str) -> tuple[list[Feature], list[Feature]]:
    if kind == _SLIDE:
        return [Feature(name, "position", "m", body)], [Feature(f"{name} speed", "velocity", "m/s", body)]
    turn = [Feature(f"{name} speed", "velocity", "rad/s", body)]
    if kind == _HINGE:
        return [Feature(f"{part} {name}", "angle", "1", body) for part in ("sin", "cos")], turn
    quaternion = [Feature(f"{name} q{axis}", "angle", "1", body) for axis in "wxyz"]
    turning = [Feature(f"{name} turn {axis}", "velocity", "rad/s", body) for axis in "xyz"]
    if kind == _BALL:
        return quaternion, turning
    return (
        [*(Feature(f"{name} {axis}", "position", "m", body) for axis in "xyz"), *quaternion],
        [*(Feature(f"{name} speed {axis}", "velocity", "m/s", body) for axis in "xyz"), *turning],
    )


def _place(kind: int, qpos: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == _SLIDE:
        return qpos[..., :1]
    if kind == _HINGE:
        return np.concatenate([np.sin(qpos[..., :1]), np.cos(qpos[..., :1])], axis=-1)
    start = 3 if kind == _FREE else 0
    quaternion = qpos[..., start : start + 4]
    return np.concatenate(
        [qpos[..., :start], np.where(quaternion[..., :1] < 0, -quaternion, quaternion)], axis=-1
    )
