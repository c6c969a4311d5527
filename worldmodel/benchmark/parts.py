"""The network by parts, and the time that a step spends in each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from worldmodel.benchmark.timing import seconds_of, wait
from worldmodel.model.network import SpacetimeNetwork

REST = "sampler and the rest"
TRANSFORMER = "transformer: "
_CHILDREN = {"space": "attention", "time": "attention", "spacetime": "attention", "mlp": "mlp"}
_BETWEEN = "norms and modulation"
_HEADS = {"readout": "heads", "reward": "heads", "termination": "heads", "gates": "conditioning"}


def by_part(network: SpacetimeNetwork, modules: Mapping[str, float], total: float) -> dict[str, Any]:
    """Sums over the network's parts, in the order in which a pass goes through them.

    modules: amount by name of module, everything inside it included; names that are missing count nothing. total: of
    the whole step; what no part accounts for is the sampler and the rest.
    """
    sums: dict[str, Any] = {}
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList):
            for index, layer in enumerate(child):
                _add_layer(sums, f"{name}.{index}", layer, modules)
        else:
            part = _HEADS.get(name, name)
            sums[part] = sums.get(part, 0) + modules.get(name, 0)
    sums = {part: amount for part, amount in sums.items() if amount}
    return {**sums, REST: total - sum(sums.values())}


def _add_layer(sums: dict[str, Any], name: str, layer: nn.Module, modules: Mapping[str, float]) -> None:
    rest = modules.get(name, 0)
    for child, _ in layer.named_children():
        amount = modules.get(f"{name}.{child}", 0)
        if child in _CHILDREN:
            part = TRANSFORMER + _CHILDREN[child]
            sums[part] = sums.get(part, 0) + amount
            rest -= amount
    part = TRANSFORMER + _BETWEEN
    sums[part] = sums.get(part, 0) + rest


def time_parts(step: Callable[[], object], network: SpacetimeNetwork, seconds: float) -> dict[str, float]:
    """Seconds of one step by part of the network, the mean over about `seconds`; all of it under "total".

    Hooks wait for the device before and after every part, so on a GPU these are times without overlap, larger in sum
    than an undisturbed step.
    """
    device = network.device
    clock = _Clock(device)
    names = [name for name, _ in network.named_modules() if name.count(".") <= 2]
    with ExitStack() as hooks:
        for name in names:
            clock.watch(name, network.get_submodule(name), hooks)
        once = seconds_of(step, device)
        repeats = max(3, int(seconds / once))
        clock.seconds.clear()
        total = seconds_of(step, device, repeats)
    modules = {name: spent / repeats for name, spent in clock.seconds.items()}
    return {**by_part(network, modules, total / repeats), "total": total / repeats}


class _Clock:
    """Seconds spent inside watched modules, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._entered: dict[str, float] = {}

    def watch(self, name: str, module: nn.Module, hooks: ExitStack) -> None:
        def enter(*_: object) -> None:
            wait(self.device)
            self._entered[name] = time.perf_counter()

        def leave(*_: object) -> None:
            wait(self.device)
            spent = time.perf_counter() - self._entered[name]
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

        hooks.callback(module.register_forward_pre_hook(enter).remove)
        hooks.callback(module.register_forward_hook(leave).remove)
