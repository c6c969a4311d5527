"""The page of an evaluation: what its template is given, and the headline numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from worldmodel.evaluation.evaluation import Evaluation
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.pixels.chance import CELLS
from worldmodel.evaluation.pixels.endings import THRESHOLD, TOLERANCE
from worldmodel.evaluation.pixels.fidelity import COPY, DREAM
from worldmodel.evaluation.pixels.looks import COLOUR, SHARPNESS
from worldmodel.evaluation.pixels.memory import LATEST, ON_TIME
from worldmodel.evaluation.psnr import CONVENTION
from worldmodel.evaluation.report import evaluation_pictures as pictures
from worldmodel.evaluation.report.agents import AgentResult
from worldmodel.machine import Machine
from worldmodel.model.world import WorldSpec
from worldmodel.report.numbers import fields_of, plain
from worldmodel.report.page import Card, render
from worldmodel.report.panels import DIFFERENCE_GAIN
from worldmodel.report.video import has_ffmpeg
from worldmodel.report.wording import rate, sample_horizons


@dataclass(frozen=True)
class Report:
    """Everything one page shows. seconds: how long the measurements took."""

    world: WorldSpec
    evaluation: Evaluation
    agents: list[AgentResult]
    machine: Machine
    seconds: float

    def html(self) -> str:
        """The page. Sections without data are left out."""
        result, fps = self.evaluation, self.world.fps
        fidelity, long = result.fidelity, result.long_dreams
        parts = {"What is out of sight": result.permanence, "What chance does": result.chance}
        missing = {name: part.reason for name, part in parts.items() if isinstance(part, NotMeasured)}
        permanence = None if isinstance(result.permanence, NotMeasured) else result.permanence
        chance = None if isinstance(result.chance, NotMeasured) else result.chance
        response = result.counterfactual.response
        levels = "distance (grey levels)"
        return render(
            "evaluation.html",
            title=f"A dream of {self.world.env.id}",
            cards=self.cards(),
            world=self.world,
            result=result,
            agents=self.agents,
            machine=self.machine,
            seconds=self.seconds,
            permanence=permanence,
            chance=chance,
            missing=missing,
            horizons=sample_horizons,
            psnr_rows={row: look[0] for row, look in pictures.PSNR_ROWS.items() if row in fidelity.psnr},
            reward_guess=float(np.average(fidelity.rewards.error_of_mean, weights=fidelity.counts)),
            spans=[f"steps {w.first + 1} to {w.last}" for w in long.windows] if long else [],
            shown_step=chance.shown_step if chance else 0,
            best=max(result.cost.speeds, key=lambda speed: speed.frames_per_second),
            psnr_convention=CONVENTION,
            end_threshold=THRESHOLD,
            end_tolerance=TOLERANCE,
            colour=COLOUR,
            sharpness=SHARPNESS,
            latest=LATEST,
            on_time=ON_TIME,
            cells=CELLS,
            gain=DIFFERENCE_GAIN,
            has_video=has_ffmpeg(),
            plots={
                "psnr": pictures.psnr_plot(fidelity),
                "response": response
                and pictures.pair_plot("response", response.real, response.dream, levels),
                "sharpness": long and pictures.sharpness_plot(long),
                "objects": long and pictures.objects_plot(long),
                "chance": chance
                and pictures.pair_plot("chance", chance.pixels.real, chance.pixels.dream, levels),
                "learning": pictures.learning_plot(self.agents),
                "returns": self.agents and pictures.returns_plot(self.agents),
            },
            pictures={
                "films": pictures.side_by_side(result.films, fps),
                "counterfactuals": pictures.counterfactual_films(result.counterfactual, fps),
                "long": pictures.long_films(long, fps) if long else [],
                "permanence": [pictures.memory_film(film, fps) for film in permanence.films]
                if permanence
                else [],
                "chance": [pictures.chance_picture(chance)] if chance else [],
            },
        )

    def cards(self) -> list[Card]:
        """The headline numbers."""
        fidelity, cost = self.evaluation.fidelity, self.evaluation.cost
        at = min(8, fidelity.horizon)
        dream, copied = (fidelity.psnr[row][at - 1] for row in (DREAM, COPY))
        best = max(cost.speeds, key=lambda speed: speed.frames_per_second)
        agents = [
            Card(f"{a.mean:.1f}", f"real return of {a.name} ({a.interval[0]:.1f} to {a.interval[1]:.1f})")
            for a in self.agents
        ]
        return [
            Card(f"{dream:.1f} dB", f"PSNR of the dream {at} frames ahead (last frame copied: {copied:.1f})"),
            *agents,
            Card(f"{cost.speed(1, 1).latency_p50_ms:.1f} ms", "for one imagined step on one thread"),
            Card(f"{rate(best.frames_per_second)} /s", f"imagined frames, {best.batch} dreams at once"),
        ]


def evaluation_numbers(result: Evaluation) -> dict[str, Any]:
    """Everything measured except the frames."""
    futures, noisy, other = result.films.futures, result.noisy, result.counterfactual
    played = noisy and {
        "share": noisy.share,
        "repeats_exactly_without_noise": noisy.frames is not None,
        "restored_by": noisy.restored_by,
        "reason": noisy.reason,
    }
    chance, long = result.chance, result.long_dreams
    random = None if chance is None or isinstance(chance, NotMeasured) else chance.deterministic
    content = {
        "fidelity": {
            **fields_of(result.fidelity),
            "horizon": result.fidelity.horizon,
            "convention": CONVENTION,
            "simulator_with_action_noise": played,
        },
        "long_dreams": long
        and {
            **fields_of(long, "shown", "films", "shown_steps"),
            "colour_convention": COLOUR,
            "gradient_convention": SHARPNESS,
        },
        "permanence": result.permanence and fields_of(result.permanence, "films"),
        "chance": chance
        and {
            **fields_of(chance, "context", "dream_frames", "real_frames", "shown_step"),
            **({} if random is None else {"deterministic": random}),
        },
        "counterfactual": {
            "actions": other.names,
            "contexts": other.contexts,
            "dream_separation": other.dream_separation,
            "restored_by": other.real and other.real.restored_by,
            "reason": other.reason,
            "response": other.response,
        },
        "cost": result.cost,
        "films": {"episodes": futures.episodes.tolist(), "starts": futures.starts.tolist()},
    }
    return dict(plain(content))
