"""Random clips for training, in an order that can be restarted anywhere."""

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.episode import Batch
from worldmodel.errors import DatasetError


class ClipSampler:
    """Batches of clips, uniform over all windows of `length` steps in the given episodes.

    Windows never cross an episode's end; episodes shorter than `length` steps are left out. Clips are replaced, each
    with probability end_share, by one that ends in a terminated step: such a step lies in one window only, any other
    in `length` of them, so uniform clips would hardly ever show it. Raises DatasetError when no episode is long enough.
    """

    def __init__(
        self,
        dataset: EpisodeDataset,
        indices: np.ndarray,
        length: int,
        batch_size: int,
        seed: int,
        end_share: float = 0.0,
    ) -> None:
        if length < 1 or batch_size < 1:
            raise DatasetError(
                f"Clip length and batch size must be at least 1, got {length} and {batch_size}."
            )
        indices = np.asarray(indices, np.int64)
        lengths = dataset.lengths[indices]
        self._episodes = indices[lengths >= length]
        if len(self._episodes) == 0:
            longest = int(lengths.max(initial=0))
            raise DatasetError(
                f"No episode has {length} steps (the longest has {longest}): use shorter clips."
            )
        self._dataset, self._length, self._batch_size, self._seed = dataset, length, batch_size, seed
        self._ends = np.cumsum(dataset.lengths[self._episodes] - length + 1)
        last_steps = dataset.first_step[self._episodes] + dataset.lengths[self._episodes] - 1
        self._terminal_windows = self._ends[dataset.terminated[last_steps]] - 1
        self._end_share = end_share if len(self._terminal_windows) else 0.0

    @property
    def windows(self) -> int:
        """How many different clips there are."""
        return int(self._ends[-1])

    @property
    def end_rate(self) -> float:
        """Share of the steps in its batches that are terminated ones."""
        uniform = len(self._terminal_windows) / self.windows
        return ((1 - self._end_share) * uniform + self._end_share) / self._length

    def batch(self, step: int) -> Batch:
        """The batch of training step `step`: a pure function of (seed, step)."""
        rng = np.random.default_rng((self._seed, step))
        window = rng.integers(self.windows, size=self._batch_size)
        if self._end_share:
            terminal = rng.choice(self._terminal_windows, size=self._batch_size)
            window = np.where(rng.random(self._batch_size) < self._end_share, terminal, window)
        place = np.searchsorted(self._ends, window, side="right")
        episodes = self._episodes[place]
        starts = window - (self._ends[place] - (self._dataset.lengths[episodes] - self._length + 1))
        return self.gather(episodes, starts)

    def gather(self, episodes: np.ndarray, starts: np.ndarray) -> Batch:
        """The clips that begin at step starts[b] of episode episodes[b]."""
        data = self._dataset
        steps = (data.first_step[episodes] + starts)[:, None] + np.arange(self._length)
        return Batch(
            frames=self._gather_frames(episodes, starts),
            actions=torch.from_numpy(data.codec.encode(data.actions[steps])),
            rewards=torch.from_numpy(data.rewards[steps]),
            terminated=torch.from_numpy(data.terminated[steps]),
            at_start=torch.from_numpy(starts == 0),
        )

    def _gather_frames(self, episodes: np.ndarray, starts: np.ndarray) -> torch.Tensor:
        """Copies one contiguous run per clip: as fast as memory allows, and reads only these pages of the file."""
        data, count = self._dataset, self._length + 1
        frames = np.empty((len(episodes), count, *data.frame_shape), np.uint8)
        shards = data.shard_of[episodes].tolist()
        firsts = (data.first_frame_in_shard[episodes] + starts).tolist()
        for row, (shard, first) in enumerate(zip(shards, firsts, strict=True)):
            frames[row] = data.frame_map(shard)[first : first + count]
        return torch.from_numpy(frames)
