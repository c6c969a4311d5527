"""When recorded objects were hidden: read from the truth that the simulator told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError

HIDDEN = 0.05  # of what would be seen if nothing stood in front: with less an object is hidden


@dataclass(frozen=True)
class Occlusion:
    """Object number `thing` of `episode` is hidden from frame `first` to `last`, and seen just before and after."""

    episode: int
    thing: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """How many frames it is hidden."""
        return self.last - self.first + 1


def find_occlusions(dataset: EpisodeDataset, episodes: np.ndarray, min_context: int) -> list[Occlusion]:
    """Every time an object that is there is hidden, with at least `min_context` frames before. Needs the infos
    visible_area and unoccluded_area [T+1,n]; raises DatasetError without them."""
    missing = [key for key in ("visible_area", "unoccluded_area") if key not in dataset.manifest.info_keys]
    if missing:
        raise DatasetError(
            f"{dataset.path} does not tell what is hidden: it holds no {missing[0]} (see docs/scenes.md)."
        )
    found = []
    for number in episodes.tolist():
        infos = dataset.episode(number).infos
        visible, whole = infos["visible_area"], infos["unoccluded_area"]
        hidden = (visible < HIDDEN * whole) & (whole > 0)
        for thing in range(hidden.shape[1]):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden[:, thing], [0]]).astype(int)))
            for first, after in edges.reshape(-1, 2).tolist():
                if first >= min_context and after < len(hidden):
                    found.append(Occlusion(number, thing, first, after - 1))
    return found
