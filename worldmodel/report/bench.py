"""`worldmodel bench`: what dreaming and learning cost on this machine, beside the real environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from worldmodel.arguments import made_of
from worldmodel.benchmark.benchmark import BenchmarkConfig, run_benchmark
from worldmodel.benchmark.flops import CONVENTION
from worldmodel.benchmark.untrained import untrained_world
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_write_text, write_json
from worldmodel.machine import this_machine
from worldmodel.model.checkpoint import load_world_model
from worldmodel.model.precision import chosen_precision
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig
from worldmodel.report.bench_page import BenchReport
from worldmodel.report.numbers import plain

FORMAT, VERSION = "worldmodel-bench", 1


def bench(
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    env: Mapping[str, Any],
    measurements: Mapping[str, Any] | None = None,
    checkpoint: str | None = None,
    num_inference_steps: int | None = None,
    precision: str | None = None,
    device: str | None = None,
    out: str = "runs/bench",
) -> Path:
    """Measure, print a table, and write bench.json and bench.html to the folder `out`.

    checkpoint: whose world to measure; None for random weights of `model` (arguments of SpacetimeNetwork) and `noise`
    (NoiseConfig) that would learn `env` (EnvConfig), which cost the same. num_inference_steps: passes, None for the
    checkpoint's own or two; precision: float32, bfloat16, auto, or None for the device's own; device:
    None for a GPU where there is one. measurements: fields of BenchmarkConfig. Returns the path of bench.html.
    """
    config = made_of(BenchmarkConfig, measurements, "measurements")
    world = _world(checkpoint, model, noise, env, chosen_device(device), precision)
    if num_inference_steps is not None:
        if num_inference_steps < 1:
            raise WorldModelError(
                f"num_inference_steps is {num_inference_steps}: give a whole number of at least 1."
            )
        world.dynamics.num_inference_steps = num_inference_steps
    weights = f"checkpoint {checkpoint}" if checkpoint else "random weights"
    report = BenchReport(run_benchmark(world, config), world.world, weights, this_machine())
    print(report.text())
    folder = Path(out)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["worldmodel", *sys.argv[1:]]),
        "weights": weights,
        "env": world.world.env.to_json(),
        "frame_shape": list(world.world.frame_shape),
        "network": dict(world.network.config),
        "measurements": asdict(config),
        "flop_convention": CONVENTION,
        "machine": asdict(report.machine),
        **report.numbers(),
    }
    write_json(folder / "bench.json", plain(content))
    atomic_write_text(folder / "bench.html", report.html())
    print(f"page: {folder / 'bench.html'}\nall numbers: {folder / 'bench.json'}")
    return folder / "bench.html"


def _world(
    checkpoint: str | None,
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    env: Mapping[str, Any],
    device: torch.device,
    precision: str | None,
) -> WorldModel:
    if checkpoint is not None:
        return load_world_model(checkpoint, device, precision)
    world = untrained_world(EnvConfig.from_json(env), model, noise)
    return world.to(device, chosen_precision(precision, device))
