"""The card of a published world: what it is, how it was made, how good it is, and what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from worldmodel.data.manifest import Manifest
from worldmodel.evaluation.fidelity import COPY, DREAM, NOISY, SHUFFLED
from worldmodel.model.world_model import WorldModel
from worldmodel.report.numbers import plain
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
    height, width, _ = card["frame_shape"]
    env = card["env"]["id"]
    sections = [
        f"# {card['name']}\n\nA learned world: {env} at {width}x{height} pixels, {card['fps']:g} frames/s, "
        f"actions {card['action_space']}. {card['parameters'] / 1e6:.2f} M parameters, {card['num_inference_steps']} "
        f"denoising passes a step, {card['contexts']} real start contexts, {card['megabytes']:.1f} MB.",
        _code("python", f'env = gymnasium.make("worldmodel/Dream-v0", checkpoint="{card["name"]}")'),
        _data(card),
        _training(card["training"]),
        _fidelity(card),
        _uncertainty(card),
        _limits(card),
        f"## Licence\n\n{card['licence']}: weights and start contexts. All pictures were recorded from {env}.",
        f"## Checksum\n\nSHA-256 of the weights: `{card['sha256']}`. `world.json` holds a checksum of every file, "
        "verified whenever the world is loaded. The weights are float16 safetensors and load as float32.",
    ]
    return "\n\n".join(sections) + "\n"


def _data(card: Numbers) -> str:
    data, env = card["data"], card["env"]
    kwargs = f" with {_inline(env['kwargs'])}" if env["kwargs"] else ""
    repeat = f", each action held for {env['action_repeat']} steps" if env["action_repeat"] != 1 else ""
    return (
        f"## Data\n\n{data['episodes']:,} episodes, {data['transitions']:,} transitions of {env['id']}{kwargs} at "
        f"{env['size']} pixels{repeat}, dataset seed {data['seed']}, at most {data['max_steps']} steps each, played by "
        f"the policy {_inline(data['policy'])}. A tenth of the episodes was held out.\n\n"
        + _code(
            "",
            f"worldmodel collect env.id={env['id']} env.size={env['size']} episodes={data['episodes']} "
            f"seed={data['seed']} out=DATA",
        )
    )


def _training(training: Numbers) -> str:
    machines = ", ".join(training["machines"])
    settings = [f"{group}: {_inline(values)}" for group, values in training["settings"].items()]
    return (
        f"## Training\n\n{training['steps']:,} optimiser steps, {training['frames']:,} frames seen, "
        f"{training['minutes']:.0f} minutes on {machines}{_began_with(training)}. A larger budget would make it "
        "better.\n\n"
        + _code("", "\n".join(training["commands"]))
        + "\n\nSettings: "
        + "; ".join(settings)
        + "."
    )


def _began_with(training: Numbers) -> str:
    weights = training.get("unrecorded_weights")  # cards of earlier versions do not have it
    return (
        "" if weights is None else f", begun with the weights of {weights}, whose training is not on record"
    )


def _fidelity(card: Numbers) -> str:
    figures, rounding = card["figures"], card["rounding"]
    cost = (
        f"Rounding the weights to float16 costs {max(rounding['loss']):.3f} dB at the worst of the horizons 1 to "
        f"{len(rounding['loss'])} (float32 {rounding['float32'][0]:.2f} dB at the first frame, float16 "
        f"{rounding['float16'][0]:.2f})."
    )
    if figures is None:
        return f"## Figures\n\nIt was not evaluated when it was published.\n\n{cost}"
    horizons = sorted(figures["psnr"]["dream"], key=int)
    header = f"| PSNR in dB at frame | {' | '.join(horizons)} |\n|---|{'---|' * len(horizons)}"
    rows = [
        f"| {title} | {' | '.join(_decimal(figures['psnr'][row][h]) for h in horizons)} |"
        for row, title in _TITLES.items()
        if row in figures["psnr"]
    ]
    found = [f"- {sentence}" for sentence in figures["sentences"]]
    about = (
        f"{figures['contexts']} moments of {figures['episodes']} held-out episodes; `{figures['command']}`."
    )
    return "\n".join(["## Figures", "", header, *rows, "", about, "", *found, "", cost])


def _uncertainty(card: Numbers) -> str:
    if card["uncertainty"] is None:
        return "## Uncertainty\n\nThis world is not calibrated: its dreams tell no uncertainty."
    unit, passes = card["uncertainty"]["unit"], card["uncertainty"]["passes"]
    lines = [
        f'## Uncertainty\n\n`info["uncertainty"]`: {unit}. Checked on episodes that neither training nor calibration '
        "saw, and on unfamiliar worlds. Rank correlation (Spearman) with the true error over all steps, and at one "
        "horizon:",
        "",
        "| passes | checked on | rank correlation | at one horizon | calibration error (ENCE) |",
        "|---|---|---|---|---|",
    ]
    for number, entry in sorted(passes.items(), key=lambda item: int(item[0])):
        measured = entry["measured"]
        for name, part in {**measured["worlds"], **measured["together"]}.items():
            numbers = [_decimal(part[key], 2) for key in ("spearman", "within_horizon", "ence")]
            lines.append(f"| {number} | {name} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _limits(card: Numbers) -> str:
    found = list(card["limits"])
    figures = card["figures"]
    if figures is not None:
        dream, copied = figures["psnr"]["dream"], figures["psnr"]["copy"]
        beaten = [h for h in sorted(dream, key=int) if dream[h] <= copied[h]]
        if beaten:
            found.append(
                f"At frame {', '.join(beaten)} it is no closer to reality than a copy of the last frame."
            )
    found.append(
        f"It has seen {card['data']['transitions']:,} steps of one policy: states and actions beyond these are guesses."
    )
    found.append(
        f"It was trained for {card['training']['minutes']:.0f} minutes: a demonstration, not the best that can be had."
    )
    return "\n".join(["## Limits", "", *(f"- {sentence}" for sentence in found)])


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _inline(values: Any) -> str:
    return f"`{json.dumps(values, sort_keys=True)}`"


def _decimal(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
