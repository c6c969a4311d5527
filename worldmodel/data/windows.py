"""Random clips for training, in an order that can be restarted anywhere."""

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.episode import Batch
from worldmodel.errors import DatasetError


class ClipSampler:
    """Batches of clips, uniform over all windows of `length` steps in the given episodes.

    Windows never cross an episode's end; episodes shorter than `length` steps are left out. Clips are replaced, each
    with probability end_share, by one with a terminated step at a uniformly drawn place in it, because such a step lies
    in one window only, any other in `length` of them, and because at the end of every clip the place alone would give
    it away. What follows it repeats the last frame and is not `valid`; Batch.importance makes up for showing some steps
    more often than others. Raises DatasetError when no episode is long enough.
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
        self._terminal = self._episodes[dataset.terminated[last_steps]]
        self._end_share = end_share if len(self._terminal) else 0.0

    @property
    def windows(self) -> int:
        """How many different clips there are."""
        return int(self._ends[-1])

    @property
    def end_rate(self) -> float:
        """Share of the valid steps in its batches that are terminated ones."""
        uniform = (1 - self._end_share) * len(self._terminal) / self.windows
        return (uniform + self._end_share) / self._valid_steps

    @property
    def _valid_steps(self) -> float:
        """Of a clip, on average."""
        return (1 - self._end_share) * self._length + self._end_share * (self._length + 1) / 2

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Clips rank, rank + world, ... of the batch of training step `step`, which is a pure function of (seed, step):
        what one of `world` processes reads."""
        rng = np.random.default_rng((self._seed, step))
        window = rng.integers(self.windows, size=self._batch_size)
        place = np.searchsorted(self._ends, window, side="right")
        episodes = self._episodes[place]
        lengths = self._dataset.lengths
        starts = window - (self._ends[place] - (lengths[episodes] - self._length + 1))
        if self._end_share:
            ending = rng.choice(self._terminal, size=self._batch_size)
            # How many steps of the clip come before the terminated one.
            before = rng.integers(self._length, size=self._batch_size)
            chosen = rng.random(self._batch_size) < self._end_share
            episodes = np.where(chosen, ending, episodes)
            starts = np.where(chosen, lengths[ending] - 1 - before, starts)
        return self.gather(episodes[rank::world], starts[rank::world])

    def gather(self, episodes: np.ndarray, starts: np.ndarray) -> Batch:
        """The clips that begin at step starts[b] of episode episodes[b]; steps past its end are not valid."""
        data = self._dataset
        offsets = starts[:, None] + np.arange(self._length)
        last = data.lengths[episodes][:, None] - 1
        valid = offsets <= last
        steps = data.first_step[episodes][:, None] + np.minimum(offsets, last)
        return Batch(
            frames=self._gather_frames(episodes, starts),
            actions=torch.from_numpy(data.codec.encode(data.actions[steps])),
            rewards=torch.from_numpy(data.rewards[steps] * valid),
            terminated=torch.from_numpy(data.terminated[steps] & valid),
            valid=torch.from_numpy(valid),
            at_start=torch.from_numpy(starts == 0),
            importance=torch.from_numpy(self._importance(episodes, np.minimum(offsets, last)) * valid),
        )

    def _importance(self, episodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """float32 [B, n]: how often a step should be in a clip, were all equal, over how often `batch` draws it."""
        data, length = self._dataset, self._length
        lengths = data.lengths[episodes][:, None]
        ended = data.terminated[data.first_step[episodes] + data.lengths[episodes] - 1][:, None]
        last_start = lengths - length
        windows = np.minimum(steps, last_start) - np.maximum(steps - length + 1, 0) + 1
        drawn = (1 - self._end_share) * np.maximum(windows, 1) / self.windows
        if self._end_share:
            places = np.maximum(steps - last_start + 1, 0) * ended
            drawn = drawn + self._end_share * places / (len(self._terminal) * length)
        even = self._valid_steps / data.lengths[self._episodes].sum()
        return (even / drawn).astype(np.float32)

    def _gather_frames(self, episodes: np.ndarray, starts: np.ndarray) -> torch.Tensor:
        """Copies one contiguous run per clip: as fast as memory allows, and reads only these pages of the file."""
        data, count = self._dataset, self._length + 1
        frames = np.empty((len(episodes), count, *data.frame_shape), np.uint8)
        shards = data.shard_of[episodes].tolist()
        firsts = (data.first_frame_in_shard[episodes] + starts).tolist()
        known = np.minimum(count, data.lengths[episodes] + 1 - starts).tolist()
        for row, (shard, first, there) in enumerate(zip(shards, firsts, known, strict=True)):
            frames[row, :there] = data.frame_map(shard)[first : first + there]
            frames[row, there:] = frames[row, there - 1]
        return torch.from_numpy(frames)
