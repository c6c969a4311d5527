"""What a connection looks like: the film, a strip of its frames, and the page that says how plausible it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worldmodel.agents.planning.connect import Connection
from worldmodel.report.page import Card, Section, drawing, film, page, paragraph, table
from worldmodel.report.panels import difference, grid
from worldmodel.report.plots import BLUE, ORANGE, Line, line_plot

PANEL, STRIP_PANEL = 256, 96  # pixels
STRIP_FRAMES = 8
CLIP_FRAMES = 60  # of a long clip, no more are shown


def film_of(
    found: Connection, before: NDArray[np.uint8], after: NDArray[np.uint8], panel: int = PANEL
) -> NDArray[np.uint8]:
    """uint8 [T,H',W',3]: the end of the first clip, the dream, and of the second what follows the frames met."""
    first, rest = before[-CLIP_FRAMES:], after[found.goal_frames :][:CLIP_FRAMES]
    frames = [*first, *found.frames, *rest]
    names = ["A"] * len(first) + [f"dream +{t + 1}" for t in range(len(found.frames))] + ["B"] * len(rest)
    shown = [
        grid([[frame[None]]], [name], [], panel=panel) for frame, name in zip(frames, names, strict=True)
    ]
    return np.concatenate(shown)


def strip_of(found: Connection, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [H',W',3]: the last frame of A, the dream at even distances, the goal, and how the two differ there."""
    goal = after[found.goal_frames - 1]
    places = np.unique(np.linspace(0, len(found.frames) - 1, STRIP_FRAMES).round().astype(int))
    frames = [before[-1], *(found.frames[t] for t in places), goal, difference(goal, found.frames[-1])]
    names = ["end of A", *(f"+{t + 1}" for t in places), "B", "difference"]
    strip: NDArray[np.uint8] = grid([[frame[None] for frame in frames]], names, [], panel=STRIP_PANEL)[0]
    return strip


def connection_page(env: str, found: Connection, mp4: bytes | None, strip: bytes) -> str:
    """One HTML file that needs nothing else."""
    numbers = found.plausibility()
    distance, error = numbers["distance"], numbers["error"]
    lead = paragraph(
        f"Two clips of {env}, and between them a dream: actions were searched that lead from the last frame of the "
        "first to the first of the second. They are in actions.npy, to be taken in the environment itself."
    )
    cards = [
        Card(f"{distance['found']:.1f}", f"distance left to the goal, of {distance['before']:.1f} before"),
        Card(
            f"{numbers['random_plans_nearer']:.0%}", f"of {numbers['random_plans']} random plans come nearer"
        ),
        Card(f"{numbers['steps']}", "steps"),
    ]
    if error["expected_by_the_dream"] is not None:
        meaning = f"grey levels off in the last frame; the dream itself expects {error['expected_by_the_dream']:.1f}"
        cards.insert(1, Card(f"{error['found']:.1f}", meaning))
    rows = [
        ["the connection", f"{distance['found']:.2f}", f"{error['found']:.1f}"],
        ["the end of the first clip", f"{distance['before']:.2f}", f"{error['before']:.1f}"],
        ["random plans, median", f"{distance['random_median']:.2f}", ""],
        ["random plans, nearest", f"{distance['random_nearest']:.2f}", ""],
    ]
    words = table(
        ["", "distance", "error"],
        rows,
        "Distance: sliced Wasserstein distance of the colours, in grey levels times pixels: it falls with every step "
        "that something comes nearer. Error: root mean square of the last frame, in grey levels.",
    )
    sections = [
        Section(
            "The film", film(mp4, strip, "The end of the first clip, the dream, the rest of the second clip.")
        ),
        Section("How near it comes", words),
        Section(
            "The actions", drawing(_actions(found), "As the environment takes them, a line for each number.")
        ),
    ]
    return page(
        f"A connection in {env}", lead, cards, sections, paragraph("All numbers: connect.json.", soft=True)
    )


def _actions(found: Connection) -> str:
    encoded = found.actions.reshape(len(found.actions), -1)
    steps = list(range(1, len(encoded) + 1))
    colours = (BLUE, ORANGE)
    lines = [
        Line(
            f"number {k + 1}",
            steps,
            encoded[:, k].astype(float).tolist(),
            colours[k % 2],
            "-" if k < 2 else "--",
        )
        for k in range(encoded.shape[1])
    ]
    return line_plot("actions", lines, "step", "action")
