"""The simulator as a row: every context restored exactly, then other actions, noise, or other physics."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.action_changes import ChangeActions
from worldmodel.evaluation.moments.rollouts import Contexts, Rollouts, Truth, Views, views_of
from worldmodel.evaluation.moments.subject import Subject, mujoco_model
from worldmodel.evaluation.moments.wrong_physics import WrongPhysics
from worldmodel.progress import progress
from worldmodel.spaces import ActionCodec

MIN_BAR = 500  # frames: fewer take no longer than a second


@dataclass(frozen=True)
class SimulatorSource:
    """The true environment of some contexts. change: other actions [N,h,...] in place of the recorded ones; physics:
    holds from the context on; keep_masks: Rollouts.truth.masks (large)."""

    name: str
    subject: Subject
    change: ChangeActions | None = None
    physics: WrongPhysics | None = None
    keep_masks: bool = False

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """Raises EnvError when a context's picture does not come out as it was."""
        actions = contexts.actions if self.change is None else self.change(contexts)
        env = contexts.env.make()
        codec = ActionCodec(env.action_space)
        rows: list[dict[str, np.ndarray]] = []
        count = len(contexts) * contexts.horizon
        try:
            with progress(total=count, desc=self.name, unit="frame", disable=count < MIN_BAR) as bar:
                for i in range(len(contexts)):
                    first = restore(env, contexts, i)
                    with self.physics.of(mujoco_model(env)) if self.physics else nullcontext():
                        rows.append(self._play(env, codec, first, actions[i]))
                    bar.update(contexts.horizon)
        finally:
            env.close()
        return self._rollouts(rows)

    def _play(
        self, env: gym.Env[Any, Any], codec: ActionCodec, first: dict[str, Any], actions: np.ndarray
    ) -> dict[str, np.ndarray]:
        seen = [self._moment(env, None, first)]
        valid = np.zeros(len(actions), bool)
        ended = False
        for step, action in enumerate(actions):
            if not ended:
                frame, _, ended, _, info = env.step(codec.restore(action))
                moment = self._moment(env, frame, info)
                valid[step] = True
            seen.append(moment)
        columns = {name: np.stack([moment[name] for moment in seen[1:]]) for name in seen[1]}
        return {**columns, "valid": valid, **{f"first_{name}": value for name, value in seen[0].items()}}

    def _moment(
        self, env: gym.Env[Any, Any], frame: np.ndarray | None, info: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        moment = {"features": self.subject.spec.of(info["qpos"], info["qvel"])}
        moment["contacts"] = np.asarray(info.get("contacts", np.zeros((0, 4))))
        moment["energy"] = np.asarray(info.get("energy", np.full(2, np.nan)))
        places = list(self.subject.places)
        masks = env.get_wrapper_attr("masks")()[places] if places else np.zeros((0, 1, 1), np.float32)
        views = views_of(masks)
        moment |= {"area": views.area, "row": views.row, "column": views.column, "spread": views.spread}
        moment["unoccluded"] = np.asarray(info["unoccluded_area"][places] if places else np.zeros(0))
        if frame is not None:
            moment["frames"] = np.array(frame)
            if self.keep_masks:
                moment["masks"] = masks.astype(np.float16)
        return moment

    def _rollouts(self, rows: list[dict[str, np.ndarray]]) -> Rollouts:
        whole = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        truth = Truth(
            features=whole["features"],
            views=Views(*(whole[name] for name in ("area", "row", "column", "spread"))),
            unoccluded_area=whole["unoccluded"],
            contacts=whole["contacts"],
            energy=whole["energy"],
            first=whole["first_features"],
            first_views=Views(*(whole[f"first_{name}"] for name in ("area", "row", "column", "spread"))),
            first_unoccluded_area=whole["first_unoccluded"],
            masks=whole.get("masks"),
        )
        return Rollouts(self.name, whole["frames"], whole["valid"], truth)


def restore(env: gym.Env[Any, Any], contexts: Contexts, number: int) -> dict[str, Any]:
    """Bring the environment to a context's last frame; returns the info there.

    Raises EnvError when the picture is not that of the context.
    """
    if not env.has_wrapper_attr("set_state"):
        raise EnvError(f"{contexts.env.id} cannot be brought back to a state (it has no set_state).")
    env.reset(seed=int(contexts.seeds[number]), options=dict(contexts.options[number]) or None)
    frame, info = env.get_wrapper_attr("set_state")(contexts.states[number])
    if not np.array_equal(frame, contexts.frames[number, -1]):
        raise EnvError(f"{contexts.env.id} does not come back to the picture of context {number}.")
    return dict(info)
