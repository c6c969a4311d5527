"""What is in a dataset, as numbers: lengths, rewards, actions, and frames that should make one wonder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.progress import progress

BINS = 20
_AT_ONCE = 64  # frames in memory, several times over
_QUIET_FRAMES = 20_000  # reading fewer takes no longer than a few seconds


@dataclass(frozen=True)
class Distribution:
    """Of some values: how many lie in each of the bins between the edges."""

    mean: float
    std: float
    low: float
    high: float
    edges: list[float]
    counts: list[int]

    @classmethod
    def of(cls, values: np.ndarray, bounds: tuple[float, float] | None = None) -> Distribution:
        """values [n], n >= 1; bounds: of the bins, None for the smallest and largest value."""
        values = np.asarray(values, np.float64)
        counts, edges = np.histogram(values, BINS, bounds)
        low, high = float(values.min()), float(values.max())
        return cls(float(values.mean()), float(values.std()), low, high, edges.tolist(), counts.tolist())


@dataclass(frozen=True)
class ActionCoverage:
    """One number, or one choice, of the action.

    kind: "continuous" (values between -1 and 1 where the space is bounded), "choice" or "bit"; counts: steps in each
    bin, or with each choice; covered: the share of bins, or of choices, that were ever used; at_bounds: the share of
    steps at the very ends of a bounded range.
    """

    kind: str
    counts: list[int]
    edges: list[float] | None
    covered: float
    at_bounds: float | None


@dataclass(frozen=True)
class FrameFaults:
    """Frames that teach nothing, and signs of something broken.

    one_colour: frames of a single colour; repeated: steps after which nothing had changed; duplicates: frames that
    already occurred somewhere before; same_episodes: pairs of episodes with all the same frames; unmoving: episodes in
    which nothing ever changes; change: mean change of a pixel's channel in a step, of 255.
    """

    frames: int
    one_colour: int
    repeated: int
    duplicates: int
    same_episodes: list[tuple[int, int]]
    unmoving: list[int]
    change: float


@dataclass(frozen=True)
class Inspection:
    """Everything that was measured; `frames` over the inspected episodes, all else over the whole dataset."""

    episodes: int
    transitions: int
    num_frames: int
    megabytes: float
    train: int
    heldout: int
    terminated: int
    truncated: int
    lengths: Distribution
    returns: Distribution
    rewards: Distribution
    zero_rewards: float
    actions: list[ActionCoverage]
    frames: FrameFaults

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return asdict(self)


def inspect(dataset: EpisodeDataset, indices: Sequence[int] | None = None) -> Inspection:
    """Measure `dataset`; the frames of the episodes `indices` only, None for all."""
    ends = dataset.first_step + dataset.lengths - 1
    returns = np.add.reduceat(dataset.rewards.astype(np.float64), dataset.first_step)
    heldout = len(dataset.split("heldout")) if dataset.episodes > 1 else 0
    return Inspection(
        episodes=dataset.episodes,
        transitions=dataset.transitions,
        num_frames=dataset.num_frames,
        megabytes=sum(file.stat().st_size for file in dataset.path.rglob("*") if file.is_file()) / 1e6,
        train=dataset.episodes - heldout,
        heldout=heldout,
        terminated=int(dataset.terminated[ends].sum()),
        truncated=int(dataset.truncated[ends].sum()),
        lengths=Distribution.of(dataset.lengths),
        returns=Distribution.of(returns),
        rewards=Distribution.of(dataset.rewards),
        zero_rewards=float((dataset.rewards == 0).mean()),
        actions=action_coverage(dataset),
        frames=frame_faults(dataset, range(dataset.episodes) if indices is None else indices),
    )


def action_coverage(dataset: EpisodeDataset) -> list[ActionCoverage]:
    """In the order of the encoded action: numbers and bits one by one, each choice as a whole."""
    codec, layout = dataset.codec, dataset.codec.layout
    encoded = codec.encode(dataset.actions)
    found = {run.start: _counted("choice", encoded[:, run].sum(axis=0)) for run in layout.one_hots}
    choices = {index for run in layout.one_hots for index in range(run.start, run.stop)}
    for index in sorted(set(range(codec.size)) - choices):
        if layout.boxes[index]:
            found[index] = _continuous(encoded[:, index], bool(layout.bounded[index]))
        else:
            ones = encoded[:, index].sum()
            found[index] = _counted("bit", np.array([len(encoded) - ones, ones]))
    return [found[index] for index in sorted(found)]


def _counted(kind: str, counts: np.ndarray) -> ActionCoverage:
    return ActionCoverage(kind, counts.astype(int).tolist(), None, float((counts > 0).mean()), None)


def _continuous(values: np.ndarray, bounded: bool) -> ActionCoverage:
    spread = Distribution.of(values, (-1.0, 1.0) if bounded else None)
    covered = float((np.array(spread.counts) > 0).mean())
    at_bounds = float((np.abs(values) >= 1).mean()) if bounded else None
    return ActionCoverage("continuous", spread.counts, spread.edges, covered, at_bounds)


def frame_faults(dataset: EpisodeDataset, indices: Sequence[int]) -> FrameFaults:
    """Read every frame of these episodes once."""
    total = one_colour = repeated = 0
    change, steps, unmoving = 0.0, 0, []
    seen: Counter[bytes] = Counter()
    episodes: dict[bytes, int] = {}
    same = []
    quiet = int(dataset.lengths[list(indices)].sum()) < _QUIET_FRAMES
    for index in indices if quiet else progress(indices, desc="looking at frames", unit="episode"):
        frames = dataset.episode_frames(index)
        digests = [hashlib.blake2b(frame.tobytes(), digest_size=8).digest() for frame in frames]
        seen.update(digests)
        whole = hashlib.blake2b(b"".join(digests), digest_size=16).digest()
        if whole in episodes:
            same.append((episodes[whole], int(index)))
        episodes.setdefault(whole, int(index))
        still = sum(one == other for one, other in zip(digests[1:], digests[:-1], strict=True))
        repeated += still
        if still == len(frames) - 1:
            unmoving.append(int(index))
        for start in range(0, len(frames), _AT_ONCE):
            part = frames[start : start + _AT_ONCE + 1].astype(np.int16)  # and the frame after it
            one_colour += int((part[:_AT_ONCE] == part[:_AT_ONCE, :1, :1]).all(axis=(1, 2, 3)).sum())
            change += float(np.abs(np.diff(part, axis=0)).mean(axis=(1, 2, 3)).sum())
        steps += len(frames) - 1
        total += len(frames)
    return FrameFaults(total, one_colour, repeated, total - len(seen), same, unmoving, change / max(steps, 1))
