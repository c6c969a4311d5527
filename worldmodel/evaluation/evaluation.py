"""All measurements of one world model against the real environment it learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.evaluation.cost import Cost, measure_cost
from worldmodel.evaluation.counterfactual import Counterfactual, measure_counterfactual
from worldmodel.evaluation.dreaming import dream_branches
from worldmodel.evaluation.fidelity import Fidelity, measure_fidelity
from worldmodel.evaluation.futures import Futures, draw_futures, futures_before_ends
from worldmodel.model.world_model import WorldModel

END_STEPS = 4  # imagined ends are judged within so many steps, before the dream can have drifted


@dataclass(frozen=True)
class EvaluationConfig:
    """How much is measured.

    contexts: held-out moments continued for `horizon` steps; counterfactuals: moments continued under several actions
    for counterfactual_horizon steps; films: long side-by-side videos of up to film_steps steps; timing_seconds: for
    each measured speed; max_batch: dreams in one forward pass; seed: of all draws and of the dreams' noise.
    """

    contexts: int = 128
    horizon: int = 32
    counterfactuals: int = 12
    counterfactual_horizon: int = 24
    films: int = 4
    film_steps: int = 60
    timing_seconds: float = 1.0
    max_batch: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"contexts": 2, "horizon": 1, "counterfactuals": 1, "counterfactual_horizon": 1}
        for name, bound in {**least, "films": 1, "film_steps": 1, "max_batch": 1}.items():
            if getattr(self, name) < bound:
                raise WorldModelError(f"{name} is {getattr(self, name)}, expected at least {bound}.")


@dataclass(frozen=True)
class Films:
    """Long held-out rollouts: futures, and the same dreamt, frames uint8 [B,h,H,W,C]."""

    futures: Futures
    dream: Tensor


@dataclass(frozen=True)
class Evaluation:
    """What was measured."""

    fidelity: Fidelity
    counterfactual: Counterfactual
    cost: Cost
    films: Films


def measure(model: WorldModel, dataset: EpisodeDataset, config: EvaluationConfig) -> Evaluation:
    """Measure on the held-out episodes of `dataset`. Raises DatasetError when it shows another world."""
    check_same_world(model, dataset)
    heldout, context = dataset.split("heldout"), model.world.num_context_frames
    seed, batch = config.seed, config.max_batch
    futures = draw_futures(dataset, heldout, context, config.horizon, config.contexts, seed)
    ends = futures_before_ends(dataset, heldout, context, END_STEPS)
    moments = draw_futures(
        dataset, heldout, context, config.counterfactual_horizon, config.counterfactuals, seed + 1
    )
    return Evaluation(
        fidelity=measure_fidelity(model, futures, ends, seed, batch),
        counterfactual=measure_counterfactual(model, dataset, moments, seed, batch),
        cost=measure_cost(model, config.timing_seconds),
        films=_films(model, dataset, heldout, config),
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
