"""How much a physics report measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from worldmodel.arguments import made_of
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.probe.probe import ProbeConfig
from worldmodel.evaluation.statistics import RESAMPLES

LEAST_CONTEXTS = 128  # with fewer, a report calls itself "smoke"


@dataclass(frozen=True)
class PhysicsConfig:
    """contexts: held-out moments continued for `horizon` steps; unfamiliar: moments of each out-of-distribution
    split and of new combinations (0: these splits are left out); branches: moments with eight futures of
    branch_steps; samples: dreams of each of sampled moments over sample_steps, for M8; symmetric: moments for M7;
    policies: at least so many are ranked, each played from `starts` moments for policy_steps steps on both sides
    (0 starts: M9 is left out); decisions: moments with five candidate action sequences; resamples: of the
    bootstrap; films: worst cases shown; controls: results of the fault bench (controls.read_controls), by which
    metrics that failed are not trusted, or false; probe: how the probe is fitted; seed: of all draws."""

    contexts: int = 256
    horizon: int = 50
    unfamiliar: int = 32
    branches: int = 48
    branch_steps: int = 20
    sampled: int = 32
    samples: int = 8
    sample_steps: int = 20
    symmetric: int = 40
    policies: int = 20
    starts: int = 50
    policy_steps: int = 30
    decisions: int = 40
    resamples: int = RESAMPLES
    films: int = 10
    controls: str | bool = False
    max_batch: int = 256
    seed: int = 0
    probe: ProbeConfig = field(default_factory=ProbeConfig)

    def __post_init__(self) -> None:
        bounds = {
            "contexts": 2,
            "horizon": 6,
            "branches": 1,
            "branch_steps": 2,
            "samples": 4,
            "resamples": 100,
        }
        if self.controls is True:
            raise WorldModelError(
                "The negative controls run outside of a report: give physics.controls the file that "
                "`python tests/faults/run_controls.py DATASET FILE` wrote."
            )
        bounds |= {"policies": 2, "policy_steps": 2, "max_batch": 1, "sample_steps": 1, "symmetric": 1}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int) and not isinstance(value, bool) and value < bounds.get(item.name, 0):
                raise WorldModelError(
                    f"physics.{item.name} is {value}, expected at least {bounds.get(item.name, 0)}."
                )

    @property
    def is_smoke(self) -> bool:
        """Whether there are too few contexts for any claim."""
        return self.contexts < LEAST_CONTEXTS


_SMOKE_PROBE = ProbeConfig(
    mask_frames=900,
    mask_steps=300,
    windows=200,
    place_steps=800,
    episodes=300,
    speed_steps=3000,
    gate_windows=100,
)
SIZES: Mapping[str, PhysicsConfig] = {
    "smoke": PhysicsConfig(
        contexts=24,
        horizon=25,
        unfamiliar=0,
        branches=6,
        branch_steps=12,
        sampled=8,
        samples=4,
        sample_steps=10,
        symmetric=8,
        policies=20,
        starts=4,
        policy_steps=15,
        decisions=12,
        films=4,
        probe=_SMOKE_PROBE,
    ),
    "standard": PhysicsConfig(),
    "full": PhysicsConfig(
        contexts=512,
        horizon=100,
        unfamiliar=128,
        branches=128,
        branch_steps=50,
        sampled=128,
        samples=16,
        sample_steps=50,
        symmetric=256,
        policies=24,
        starts=100,
        policy_steps=100,
        decisions=256,
        probe=ProbeConfig(
            mask_frames=8000,
            mask_steps=2500,
            windows=1500,
            passes=2,
            place_steps=4000,
            episodes=3000,
            speed_steps=15_000,
            gate_windows=400,
        ),
    ),
}


def physics_config(settings: Mapping[str, Any]) -> PhysicsConfig:
    """From the `physics:` part of a YAML: its `size`, changed by its other keys."""
    given = {key: value for key, value in settings.items() if value is not None}
    size = given.pop("size", "standard")
    if size not in SIZES:
        raise WorldModelError(f"physics.size is {size!r}, expected one of {', '.join(SIZES)}.")
    base, probe = SIZES[size], given.pop("probe", {})
    known = {item.name: getattr(base, item.name) for item in fields(base) if item.name != "probe"}
    config = made_of(PhysicsConfig, {**known, **given}, "physics")
    fitted = {item.name: getattr(base.probe, item.name) for item in fields(ProbeConfig)}
    return replace(config, probe=made_of(ProbeConfig, {**fitted, **probe}, "physics.probe"))
