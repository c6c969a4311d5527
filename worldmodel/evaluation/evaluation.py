"""All measurements of one world model against the real environment it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.recorder import make_policy
from worldmodel.errors import DatasetError, EnvError, WorldModelError
from worldmodel.evaluation.dreaming import dream_branches
from worldmodel.evaluation.moments.action_noise import NoisySimulator, play_with_noise
from worldmodel.evaluation.moments.futures import Futures, draw_futures, futures_before_ends
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.pixels.chance import Chance, measure_chance
from worldmodel.evaluation.pixels.colours import Palette, learn_palette
from worldmodel.evaluation.pixels.cost import Cost, measure_cost
from worldmodel.evaluation.pixels.counterfactual import Counterfactual, measure_counterfactual
from worldmodel.evaluation.pixels.fidelity import Fidelity, measure_fidelity
from worldmodel.evaluation.pixels.long_dreams import LongDreams, measure_long_dreams
from worldmodel.evaluation.pixels.memory import Permanence, measure_permanence
from worldmodel.model.world_model import WorldModel

END_STEPS = 4  # imagined ends are judged within so many steps, before the dream can have drifted


@dataclass(frozen=True)
class EvaluationConfig:
    """How much is measured.

    contexts: held-out moments continued for `horizon` steps; action_noise: share of the action range by which the
    simulator beside them errs; counterfactuals: moments continued under several actions for counterfactual_horizon
    steps; long_dreams: dreams of long_steps steps; occlusions: at most so many of each duration, also dreamt with
    memories of memory_windows steps; chance_contexts: moments continued chance_samples times for chance_horizon steps;
    films: long side-by-side videos of up to film_steps steps; timing_seconds: for each measured speed; max_batch:
    dreams in one forward pass; seed: of all draws and of the dreams' noise. action_noise, long_dreams, occlusions and
    chance_contexts of 0 leave that measurement out.
    """

    contexts: int = 128
    horizon: int = 64
    action_noise: float = 0.1
    counterfactuals: int = 12
    counterfactual_horizon: int = 24
    long_dreams: int = 16
    long_steps: int = 1000
    occlusions: int = 100
    memory_windows: tuple[int, ...] = (2, 4)
    chance_contexts: int = 16
    chance_samples: int = 16
    chance_horizon: int = 32
    films: int = 4
    film_steps: int = 60
    timing_seconds: float = 1.0
    max_batch: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory_windows", tuple(self.memory_windows))
        least = {"contexts": 2, "chance_samples": 4, "long_steps": 10}
        one = (
            "horizon",
            "counterfactuals",
            "counterfactual_horizon",
            "chance_horizon",
            "films",
            "film_steps",
        )
        none = ("action_noise", "long_dreams", "occlusions", "chance_contexts", "seed")
        bounds = {**least, **dict.fromkeys((*one, "max_batch"), 1), **dict.fromkeys(none, 0)}
        for name, bound in bounds.items():
            if getattr(self, name) < bound:
                raise WorldModelError(f"{name} is {getattr(self, name)}, expected at least {bound}.")
        if any(not isinstance(steps, int) or steps < 1 for steps in self.memory_windows):
            raise WorldModelError(
                f"memory_windows is {list(self.memory_windows)}, expected at least 1 step each."
            )
        if not self.timing_seconds > 0:
            raise WorldModelError(f"timing_seconds is {self.timing_seconds}, expected more than 0.")


@dataclass(frozen=True)
class Films:
    """Long held-out rollouts: futures, and the same dreamt, frames uint8 [B,h,H,W,C]."""

    futures: Futures
    dream: Tensor


@dataclass(frozen=True)
class Evaluation:
    """What was measured; None: left out."""

    fidelity: Fidelity
    noisy: NoisySimulator | None
    counterfactual: Counterfactual
    long_dreams: LongDreams | None
    permanence: Permanence | NotMeasured | None
    chance: Chance | NotMeasured | None
    cost: Cost
    films: Films


def measure(
    model: WorldModel,
    dataset: EpisodeDataset,
    config: EvaluationConfig,
    policy: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure on the held-out episodes of `dataset`. Raises DatasetError when it shows another world.

    policy: a config with `_target_`, under which long dreams go on."""
    check_same_world(model, dataset)
    if config.long_dreams:
        make_policy(
            policy or {}, dataset.action_space, np.random.default_rng(0)
        )  # is it there? Now, not in minutes.
    heldout, context = dataset.split("heldout"), model.world.num_context_frames
    seed, batch = config.seed, config.max_batch
    futures = draw_futures(dataset, heldout, context, config.horizon, config.contexts, seed)
    ends = futures_before_ends(dataset, heldout, context, END_STEPS)
    moments = draw_futures(
        dataset, heldout, context, config.counterfactual_horizon, config.counterfactuals, seed + 1
    )
    noisy = play_with_noise(dataset, futures, config.action_noise, seed) if config.action_noise else None
    palette = _palette(dataset, config)
    return Evaluation(
        fidelity=measure_fidelity(model, futures, ends, noisy.frames if noisy else None, seed, batch),
        noisy=noisy,
        counterfactual=measure_counterfactual(model, dataset, moments, seed, batch),
        long_dreams=_long_dreams(model, dataset, config, policy or {}, palette),
        permanence=_permanence(model, dataset, config, palette),
        chance=_chance(model, dataset, config, palette),
        cost=measure_cost(model, config.timing_seconds),
        films=_films(model, dataset, heldout, config),
    )


def _palette(dataset: EpisodeDataset, config: EvaluationConfig) -> Palette | NotMeasured:
    """The objects' colours, where something needs them and the environment tells them."""
    if not (config.long_dreams or config.occlusions or config.chance_contexts):
        return NotMeasured("Nothing was to be found by its colour.")
    try:
        return learn_palette(dataset, config.seed)
    except EnvError as error:
        return NotMeasured(str(error))


def _long_dreams(
    model: WorldModel,
    dataset: EpisodeDataset,
    config: EvaluationConfig,
    policy: Mapping[str, Any],
    palette: Palette | NotMeasured,
) -> LongDreams | None:
    if not config.long_dreams:
        return None
    heldout, context = dataset.split("heldout"), model.world.num_context_frames
    starts = draw_futures(dataset, heldout, context, 1, config.long_dreams, config.seed + 3)
    colours = None if isinstance(palette, NotMeasured) else palette
    reason = palette.reason if isinstance(palette, NotMeasured) else ""
    return measure_long_dreams(
        model, dataset, starts, policy, config.long_steps, colours, reason, config.seed
    )


def _permanence(
    model: WorldModel, dataset: EpisodeDataset, config: EvaluationConfig, palette: Palette | NotMeasured
) -> Permanence | NotMeasured | None:
    if not config.occlusions:
        return None
    if isinstance(palette, NotMeasured):
        return palette
    windows, seed, batch = config.memory_windows, config.seed, config.max_batch
    try:
        return measure_permanence(model, dataset, palette, config.occlusions, windows, seed, batch)
    except DatasetError as error:
        return NotMeasured(str(error))


def _chance(
    model: WorldModel, dataset: EpisodeDataset, config: EvaluationConfig, palette: Palette | NotMeasured
) -> Chance | NotMeasured | None:
    if not config.chance_contexts:
        return None
    heldout, context = dataset.split("heldout"), model.world.num_context_frames
    futures = draw_futures(
        dataset, heldout, context, config.chance_horizon, config.chance_contexts, config.seed + 4
    )
    colours = None if isinstance(palette, NotMeasured) else palette
    return measure_chance(
        model, dataset, futures, config.chance_samples, colours, config.seed, config.max_batch
    )


def check_same_world(model: WorldModel, dataset: EpisodeDataset) -> None:
    """Raise DatasetError, saying what differs, unless the dataset shows the world that the model learned."""
    world = model.world
    pairs = {
        "frames": (dataset.frame_shape, world.frame_shape),
        "action space": (dataset.action_space, world.action_space),
        "environment": (dataset.env.id, world.env.id),
    }
    for name, (here, there) in pairs.items():
        if here != there:
            raise DatasetError(
                f"The {name} of {dataset.path} is {here}, the checkpoint learned {there}: give the data it belongs to."
            )


def _films(
    model: WorldModel, dataset: EpisodeDataset, heldout: np.ndarray, config: EvaluationConfig
) -> Films:
    """Of the longer half of the held-out episodes, by seed: not chosen by their looks."""
    lengths = dataset.lengths[heldout]
    longer = heldout[lengths >= np.median(lengths)]
    futures = draw_futures(
        dataset, longer, model.world.num_context_frames, config.film_steps, config.films, config.seed + 2
    )
    imagined = dream_branches(
        model, futures, futures.actions[:, None], config.seed, "imagining videos", config.max_batch
    )
    return Films(futures, imagined.frames[:, 0])
