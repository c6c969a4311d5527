"""What an imagined step costs here and now, beside a step of the real environment. `worldmodel bench` says more."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from worldmodel.benchmark.dream import Speed, measure_speed, stepper
from worldmodel.benchmark.flops import count_flops
from worldmodel.benchmark.real import measure_real
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

BATCHES = (1, 8, 32)


@dataclass(frozen=True)
class Cost:
    """speeds: of the dream; passes: through the network per step; gflop_per_frame: see flops.CONVENTION;
    real_frames_per_second: of the real environment drawn at the same size in one process, resets included, or None
    with the reason."""

    device: str
    parameters: int
    passes: int
    gflop_per_frame: float
    speeds: list[Speed]
    real_frames_per_second: float | None
    real_reason: str = ""

    def speed(self, batch: int, threads: int) -> Speed:
        """The measurement at this batch size and number of threads."""
        return next(item for item in self.speeds if (item.batch, item.threads) == (batch, threads))

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were tried, ascending."""
        return sorted({item.threads for item in self.speeds})


def measure_cost(model: WorldModel, seconds: float = 1.0) -> Cost:
    """Time the dream at each batch size for about `seconds`, on one thread and on all, then the real environment."""
    threads = sorted({1, torch.get_num_threads()})
    cases = [(batch, count) for count in threads for batch in BATCHES]
    speeds = [
        measure_speed(model, batch, count, seconds)
        for batch, count in progress(cases, desc="timing the dream", unit="case")
    ]
    rate, reason = measure_real(model.world.env, seconds)
    return Cost(
        device=str(model.device),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        passes=model.num_inference_steps,
        gflop_per_frame=count_gflop(model),
        speeds=speeds,
        real_frames_per_second=rate,
        real_reason=reason,
    )


def count_gflop(model: WorldModel) -> float:
    """GFLOP of one imagined step at batch 1."""
    return count_flops(stepper(model.without_graphs(), 1), model.network)["total"] / 1e9
