"""Films, strips and plots of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from worldmodel.evaluation.evaluation import Films
from worldmodel.evaluation.pixels.chance import Chance
from worldmodel.evaluation.pixels.counterfactual import Counterfactual
from worldmodel.evaluation.pixels.fidelity import COPY, DREAM, NOISY, SHUFFLED, STILL, Fidelity
from worldmodel.evaluation.pixels.long_dreams import LongDreams
from worldmodel.evaluation.pixels.memory import Film
from worldmodel.evaluation.report.agents import AgentResult
from worldmodel.report import plots
from worldmodel.report.page import Footage
from worldmodel.report.panels import difference, dimmed, grid
from worldmodel.report.plots import Bar, Line, bar_plot, line_plot
from worldmodel.report.video import encode_mp4, encode_png

PSNR_ROWS = {
    DREAM: ("dream", plots.ORANGE, "-"),
    COPY: ("last frame copied", plots.GREY, "-"),
    SHUFFLED: ("dream, actions of another episode", plots.BLUE, "--"),
    STILL: ("dream, no action", plots.PURPLE, ":"),
    NOISY: ("simulator, noisy actions", plots.GREEN, "-."),
}
COLOURS = (plots.ORANGE, plots.PURPLE, plots.GREEN, plots.BLUE, plots.GREY)
AGENT_COLOURS = {"dream": plots.ORANGE, "real": plots.BLUE, None: plots.GREY}  # by where an agent learned
COUNTERFACTUALS, STRIPS, LONG_STEPS, MEMORY_COLUMNS = 3, 8, 100, 10
SMOOTHING = 0.1  # share of a learning curve that one shown point averages over


def psnr_plot(fidelity: Fidelity) -> Markup:
    """Every row by horizon."""
    rows = [(*look, fidelity.psnr[row]) for row, look in PSNR_ROWS.items() if row in fidelity.psnr]
    lines = [Line(name, _steps(values), values, colour, style) for name, colour, style, values in rows]
    return Markup(line_plot("psnr", lines, "imagined frames", "PSNR (dB), higher is closer"))


def pair_plot(key: str, real: Sequence[float | None], dream: Sequence[float | None], y: str) -> Markup:
    """Something of real futures and of dreamt ones by step."""
    lines = [
        Line(name, _steps(values), [np.nan if v is None else v for v in values], colour)
        for name, values, colour in (("real", real, plots.GREY), ("dream", dream, plots.ORANGE))
    ]
    return Markup(line_plot(key, lines, "steps", y))


def sharpness_plot(result: LongDreams) -> Markup:
    """Gradient energy over a long dream."""
    line = Line("gradient energy", _steps(result.gradient), result.gradient, plots.ORANGE)
    real = Line("real frames", [1, result.steps], [1.0, 1.0], plots.GREY, "--")
    return Markup(line_plot("sharpness", [line, real], "imagined frames", "gradient energy (real frames: 1)"))


def objects_plot(result: LongDreams) -> Markup | None:
    """Presence of every object over a long dream, means of ten steps; None without any."""
    ten = np.ones(10)
    weight = np.convolve(np.ones(result.steps), ten, mode="same")
    lines = [
        Line(
            count.name,
            _steps(count.present),
            (100 * np.convolve(count.present, ten, "same") / weight).tolist(),
            colour,
        )
        for count, colour in zip(result.objects or [], COLOURS * 9, strict=False)
        if count.trusted and count.present is not None
    ]
    return (
        Markup(line_plot("objects", lines, "imagined frames", "dreams that show it (%)")) if lines else None
    )


def learning_plot(agents: Sequence[AgentResult]) -> Markup | None:
    """Learning curves inside the dream; None without any."""
    learners = [agent for agent in agents if agent.imagined and agent.curve]
    lines = [
        Line(agent.name, *smoothed(agent.curve), colour)
        for agent, colour in zip(learners, COLOURS * 9, strict=False)
    ]
    return (
        Markup(line_plot("learning", lines, "imagined frames", "imagined reward per step")) if lines else None
    )


def returns_plot(agents: Sequence[AgentResult]) -> Markup:
    """Real returns with intervals."""
    bars = [Bar(agent.name, agent.mean, *agent.interval, AGENT_COLOURS[agent.world]) for agent in agents]
    return Markup(bar_plot("returns", bars, "return in the real environment"))


def smoothed(curve: Sequence[dict[str, float]]) -> tuple[list[float], list[float]]:
    """Frames, and the mean reward per step over a small share of the curve up to there."""
    frames = np.array([row["frames"] for row in curve])
    total = np.cumsum(np.diff(frames, prepend=0.0) * [row["reward"] for row in curve])
    before = np.maximum(np.arange(len(curve)) - max(1, round(SMOOTHING * len(curve))), -1)
    earlier = np.where(before < 0, 0.0, total[before])
    counted = frames - np.where(before < 0, 0.0, frames[before])
    return frames.tolist(), ((total - earlier) / counted).tolist()


def beside_reality(real: np.ndarray, dream: np.ndarray, context: int, fps: float, caption: str) -> Footage:
    """Real, dream and difference, uint8 [n+h,H,W,C] with n context frames, with a running step number."""
    videos, names = [real, dream, difference(real, dream)], ["real", "dream", "difference"]
    ticks = ["given" if t < context else f"+{t - context + 1}" for t in range(len(real))]
    first = max(context - 1, 0)
    shown = [first + h for h in (0, 1, 2, 4, 8, 16, 32, 64, 128) if first + h < len(real)]
    strip = grid(
        [[video[[t]] for t in shown] for video in videos], [ticks[t] for t in shown], names, panel=112
    )
    return Footage(encode_mp4(grid([videos], names, [], ticks), fps), encode_png(strip[0]), caption)


def side_by_side(films: Films, fps: float) -> list[Footage]:
    """Of every film."""
    futures, found = films.futures, []
    for number, dream in enumerate(films.dream):
        steps = int(futures.valid[number].sum())
        context = futures.context_frames[number].numpy()
        real, dreamt = (
            np.concatenate([context, side[:steps].numpy()]) for side in (futures.frames[number], dream)
        )
        caption = (
            f"Held-out episode {int(futures.episodes[number])} from its frame {int(futures.starts[number])} on: "
            f"{len(context)} context frames, then {steps} imagined ones."
        )
        found.append(beside_reality(real, dreamt, len(context), fps, caption))
    return found


def counterfactual_films(result: Counterfactual, fps: float) -> list[Footage]:
    """The first moments: reality above the dream, a column for every action."""
    found = []
    for number in range(min(COUNTERFACTUALS, result.contexts)):
        dream = list(result.dream[number].numpy())
        videos, rows = [dream], ["dream"]
        caption = f"Moment {number + 1}; above each column the constant action."
        if result.real is not None:
            alive = result.real.alive[number].numpy()
            videos = [list(dimmed(result.real.frames[number].numpy(), ~alive)), dream]
            rows = ["real", "dream"]
            caption += "" if alive.all() else " Dark: the real episode is over."
        ticks = [f"+{t + 1}" for t in range(len(dream[0]))]
        last = [[video[-1:] for video in row] for row in videos]
        strip = encode_png(grid(last, result.names, rows, ticks[-1:], 144)[0])
        found.append(Footage(encode_mp4(grid(videos, result.names, rows, ticks, 144), fps), strip, caption))
    return found


def long_films(result: LongDreams, fps: float) -> list[Footage]:
    """Strips of the first dreams, and a film of their beginning above their end."""
    rows = [[frame[None] for frame in dream] for dream in result.shown[:STRIPS]]
    columns = ["given" if step == 0 else f"+{step}" for step in result.shown_steps]
    strip = encode_png(grid(rows, columns, [f"{i + 1}" for i in range(len(rows))], panel=96)[0])
    steps = min(LONG_STEPS, result.steps // 2)
    begin, end = result.films[:, :steps], result.films[:, -steps:]
    names, ticks = [f"dream {i + 1}" for i in range(len(end))], [f"+{t + 1}" for t in range(steps)]
    mp4 = encode_mp4(grid([list(begin), list(end)], names, ["begin", "end"], ticks, panel=160), fps)
    caption = f"Above: steps 1 to {steps} of the first dreams; below: their last {steps} steps."
    still = Footage(None, strip, "Each row is one dream; above each column the step.")
    return [still] if mp4 is None else [still, Footage(mp4, strip, caption)]


def chance_picture(result: Chance) -> Footage:
    """Samples of the first moment side by side."""
    sides = [
        [result.context[None], *(frame[None] for frame in frames)]
        for frames in (result.real_frames, result.dream_frames)
    ]
    columns = ["given", *(f"{i + 1}" for i in range(len(sides[0]) - 1))]
    strip = grid(sides, columns, ["real", "dream"], panel=112)[0]
    caption = f"The first moment, {result.shown_step} steps later, in each continuation."
    return Footage(None, encode_png(strip), caption)


def memory_film(item: Film, fps: float) -> Footage:
    """One occlusion, real and dreamt."""
    videos = {"real": item.real, **item.dreams}
    length = min(len(video) for video in videos.values())
    names = [name.replace("_", " ") for name in videos]
    cut = [video[:length] for video in videos.values()]
    ticks = ["given" if t == 0 else f"+{t}" for t in range(length)]
    places = np.unique(np.linspace(0, length - 1, MEMORY_COLUMNS).round().astype(int))
    strip = grid([[video[[t]] for t in places] for video in cut], [ticks[t] for t in places], names, panel=96)
    mp4 = encode_mp4(grid([cut], names, [], ticks, panel=192), fps)
    caption = f"Hidden for {item.hidden_frames} frames. The first frame is real."
    return Footage(mp4, encode_png(strip[0]), caption)


def _steps(values: Sequence[object]) -> list[int]:
    return list(range(1, len(values) + 1))
