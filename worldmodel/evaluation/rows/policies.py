"""Many policies made cheaply, from useless to fair: what a dream is asked to rank."""

# B episodes side by side, D size of an encoded action, Z numbers that a policy sees

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.data.recorder import make_policy
from worldmodel.evaluation.parts import digest
from worldmodel.evaluation.probe.network import STACK
from worldmodel.evaluation.probe.probe import SEEN, FrozenProbe
from worldmodel.spaces import ActionCodec

Floats = NDArray[np.float64]
GRID = 6  # a policy without a probe sees so many by so many grey values
_EXPLORATION = "worldmodel.agents.exploration"
OPEN_LOOP: Mapping[str, Mapping[str, Any]] = {
    "random": {"_target_": f"{_EXPLORATION}.RandomActions"},
    "held": {"_target_": f"{_EXPLORATION}.HeldActions"},
    "drifting": {"_target_": f"{_EXPLORATION}.OrnsteinUhlenbeck"},
}


class Batched(Protocol):
    """Acts in B episodes at once."""

    def act(self, recent: NDArray[np.uint8]) -> NDArray[Any]:
        """Stored actions [B,...] for the last STACK frames uint8 [B,STACK,H,W,C], the oldest first."""


Make = Callable[[int, int], Batched]  # of so many episodes, with this seed


@dataclass(frozen=True)
class Candidate:
    """A policy by name. optimised: found inside the dream; version: by which its finished episodes are known again,
    None where nobody can tell whether it is still the same policy."""

    name: str
    make: Make
    optimised: bool = False
    version: str | None = None


class View(Protocol):
    """What a policy has seen of B running episodes."""

    def see(self, recent: NDArray[np.uint8]) -> Floats:
        """[B,Z], each about of unit size. Called once for every step, in order."""


class Eyes(Protocol):
    """Turns frames into the Z numbers that a linear policy sees."""

    size: int

    def open(self) -> View:
        """For episodes that begin."""


class ProbeEyes:
    """The features that the probe can be trusted with, standardised; 0 where it cannot tell."""

    def __init__(self, probe: FrozenProbe) -> None:
        self.probe, self.chosen = probe, probe.trusted_features
        self.size = int(self.chosen.sum())

    def open(self) -> View:
        """See Eyes."""
        return _ProbeView(self)


class _ProbeView:
    """Looks at every frame once: what it read of the two before is remembered."""

    def __init__(self, eyes: ProbeEyes) -> None:
        self._eyes = eyes
        self._places: list[Tensor] = []
        self._there: list[Tensor] = []

    def see(self, recent: NDArray[np.uint8]) -> Floats:
        probe, chosen = self._eyes.probe, self._eyes.chosen
        new = recent if not self._places else recent[:, -1:]
        described, areas, _ = probe.look(torch.from_numpy(np.ascontiguousarray(new)))
        with torch.no_grad():
            places = probe.places(described)
        self._places = [*places.unbind(1)[::-1], *self._places][:STACK]
        self._there = [*(areas >= SEEN * probe.usual_area).unbind(1)[::-1], *self._there][:STACK]
        features = probe.features(torch.stack(self._places, 1), torch.stack(self._there, 1))
        standard = (features - probe.feature_mean) / probe.feature_scale
        return np.nan_to_num(standard.numpy()[:, chosen])


class PixelEyes:
    """Coarse grey values of the last frame and their change since the frame before."""

    size = 2 * GRID * GRID

    def open(self) -> View:
        """See Eyes."""
        return self

    def see(self, recent: NDArray[np.uint8]) -> Floats:
        """See View."""
        grey = recent[:, -2:].mean(axis=-1)
        rows, columns = (np.arange(GRID) * side // GRID for side in grey.shape[2:])
        coarse = np.add.reduceat(np.add.reduceat(grey, rows, axis=2), columns, axis=3)
        coarse /= (grey.shape[2] / GRID) * (grey.shape[3] / GRID)
        last = coarse[:, -1] - coarse[:, -1].mean((1, 2), keepdims=True)
        change = coarse[:, -1] - coarse[:, 0]
        return np.concatenate([last.reshape(len(last), -1) / 32, change.reshape(len(last), -1) / 8], axis=1)


class Linear:
    """action = weights [D,1+Z] times what is seen; the first column is what is done whatever is seen."""

    def __init__(self, eyes: Eyes, weights: Floats, codec: ActionCodec) -> None:
        self._view, self._weights, self._codec = eyes.open(), weights, codec

    def act(self, recent: NDArray[np.uint8]) -> NDArray[Any]:
        """See Batched."""
        seen = self._view.see(recent)
        return self._codec.decode(np.concatenate([np.ones((len(seen), 1)), seen], axis=1) @ self._weights.T)


class Mixed:
    """`base`, but a share of the steps is random."""

    def __init__(self, base: Batched, share: float, codec: ActionCodec, seed: int) -> None:
        self._base, self._share, self._codec = base, share, codec
        self._rng = np.random.default_rng(seed)

    def act(self, recent: NDArray[np.uint8]) -> NDArray[Any]:
        """See Batched."""
        chosen = self._base.act(recent)
        random = self._codec.decode(self._rng.uniform(-1, 1, (len(recent), self._codec.size)))
        which = self._rng.random(len(recent)) < self._share
        chosen[which] = random[which]
        return chosen


class PerEpisode:
    """Any worldmodel.policy.Policy, made anew for every episode."""

    def __init__(self, config: Mapping[str, Any], codec: ActionCodec, episodes: int, seed: int) -> None:
        rngs = np.random.default_rng(seed).spawn(episodes)
        self._codec = codec
        self._policies = [make_policy(config, codec.space, rng) for rng in rngs]
        for policy in self._policies:
            policy.reset()

    def act(self, recent: NDArray[np.uint8]) -> NDArray[Any]:
        """See Batched."""
        pairs = zip(self._policies, recent[:, -1], strict=True)
        return np.stack([self._codec.store(policy.act(frame)) for policy, frame in pairs])


class Recorded:
    """Fixed action sequences [B,h,...] as stored."""

    def __init__(self, actions: NDArray[Any]) -> None:
        self._actions, self._step = actions, 0

    def act(self, recent: NDArray[np.uint8]) -> NDArray[Any]:
        """See Batched."""
        self._step += 1
        return np.asarray(self._actions[:, self._step - 1])


def is_made(name: str) -> bool:
    """Whether a report makes policies of this name itself."""
    return name in ("nothing", *OPEN_LOOP) or name.startswith(("linear ", "best, ", "from the dream "))


def open_loop(codec: ActionCodec, given: Mapping[str, Mapping[str, Any]]) -> list[Candidate]:
    """Policies that see nothing, and those that the user named (saved agents, scripts)."""

    def of(name: str, config: Mapping[str, Any], version: str | None) -> Candidate:
        make = partial(PerEpisode, config, codec)
        return Candidate(name, make, version=version)

    rest = codec.decode(np.zeros((1, codec.size)))
    idle = Candidate(
        "nothing", lambda episodes, seed: _Constant(np.repeat(rest, episodes, axis=0)), version="nothing"
    )
    own = [of(name, config, name) for name, config in OPEN_LOOP.items()]
    return [idle, *own, *(of(name, config, None) for name, config in given.items())]


def random_linear(eyes: Eyes, codec: ActionCodec, count: int, rng: np.random.Generator) -> list[Floats]:
    """Weights of policies that look at a few things each: most are useless, some are fair."""
    found = []
    for _ in range(count):
        weights = rng.normal(0, 1.5, (codec.size, 1 + eyes.size)) / np.sqrt(min(4, eyes.size))
        keep = rng.random(weights.shape) < max(0.35, 4 / max(4, eyes.size))
        weights *= keep
        weights[:, 0] *= 0.3
        found.append(weights)
    return found


def varied(weights: Floats, rng: np.random.Generator, size: float = 0.4) -> Floats:
    """Weights nearby."""
    return np.asarray(weights + size * rng.normal(size=weights.shape) * (np.abs(weights).mean() + 0.1))


def linear(name: str, eyes: Eyes, weights: Floats, codec: ActionCodec, optimised: bool = False) -> Candidate:
    """A linear policy as a candidate."""
    version = f"linear {digest(weights.tolist())}"
    return Candidate(name, lambda episodes, seed: Linear(eyes, weights, codec), optimised, version)


def mixed(name: str, base: Candidate, share: float, codec: ActionCodec) -> Candidate:
    """A candidate that acts at random in a share of its steps."""
    version = None if base.version is None else f"{base.version}, {share} random"
    return Candidate(
        name, lambda episodes, seed: Mixed(base.make(episodes, seed), share, codec, seed + 7), version=version
    )


class _Constant:
    def __init__(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def act(self, recent: NDArray[np.uint8]) -> NDArray[Any]:
        return self._actions.copy()


def recent_frames(past: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The last STACK of context frames [B,k,H,W,C]; of fewer the first is repeated."""
    missing = max(0, STACK - past.shape[1])
    return np.concatenate([past[:, :1].repeat(missing, axis=1), past[:, -STACK:]], axis=1)
