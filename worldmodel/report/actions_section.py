"""The same moment under different actions, in reality and in the dream."""

from __future__ import annotations

import numpy as np

from worldmodel.evaluation.counterfactual import Counterfactual, Response
from worldmodel.report import plots
from worldmodel.report.markup import drawing, film, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.panels import dimmed, grid
from worldmodel.report.plots import Line, line_plot
from worldmodel.report.video import encode_mp4, encode_png
from worldmodel.report.wording import decimal, sample_horizons

FILMS = 3
PANEL = 144
_WAYS = {"state": "its simulator state", "replay": "replaying the episode's actions from its seed"}


def actions_section(result: Counterfactual, fps: float) -> Section:
    """Videos with reality above the dream, and how far the futures part."""
    horizon = result.dream.shape[2]
    intro = (
        f"From one held-out moment the environment and the dream go on under {len(result.names)} constant actions, "
        f"{horizon} steps each."
    )
    films = "".join(_film(result, number, fps) for number in range(min(FILMS, result.contexts)))
    if result.response is None or result.real is None:
        last = result.dream_separation[-1]
        alone = (
            f"Reality cannot be shown beside it: {result.reason} "
            f"After {horizon} steps two dreams of one moment are {last:.1f} grey levels apart on average."
        )
        return Section("Same moment, different actions", paragraph(intro, alone) + films)
    way = f"The real environment was brought back to each moment by {_WAYS[result.real.restored_by]}."
    content = paragraph(intro, way, _verdict(result.response)) + films + _numbers(result, result.response)
    return Section("Same moment, different actions", content)


def _film(result: Counterfactual, number: int, fps: float) -> str:
    dream = list(result.dream[number].numpy())
    videos, rows = [dream], ["dream"]
    if result.real is not None:
        real = dimmed(result.real.frames[number].numpy(), ~result.real.alive[number].numpy())
        videos, rows = [list(real), dream], ["real", "dream"]
    ticks = [f"+{t + 1}" for t in range(len(dream[0]))]
    mp4 = encode_mp4(grid(videos, result.names, rows, ticks, PANEL), fps)
    last = len(ticks) - 1
    still = grid(
        [[video[[last]] for video in row] for row in videos], result.names, rows, [ticks[last]], PANEL
    )
    caption = f"Moment {number + 1}; above each column the constant action."
    if result.real is not None and not result.real.alive[number].all():
        caption += " Dark: the real episode is over."
    return film(mp4, encode_png(still[0]), caption if mp4 else f"{caption} Shown is step {last + 1}.")


def _verdict(response: Response) -> str:
    at = _last_known(response)
    if at is None:
        return "In reality no two of these futures differ, so there is nothing for the dream to follow."
    real, dream = response.real[at] or 0.0, response.dream[at] or 0.0
    judgement = "actions matter in the dream as much as in reality"
    if dream < 0.5 * real:
        judgement = "the dream underestimates what actions do"
    elif dream > 1.5 * real:
        judgement = "the dream exaggerates what actions do"
    return (
        f"After {at + 1} steps two real futures are {real:.1f} grey levels apart on average, two dreamt ones "
        f"{dream:.1f}: {judgement}. Of the real differences the dream gets {_explained(response, at)} right."
    )


def _explained(response: Response, last: int) -> str:
    """At a few steps up to the last one known."""
    steps = [h for h in sample_horizons(last + 1) if h >= min(4, last + 1)]
    shares = [(h, response.explained[h - 1]) for h in steps]
    return ", ".join(f"{max(share, 0.0):.0%} at step {h}" for h, share in shares if share is not None)


def _numbers(result: Counterfactual, response: Response) -> str:
    steps = np.arange(1, len(response.real) + 1)
    lines = [
        Line(name, steps.tolist(), [np.nan if v is None else v for v in values], colour)
        for name, values, colour in (
            ("real", response.real, plots.GREY),
            ("dream", response.dream, plots.ORANGE),
        )
    ]
    shown = sample_horizons(len(steps))
    rows = [
        [name, *(decimal(values[h - 1], digits) for h in shown)]
        for name, values, digits in (
            ("distance of real futures (grey levels)", response.real, 1),
            ("distance of dreamt futures", response.dream, 1),
            ("gain: dreamt over real distance", response.gain, 2),
            ("real differences explained", response.explained, 2),
            ("PSNR of these dreams (dB)", response.psnr, 1),
        )
    ]
    rows.append(["pairs of futures", *(str(response.pairs[h - 1]) for h in shown)])
    plot = line_plot("response", lines, "steps under different actions", "distance (grey levels)")
    moments = f"{result.contexts} held-out moments, all pairs of {len(result.names)} actions."
    note = "Explained: 1 is right, 0 is what a dream deaf to actions gets, less is worse than deaf."
    return drawing(plot, f"How far futures of the same moment part. {moments}") + table(
        ["at step", *(str(h) for h in shown)], rows, note
    )


def _last_known(response: Response) -> int | None:
    known = [at for at, value in enumerate(response.explained) if value is not None]
    return known[-1] if known else None
