"""What an imagined step costs, beside a real one."""

from __future__ import annotations

from worldmodel.evaluation.cost import BATCHES, Cost
from worldmodel.machine import Machine
from worldmodel.report.markup import paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.wording import rate, times

WORTH = (
    "A dream earns its place elsewhere: by large batches on a GPU, by branching one moment into many futures, by "
    "worlds that have no simulator, and by being differentiable and portable."
)


def cost_section(cost: Cost, machine: Machine) -> Section:
    """A table of measured speeds and a plain statement which side is faster."""
    rows = []
    for threads in cost.threads:
        for batch in BATCHES:
            speed = cost.speed(batch, threads)
            times_taken = [f"{speed.latency_p50_ms:.1f}", f"{speed.latency_p95_ms:.1f}"]
            rows.append(
                [f"dream, {batch} at once", str(threads), *times_taken, rate(speed.frames_per_second)]
            )
    if cost.real_frames_per_second is not None:
        mean = f"{1e3 / cost.real_frames_per_second:.2f}"
        rows.append(["real, one process", "1", mean, "-", rate(cost.real_frames_per_second)])
    caption = (
        "A step is one frame of every dream at once; its median and 95th percentile (real: its mean, resets included). "
        f"{cost.parameters:,} parameters, {cost.gflop_per_frame:.3g} GFLOP per imagined frame in {cost.passes} "
        f"denoising passes; {machine.summary()}; dream on {cost.device}."
    )
    header = ["", "threads", "ms a step", "95 % below", "frames/s"]
    return Section("What it costs", paragraph(_verdict(cost)) + table(header, rows, caption))


def _verdict(cost: Cost) -> str:
    best = max(cost.speeds, key=lambda speed: speed.frames_per_second)
    alone = cost.speed(1, 1)
    dream = (
        f"One imagined step takes {alone.latency_p50_ms:.1f} ms on one thread; "
        f"{best.batch} dreams at once make {rate(best.frames_per_second)} frames per second."
    )
    real = cost.real_frames_per_second
    if real is None:
        return f"{dream} The real environment could not be timed: {cost.real_reason}"
    ratio = real / best.frames_per_second
    if ratio > 1:
        return (
            f"{dream} The real environment, drawn at the same size by one process, makes {rate(real)}: "
            f"on this machine it is {times(ratio)} as fast as the dream. {WORTH}"
        )
    return (
        f"{dream} The real environment, drawn at the same size by one process, makes {rate(real)}: "
        f"on this machine the dream is {times(1 / ratio)} as fast."
    )
