"""All measurements of one benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from worldmodel.benchmark.dream import Speed, double_until_flat, measure_speed, stepper
from worldmodel.benchmark.env_layer import EnvLayer, measure_env_layer
from worldmodel.benchmark.flat import Flatness, measure_flatness
from worldmodel.benchmark.flops import count_flops
from worldmodel.benchmark.memory import PeakMemory
from worldmodel.benchmark.parts import time_parts
from worldmodel.benchmark.peak import Peak, faster, measure_peak
from worldmodel.benchmark.real import measure_real
from worldmodel.benchmark.timing import torch_threads
from worldmodel.benchmark.training import TrainingRate, measure_training
from worldmodel.errors import WorldModelError
from worldmodel.model.precision import native_bfloat16
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

CPU_BATCHES = (1, 8, 32, 64)


@dataclass(frozen=True)
class BenchmarkConfig:
    """How much is measured.

    batches: dreams at once; none for 1, 8, 32 and 64 on a CPU, and on a GPU doubling until throughput stops growing or
    memory ends; threads: of torch; none for one and all; parts_batch: dreams at once when time is told apart by part
    of the network, and the environment's from the model's; training_batch clips of training_clip transitions in an
    optimiser step, 0 for no training; flat_steps: length of the dream that must not grow slower, 0 for none; seconds:
    for each measured speed.
    """

    batches: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    parts_batch: int = 32
    training_batch: int = 8
    training_clip: int = 8
    flat_steps: int = 0
    seconds: float = 2.0

    def __post_init__(self) -> None:
        for name in ("batches", "threads"):
            values = tuple(getattr(self, name))
            if any(not isinstance(value, int) or value < 1 for value in values):
                raise WorldModelError(f"{name} is {list(values)}: give whole numbers of at least 1, or none.")
            object.__setattr__(self, name, values)
        for name, least in (
            ("parts_batch", 1),
            ("training_batch", 0),
            ("training_clip", 1),
            ("flat_steps", 0),
        ):
            if getattr(self, name) < least:
                raise WorldModelError(f"{name} is {getattr(self, name)}, expected at least {least}.")
        if not self.seconds > 0:
            raise WorldModelError(f"seconds is {self.seconds}, expected more than 0.")


@dataclass(frozen=True)
class Benchmark:
    """What was measured.

    flops: of one imagined frame by part and in "total"; part_seconds: of one step of parts_batch dreams, likewise;
    env_layer: of the Gymnasium environment over the model, for as many dreams;
    peaks: of matrix products in the same run; peak_memory: what Speed.peak_bytes means; real_frames_per_second: of the
    real environment drawn at the same size in one process, or None with the reason.
    """

    device: str
    precision: str
    parameters: int
    passes: int
    flops: dict[str, int]
    speeds: list[Speed]
    peaks: list[Peak]
    peak_memory: str
    parts_batch: int
    parts_threads: int
    part_seconds: dict[str, float]
    env_layer: EnvLayer
    training: TrainingRate | None
    flatness: Flatness | None
    real_frames_per_second: float | None
    real_reason: str

    @property
    def gflop_per_frame(self) -> float:
        return self.flops["total"] / 1e9

    def peak(self, dtype: str, threads: int) -> Peak:
        """The measured peak of this dtype on so many threads."""
        return next(peak for peak in self.peaks if (peak.dtype, peak.threads) == (dtype, threads))

    def share(self, speed: Speed, dtype: str) -> float:
        """Of the matrix product's peak in `dtype`, measured in the same run on as many threads."""
        return (
            speed.frames_per_second * self.gflop_per_frame / self.peak(dtype, speed.threads).gflop_per_second
        )

    @property
    def best(self) -> Speed:
        """The measurement with the most frames per second."""
        return max(self.speeds, key=lambda speed: speed.frames_per_second)

    @property
    def real_ratio(self) -> float | None:
        """Real steps per second over imagined ones at their best."""
        real = self.real_frames_per_second
        return None if real is None else real / self.best.frames_per_second


def run_benchmark(model: WorldModel, config: BenchmarkConfig) -> Benchmark:
    """Measure everything, one thing after the other."""
    device, seconds = model.device, config.seconds
    every = torch.get_num_threads()
    threads = sorted(set(config.threads or ((1, every) if device.type == "cpu" else (every,))))
    precision = model.precision
    dtypes = [torch.float32, *([torch.bfloat16] if native_bfloat16(device) else [])]
    with progress(total=5 + len(threads), desc="benchmark", unit="measurement") as bar:
        real, reason = measure_real(model.world.env, seconds)
        bar.update()
        peaks, speeds = [], []
        for count in threads:
            before = [measure_peak(device, dtype, count, seconds) for dtype in dtypes]
            speeds += _speeds(model, config, count)
            # Before and after, the faster of both: a peak measured while the machine is busy would flatter.
            peaks += [
                faster(peak, measure_peak(device, getattr(torch, peak.dtype), count, seconds))
                for peak in before
            ]
            bar.update()
        plain = model.without_graphs()
        flops = count_flops(stepper(plain, 1), model.network)
        with torch_threads(threads[-1]):
            parts = time_parts(stepper(plain, config.parts_batch), model.network, seconds)
            bar.update()
            env_layer = measure_env_layer(model, config.parts_batch, threads[-1], 2 * seconds)
            bar.update()
            training = flatness = None
            if config.training_batch:
                training = measure_training(model, config.training_batch, config.training_clip, seconds)
            bar.update()
            if config.flat_steps:
                flatness = measure_flatness(model, config.flat_steps)
            bar.update()
    return Benchmark(
        device=str(device),
        precision=precision,
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        passes=model.num_inference_steps,
        flops=flops,
        speeds=speeds,
        peaks=peaks,
        peak_memory=PeakMemory(device).meaning,
        parts_batch=config.parts_batch,
        parts_threads=threads[-1],
        part_seconds=parts,
        env_layer=env_layer,
        training=training,
        flatness=flatness,
        real_frames_per_second=real,
        real_reason=reason,
    )


def _speeds(model: WorldModel, config: BenchmarkConfig, threads: int) -> list[Speed]:
    def measure(batch: int) -> Speed:
        if model.dynamics.captured is not None:
            model.dynamics.captured.forget()  # the memory of the last batch's graph
        return measure_speed(model, batch, threads, config.seconds)

    if not config.batches and model.device.type != "cpu":
        return double_until_flat(measure)
    return [measure(batch) for batch in config.batches or CPU_BATCHES]
