"""The report: which sections there are, in which order, and what the top of the page says."""

from __future__ import annotations

from dataclasses import dataclass

from worldmodel.evaluation.evaluation import Evaluation
from worldmodel.evaluation.fidelity import COPY, DREAM
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.machine import Machine
from worldmodel.model.world import WorldSpec
from worldmodel.report.actions_section import actions_section
from worldmodel.report.agents import AgentResult
from worldmodel.report.agents_section import learning_section, returns_section
from worldmodel.report.chance_section import chance_section
from worldmodel.report.cost_section import cost_section
from worldmodel.report.dream_section import fidelity_section, video_section
from worldmodel.report.long_section import long_section
from worldmodel.report.markup import paragraph
from worldmodel.report.memory_section import memory_section
from worldmodel.report.page import Card, Section, page
from worldmodel.report.wording import rate


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
        return page(
            f"A dream of {self.world.env.id}", self._lead(), self.cards(), self._sections(), self._foot()
        )

    def cards(self) -> list[Card]:
        """The headline numbers."""
        fidelity, cost = self.evaluation.fidelity, self.evaluation.cost
        at = min(8, fidelity.horizon)
        copied = fidelity.psnr[COPY][at - 1]
        best = max(cost.speeds, key=lambda speed: speed.frames_per_second)
        cards = [
            Card(
                f"{agent.mean:.1f}",
                f"real return of {agent.name} ({agent.interval[0]:.1f} to {agent.interval[1]:.1f})",
            )
            for agent in self.agents
        ]
        return [
            Card(
                f"{fidelity.psnr[DREAM][at - 1]:.1f} dB",
                f"PSNR of the dream {at} frames ahead (last frame copied: {copied:.1f})",
            ),
            *cards,
            Card(f"{cost.speed(1, 1).latency_p50_ms:.1f} ms", "for one imagined step on one thread"),
            Card(f"{rate(best.frames_per_second)} /s", f"imagined frames, {best.batch} dreams at once"),
        ]

    def _lead(self) -> str:
        height, width, _ = self.world.frame_shape
        return paragraph(
            f"A world model learned {self.world.env.id} from recorded pictures of {height} by {width} pixels and the "
            f"actions between them. Shown {self.world.num_context_frames} real frames, it dreams on, one picture per "
            "action, with a reward and an end. This page holds its dreams against the real environment, on episodes it "
            "was not trained on. Every number was measured in this run; report.json has them all."
        )

    def _sections(self) -> list[Section]:
        fps, result = self.world.fps, self.evaluation
        sections = [
            video_section(result.films, fps),
            fidelity_section(result.fidelity, result.noisy),
            actions_section(result.counterfactual, fps),
            *self._fidelity_sections(),
            learning_section(self.agents),
            returns_section(self.agents),
            cost_section(result.cost, self.machine),
        ]
        return [section for section in sections if section is not None]

    def _fidelity_sections(self) -> list[Section]:
        fps, result, sections, missing = self.world.fps, self.evaluation, [], []
        if result.long_dreams is not None:
            sections.append(long_section(result.long_dreams, fps))
        if isinstance(result.permanence, NotMeasured):
            missing.append(f"What is out of sight: {result.permanence.reason}")
        elif result.permanence is not None:
            sections.append(memory_section(result.permanence, fps))
        if isinstance(result.chance, NotMeasured):
            missing.append(f"What chance does: {result.chance.reason}")
        elif result.chance is not None:
            sections.append(chance_section(result.chance))
        if missing:
            sections.append(Section("Not measured here", "".join(paragraph(reason) for reason in missing)))
        return sections

    def _foot(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.machine.versions.items())
        return paragraph(
            f"Measured in {self.seconds:.0f} seconds on {self.machine.summary()}, {self.machine.system}; {versions}.",
            soft=True,
        )
