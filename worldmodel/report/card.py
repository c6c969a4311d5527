"""The card of a published world: what it is, how it was made, how good it is, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from worldmodel.data.manifest import Manifest
from worldmodel.evaluation.pixels.fidelity import COPY, DREAM, NOISY, SHUFFLED
from worldmodel.model.world_model import WorldModel
from worldmodel.report.numbers import plain
from worldmodel.report.page import render
from worldmodel.training.budget import Call

README, CARD = "README.md", "card.json"
FORMAT, VERSION = "worldmodel-card", 1
HORIZONS = (1, 8, 16, 32, 64)
_ROWS = {"dream": DREAM, "copy": COPY, "shuffled": SHUFFLED, "simulator": NOISY}
_TITLES = {
    "dream": "dream",
    "copy": "last frame copied",
    "shuffled": "dream, actions of another episode",
    "simulator": "simulator, its actions off by a tenth",
}
Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """settings: settings.json of the run; steps: of the optimiser; calls: of `worldmodel train`, with their cost;
    earlier: the training whose weights it began with; unrecorded: such weights of which nothing is known."""

    settings: Numbers
    steps: int
    calls: list[Call]
    earlier: Training | None = None
    unrecorded: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Steps, frames, minutes and commands of all trainings together; settings of the last."""
        numbers = self.settings["train"]
        before = self.earlier.to_json() if self.earlier is not None else None
        calls = [asdict(call) for call in self.calls]
        frames = self.steps * numbers["batch_size"] * numbers["clip_length"]
        return {
            "steps": self.steps + (before["steps"] if before else 0),
            "frames": frames + (before["frames"] if before else 0),
            "minutes": sum(call.minutes for call in self.calls) + (before["minutes"] if before else 0),
            "machines": sorted(
                {call.machine for call in self.calls} | set(before["machines"] if before else ())
            ),
            "commands": list(
                dict.fromkeys([*(before["commands"] if before else ()), *(call["command"] for call in calls)])
            ),
            "calls": [*(before["calls"] if before else ()), *calls],
            "unrecorded_weights": before["unrecorded_weights"] if before else self.unrecorded,
            "settings": {key: self.settings[key] for key in ("model", "noise", "train")},
        }


def card_numbers(
    name: str,
    world: WorldModel,
    manifest: Manifest,
    transitions: int,
    training: Training,
    rounding: Numbers,
    report: Numbers | None,
    limits: list[str],
    licence: str,
    megabytes: float,
    sha256: str,
) -> dict[str, Any]:
    """Everything the card says, as plain JSON.

    transitions: of the dataset; rounding: PSNR by horizon of the float32 and the float16 weights, and their difference;
    report: a report.json; sha256: of the weights file.
    """
    calibration = world.dynamics.calibration
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "env": world.world.env.to_json(),
        "frame_shape": list(world.world.frame_shape),
        "fps": world.world.fps,
        "action_space": str(world.world.action_space),
        "max_episode_steps": world.world.max_episode_steps,
        "parameters": sum(parameter.numel() for parameter in world.network.parameters()),
        "num_inference_steps": world.num_inference_steps,
        "contexts": len(world.contexts),
        "data": {**manifest.requested(), "transitions": transitions},
        "training": training.to_json(),
        "figures": None if report is None else _figures(report),
        "uncertainty": None if calibration is None else calibration.to_json(),
        "rounding": dict(rounding),
        "limits": limits,
        "licence": licence,
        "megabytes": megabytes,
        "sha256": sha256,
    }
    return dict(plain(content))


def _figures(report: Numbers) -> dict[str, Any]:
    fidelity = report["fidelity"]
    shown = [h for h in HORIZONS if h <= fidelity["horizon"]]
    rows = {name: row for name, row in _ROWS.items() if row in fidelity["psnr"]}
    psnr = {name: {str(h): fidelity["psnr"][row][h - 1] for h in shown} for name, row in rows.items()}
    return {
        "psnr": psnr,
        "contexts": fidelity["contexts"],
        "episodes": fidelity["episodes"],
        "sentences": _sentences(report),
        "command": report["command"],
    }


def _sentences(report: Numbers) -> list[str]:
    """What else the report found, where it could be measured."""
    fidelity, long, chance = report["fidelity"], report["long_dreams"], report["chance"]
    found = []
    rewards = fidelity["rewards"]["correlation"]
    correlations = {h: (rewards[h - 1] or {}).get("mean") for h in (1, 8, 32) if h <= len(rewards)}
    if all(value is not None for value in correlations.values()):
        told = ", ".join(f"{value:.2f} at step {h}" for h, value in correlations.items())
        found.append(f"Correlation of the reward with the true one: {told}.")
    near = fidelity["endings"]["near"]
    if near and near["ends"]:
        precision = "none called" if not near["called"] else f"precision {near['precision']['mean']:.2f}"
        found.append(
            f"The end of an episode, called within one step, in {near['dreams']} dreams begun 1 to 4 steps before one: "
            f"{precision}, recall {near['recall']['mean']:.2f}."
        )
    if long and long.get("windows"):
        window = long["windows"][-1]
        here = [f"{item['name']} {_share(item['present'], window):.0%}" for item in long["objects"] or []]
        found.append(
            f"Frames {window['first']} to {window['last']} of {long['dreams']} dreams under random actions, against "
            f"real ones: colour {window['dream']['colour']:.1f} % apart, gradient energy "
            f"{window['dream']['gradient']['mean']:+.1f} %"
            + (f"; still there: {', '.join(here)}." if here else ".")
        )
    if chance and chance.get("pixels") and not chance["deterministic"]:
        step = min(8, len(chance["pixels"]["ratio"]))
        ratio, sharp = (chance[key]["ratio"][step - 1]["mean"] for key in ("pixels", "sharpness"))
        found.append(
            f"After {step} steps, two dreams of one moment differ {ratio:.2f} times as much as two real futures, and "
            f"are {sharp:.2f} times as sharp."
        )
    return found


def _share(present: list[float], window: Numbers) -> float:
    last = present[window["first"] : window["last"]]
    return sum(last) / len(last)


def card_text(card: Numbers) -> str:
    """The card as Markdown."""
    dream, copied = ((card["figures"] or {"psnr": {}})["psnr"].get(row, {}) for row in ("dream", "copy"))
    beaten = [h for h in sorted(dream, key=int) if dream[h] <= copied[h]]
    return render("card.md", card=card, titles=_TITLES, beaten=beaten) + "\n"
