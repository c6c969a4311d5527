"""Where the truth of a report comes from: a simulator whose states are known, or a game that can only be brought
back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from worldmodel.body_names import body_names
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.action_changes import ChangeActions
from worldmodel.evaluation.moments.contexts import contexts_from
from worldmodel.evaluation.moments.rollouts import Contexts, Probe, Source
from worldmodel.evaluation.moments.simulator import SimulatorSource, restore
from worldmodel.evaluation.moments.subject import Subject, mujoco_model, subject_of
from worldmodel.evaluation.moments.wrong_physics import WrongPhysics, changeable
from worldmodel.evaluation.probe.probe import FrozenProbe, ProbeConfig
from worldmodel.evaluation.probe.training import fitted_probe

SEEN_IN = 32  # contexts in which an object must be present to be one of the subject's
WRONG = 1.2  # times a parameter of the physics


@dataclass(frozen=True)
class ProbeNote:
    """The instrument: its hash, and R^2 of every feature and IoU of every object on held-out real frames; why:
    there is none."""

    version: str
    features: Mapping[str, float]
    objects: Mapping[str, float]
    trusted: list[str]
    why: str = ""


class Ground(Protocol):
    """Gives contexts, continues them truly, and reads frames. why: why there are no states (M1 to M3, M5 and M7 need
    them); "" where there are."""

    dataset: EpisodeDataset

    @property
    def why(self) -> str:
        """See above."""

    @property
    def probe(self) -> Probe:
        """The instrument."""

    def contexts(self, count: int, horizon: int, seed: int) -> Contexts:
        """Moments of held-out episodes."""

    def simulator(self, name: str, change: ChangeActions | None = None) -> Source:
        """The true environment, under the contexts' own or other actions."""

    def wrong(self) -> Source | None:
        """The true environment with other physics, where it can be changed."""

    def restore(self, env: gym.Env[Any, Any], contexts: Contexts, number: int) -> None:
        """Bring an environment of the dataset to a context's last frame."""

    def bodies(self) -> tuple[str, ...]:
        """Names of all bodies of the model, if there is one."""

    def note(self) -> ProbeNote:
        """What a report says of the instrument."""


class SimulatorGround:
    """A MuJoCo environment and the probe that was fitted on its frames."""

    why = ""

    def __init__(
        self, dataset: EpisodeDataset, context_frames: int, config: ProbeConfig, cache: Any = None
    ) -> None:
        """Raises DatasetError or EnvError where no states were recorded, or there is no MuJoCo model."""
        self.dataset, self._context_frames = dataset, context_frames
        seen = "visible_area" in dataset.manifest.info_keys
        self.subject: Subject = subject_of(self.contexts(SEEN_IN, 1, 0), seen)
        self.probe: FrozenProbe = fitted_probe(dataset, self.subject, config, cache)

    def contexts(self, count: int, horizon: int, seed: int) -> Contexts:
        """See Ground."""
        return contexts_from(self.dataset, count, self._context_frames, horizon, seed)

    def simulator(self, name: str, change: ChangeActions | None = None) -> Source:
        """See Ground."""
        return SimulatorSource(name, self.subject, change)

    def wrong(self) -> Source | None:
        """See Ground."""
        env = self.dataset.env.make()
        parameters = changeable(mujoco_model(env))
        env.close()
        if not parameters:
            return None
        physics = WrongPhysics(parameters[0], WRONG)
        return SimulatorSource(f"simulator, {physics.name}", self.subject, physics=physics)

    def restore(self, env: gym.Env[Any, Any], contexts: Contexts, number: int) -> None:
        """See Ground."""
        restore(env, contexts, number)

    def bodies(self) -> tuple[str, ...]:
        """See Ground."""
        env = self.dataset.env.make()
        names = body_names(mujoco_model(env))
        env.close()
        return names

    def note(self) -> ProbeNote:
        """See Ground."""
        probe, gate = self.probe, self.probe.gate
        assert gate is not None
        features = [feature.name for feature in probe.spec.features]
        sure = [name for name, trusted in zip(features, probe.trusted_features, strict=True) if trusted]
        sure += [name for name, trusted in zip(probe.objects, probe.trusted_objects, strict=True) if trusted]
        return ProbeNote(
            version=probe.version,
            features=dict(zip(features, gate.r2, strict=True)),
            objects=dict(zip(probe.objects, gate.iou, strict=True)),
            trusted=sure,
        )


def has_states(dataset: EpisodeDataset) -> bool:
    """Whether MuJoCo states were recorded with the frames."""
    return {"state", "qpos", "qvel"} <= set(dataset.manifest.info_keys)


def chosen_first(contexts: Contexts, count: int, steps: int) -> Contexts:
    """The first of some contexts, for fewer steps."""
    chosen = contexts.select(np.arange(min(count, len(contexts))))
    return chosen.under(chosen.actions[:, :steps])
