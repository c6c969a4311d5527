"""Where dreams may start: moments of a dataset, many more than a checkpoint carries."""

from __future__ import annotations

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import WorldModel


def starts_from(path: str, model: WorldModel, count: int, seed: int) -> StartContexts:
    """`count` moments of the training episodes of the dataset `path`, drawn with `seed`. Raises DatasetError when it is
    of another world than the model's."""
    dataset = EpisodeDataset(path, verify=False)
    check_same_world(model, dataset)
    frames = model.world.num_context_frames
    return StartContexts.draw(dataset, dataset.split("train"), frames, count, seed)
