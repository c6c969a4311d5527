"""Other actions for the same contexts: noisy, shuffled, none, scaled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from worldmodel.evaluation.moments.action_noise import noisy_actions
from worldmodel.evaluation.moments.rollouts import Contexts
from worldmodel.spaces import ActionCodec

ChangeActions = Callable[[Contexts], NDArray[Any]]  # contexts -> actions [N,h,...] as stored


def noisy(share: float, codec: ActionCodec, seed: int) -> ChangeActions:
    """Gaussian noise of `share` of half the range; a choice becomes another one with that probability."""

    def change(contexts: Contexts) -> NDArray[Any]:
        encoded = torch.from_numpy(codec.encode(contexts.actions))
        return codec.decode(noisy_actions(encoded, codec, share, seed).numpy())

    return change


def shuffled(seed: int) -> ChangeActions:
    """Every context gets the actions of another one."""

    def change(contexts: Contexts) -> NDArray[Any]:
        return np.asarray(contexts.actions[derangement(contexts.episodes, seed)])

    return change


def derangement(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A permutation [N] that gives everybody something from another group, wherever there is another group."""
    order = np.random.default_rng(seed).permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    largest = int(np.unique(groups, return_counts=True)[1].max())
    given = np.empty(len(groups), np.int64)
    given[order] = np.roll(order, largest if largest < len(groups) else 1)
    return given


def nothing(codec: ActionCodec) -> ChangeActions:
    """Zero actions; the first choice of a discrete one."""
    return lambda contexts: scaled_actions(contexts.actions, codec, 0.0)


def scaled(factor: float, codec: ActionCodec) -> ChangeActions:
    """Continuous actions times `factor` (-1: negated), clipped. Choices stay, but for factor 0 are the first one."""
    return lambda contexts: scaled_actions(contexts.actions, codec, factor)


def scaled_actions(actions: NDArray[Any], codec: ActionCodec, factor: float) -> NDArray[Any]:
    """actions [...] as stored, and the result too."""
    if isinstance(codec.space, spaces.Box):
        return np.clip(actions * factor, codec.space.low, codec.space.high).astype(codec.stored_dtype)
    encoded, layout = codec.encode(actions).astype(np.float64), codec.layout
    encoded[..., layout.boxes] *= factor
    if factor == 0.0:
        encoded[..., ~layout.boxes] = 0.0  # decoding takes the first of equals
    return codec.decode(encoded)
