"""The benchmark as text for a terminal, as a page, and as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from worldmodel.benchmark.benchmark import Benchmark
from worldmodel.benchmark.dream import Speed
from worldmodel.benchmark.flops import CONVENTION
from worldmodel.machine import Machine
from worldmodel.model.world import WorldSpec
from worldmodel.report.page import Card, render
from worldmodel.report.wording import decimal, rate, times

MIB = 2**20
_SHORT = {"float32": "fp32", "bfloat16": "bf16"}
Rows = list[list[str]]


@dataclass(frozen=True)
class BenchReport:
    """One benchmark, the world it dreamt of, which weights it used, and the machine."""

    result: Benchmark
    world: WorldSpec
    weights: str
    machine: Machine

    def text(self) -> str:
        """Tables for a terminal."""
        blocks = [self.headline(), aligned(*self.speeds()), self.verdict()]
        blocks += [f"where the time goes\n{aligned(*self.parts())}", *self.lines(), CONVENTION]
        return "\n\n".join(blocks)

    def html(self) -> str:
        """The page."""
        cards = self._cards()
        return render(
            "bench.html", title="What a dream costs", cards=cards, report=self, convention=CONVENTION
        )

    def numbers(self) -> dict[str, Any]:
        """Everything measured, and the shares and ratios that follow."""
        result = self.result
        shares = [
            {
                **asdict(speed),
                "share_of_peak": {dtype: result.share(speed, dtype) for dtype in self._dtypes()},
            }
            for speed in result.speeds
        ]
        flat = asdict(result.flatness) | {"ratio": result.flatness.ratio} if result.flatness else None
        return {
            **asdict(result),
            "env_layer": asdict(result.env_layer) | {"overhead": result.env_layer.overhead},
            "gflop_per_frame": result.gflop_per_frame,
            "speeds": shares,
            "flatness": flat,
            "real_over_imagined": result.real_ratio,
        }

    def _dtypes(self) -> list[str]:
        return list(dict.fromkeys(peak.dtype for peak in self.result.peaks))

    def headline(self) -> str:
        """What was measured, and where."""
        result, (height, width, _) = self.result, self.world.frame_shape
        return (
            f"{self.world.env.id} at {width}x{height}, {self.weights}: {result.parameters:,} parameters, "
            f"{result.gflop_per_frame:.3f} GFLOP per imagined frame in {result.passes} passes; "
            f"{_SHORT[result.precision]} on {result.device}, {self.machine.summary()}."
        )

    def speeds(self) -> tuple[list[str], Rows]:
        """Header and rows: speed by batch and threads."""
        shares = [f"of {_SHORT[dtype]} peak" for dtype in self._dtypes()]
        header = ["dreams at once", "threads", "ms p50", "ms p95", "frames/s", "GFLOP/s", *shares, "MiB"]
        rows = [self._speed(speed) for speed in self.result.speeds]
        real = self.result.real_frames_per_second
        if real is not None:
            none = ["-"] * (len(shares) + 2)
            rows.append(["real, one process", "1", f"{1e3 / real:.2f}", "-", rate(real), *none])
        return header, rows

    def _speed(self, speed: Speed) -> list[str]:
        result = self.result
        return [
            f"{speed.batch:,}",
            str(speed.threads),
            f"{speed.latency_p50_ms:.2f}",
            f"{speed.latency_p95_ms:.2f}",
            rate(speed.frames_per_second),
            rate(speed.frames_per_second * result.gflop_per_frame),
            *(f"{100 * result.share(speed, dtype):.1f} %" for dtype in self._dtypes()),
            rate(speed.peak_bytes / MIB),
        ]

    def peaks(self) -> str:
        """What matrix products reach."""
        return ", ".join(
            f"{rate(peak.gflop_per_second)} GFLOP/s in {_SHORT[peak.dtype]} on {_threads(peak.threads)}"
            for peak in self.result.peaks
        )

    def parts(self) -> tuple[list[str], Rows]:
        """Header and rows: a step by part of the network."""
        seconds, flops = self.result.part_seconds, self.result.flops
        count = self.result.parts_batch
        rows = []
        for part, spent in seconds.items():
            done = flops.get(part, 0)
            speed = rate(done * count / spent / 1e9) if spent > 0 and done else "-"
            share, work = spent / seconds["total"], done / flops["total"]
            row = [
                part,
                f"{1e3 * spent:.2f}",
                f"{100 * share:.0f} %",
                decimal(done / 1e6, ",.1f"),
                f"{100 * work:.0f} %",
            ]
            rows.append([*row, speed])
        return ["part", "ms a step", "of time", "MFLOP a frame", "of FLOP", "GFLOP/s"], rows

    def lines(self) -> list[str]:
        """Sentences on the environment, training and long dreams."""
        layer = self.result.env_layer
        lines = [
            f"The Gymnasium environment takes {layer.layer_ms:+.2f} ms a step on top of the model's "
            f"{layer.model_ms:.2f} with {layer.batch} dreams at once on {_threads(layer.threads)}: "
            f"{100 * layer.overhead:+.1f} %."
        ]
        if training := self.result.training:
            lines.append(
                f"Training: {rate(training.frames_per_second)} frames/s, {1e3 * training.seconds_per_step:.0f} ms an "
                f"optimiser step of {training.batch} clips of {training.clip} steps in {_SHORT[training.precision]} on "
                f"{_threads(training.threads)}, {rate(training.peak_bytes / MIB)} MiB; reading data not included."
            )
        if flat := self.result.flatness:
            early, late = flat.state_bytes
            lines.append(
                f"A step takes {flat.late_ms:.2f} ms after {flat.steps:,} steps and {flat.early_ms:.2f} ms after ten: "
                f"{flat.ratio:.2f} times. The dream's state takes {late / MIB:.2f} MiB after {early / MIB:.2f}; "
                f"memory in use changed by {flat.grown_bytes / MIB:+.1f} MiB."
            )
        return lines

    def verdict(self) -> str:
        """The real environment beside the dream."""
        result, steps = self.result, self.result.real_frames_per_second
        if steps is None or result.real_ratio is None:
            return f"The real environment could not be timed: {result.real_reason}"
        real = f"The real environment, drawn at the same size by one process, makes {rate(steps)} steps/s"
        best = f"the best of these dreams ({rate(result.best.frames_per_second)})"
        if result.real_ratio > 1:
            return f"{real}: {times(result.real_ratio)} as many as {best}."
        return f"{real}: {best} make {times(1 / result.real_ratio)} as many."

    def _cards(self) -> list[Card]:
        result = self.result
        alone = min(result.speeds, key=lambda speed: (speed.batch, speed.latency_p50_ms))
        cards = [
            Card(
                f"{rate(result.best.frames_per_second)} /s",
                f"imagined frames, {result.best.batch} dreams at once",
            ),
            Card(
                f"{alone.latency_p50_ms:.1f} ms", f"for a step of {alone.batch} on {_threads(alone.threads)}"
            ),
            Card(f"{result.gflop_per_frame:.2f} GFLOP", f"per imagined frame, in {result.passes} passes"),
        ]
        if result.real_frames_per_second is not None:
            cards.append(Card(f"{rate(result.real_frames_per_second)} /s", "real steps, drawn the same size"))
        return cards


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count != 1 else ''}"


def aligned(header: Sequence[str], rows: Rows) -> str:
    """Columns: the first to the left, numbers to the right."""
    lines = [list(header), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
