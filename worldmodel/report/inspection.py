"""`worldmodel data inspect`: a dataset as text, numbers, histograms, a sheet of its pictures and a video."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.inspection import BINS, ActionCoverage, Distribution, Inspection, inspect
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_write_bytes, write_json
from worldmodel.report.panels import dimmed, grid
from worldmodel.report.plots import BLUE, GREEN, ORANGE, PURPLE
from worldmodel.report.video import encode_mp4, encode_png
from worldmodel.spaces import space_to_json

FORMAT, VERSION = "worldmodel-inspection", 1
_MOST_ACTIONS = 12  # panels of the histograms
_SHEET_ROWS, _SHEET_COLUMNS = 8, 8
_FILM_ROWS, _FILM_COLUMNS, _FILM_STEPS = 3, 3, 400


def inspect_dataset(path: str, out: str = "runs/inspection", max_episodes: int | None = None) -> Path:
    """Look at the dataset in the folder `path`, also one whose collection has not ended, and write into `out`.

    inspection.json, histograms.png, contact_sheet.png and video.mp4 (not where there is no ffmpeg); the summary is
    printed. max_episodes: look at the frames of so many episodes, evenly spread, None for all. Returns `out`.
    """
    dataset, folder = EpisodeDataset(path, incomplete=True), Path(out)
    if max_episodes is not None and max_episodes < 1:
        raise WorldModelError(f"max_episodes is {max_episodes}, expected at least 1, or null.")
    inspection = inspect(dataset, spread(dataset.episodes, max_episodes or dataset.episodes))
    content = {
        "format": FORMAT,
        "version": VERSION,
        "path": str(path),
        "dataset": {**asdict(dataset.manifest), "action_space": space_to_json(dataset.action_space)},
        **inspection.to_json(),
    }
    write_json(folder / "inspection.json", content)
    atomic_write_bytes(folder / "histograms.png", histograms(dataset, inspection))
    atomic_write_bytes(folder / "contact_sheet.png", encode_png(contact_sheet(dataset)))
    film = encode_mp4(video(dataset), dataset.fps)
    if film is not None:
        atomic_write_bytes(folder / "video.mp4", film)
    print(summary(dataset, inspection))
    print(f"\npictures, histograms, video and all numbers: {folder}")
    return folder


def summary(dataset: EpisodeDataset, found: Inspection) -> str:
    """What a person wants to know first, as lines of text."""
    about, planned = dataset.manifest, dataset.manifest.episodes
    height, width, _ = dataset.frame_shape
    count = f"{found.episodes}" if found.episodes == planned else f"{found.episodes} of {planned}"
    policy = about.policy.get("_target_") or about.policy.get("imported") or dict(about.policy)
    rows = [
        ("environment", about.env["id"]),
        ("acted by", policy),
        ("episodes", f"{count}: {found.train} to train on, {found.heldout} held out"),
        (
            "steps",
            f"{found.transitions:,}; frames: {found.num_frames:,} of {height}x{width}, {found.megabytes:,.1f} MB",
        ),
        ("lengths", _spread(found.lengths.low, found.lengths.mean, found.lengths.high)),
        ("ends", f"{found.terminated} terminated, {found.truncated} truncated"),
        ("returns", _spread(found.returns.low, found.returns.mean, found.returns.high)),
        (
            "rewards",
            f"{_spread(found.rewards.low, found.rewards.mean, found.rewards.high)}; {found.zero_rewards:.1%} are 0",
        ),
        ("actions", f"{dataset.action_space}"),
        ("", "; ".join(_coverage(found))),
        ("infos", ", ".join(about.info_keys) or "none"),
        (
            "pictures",
            f"a channel of a pixel changes by {found.frames.change:.2f} of 255 in a step, on average",
        ),
    ]
    lines = [f"{name:<12} {text}" for name, text in rows]
    return "\n".join([*lines, *(f"{'note':<12} {note}" for note in notes(found))])


def notes(found: Inspection) -> list[str]:
    """What should make one wonder, a sentence each; none is a good sign."""
    frames, said = found.frames, []
    if frames.one_colour:
        said.append(
            f"{frames.one_colour} of {frames.frames} frames are of one colour: is the renderer broken?"
        )
    if frames.unmoving:
        said.append(
            f"in {len(frames.unmoving)} episodes nothing ever changes, such as in {frames.unmoving[0]}."
        )
    if frames.same_episodes:
        one, other = frames.same_episodes[0]
        said.append(
            f"{len(frames.same_episodes)} episodes repeat another, frame by frame, such as {other} does {one}."
        )
    if frames.repeated > 0.5 * (frames.frames - 1):
        said.append(f"{frames.repeated} steps change nothing: more than half; is action_repeat too small?")
    if found.zero_rewards == 1:
        said.append("every reward is 0: an agent cannot learn from dreams of this.")
    unused = [str(place) for place, action in enumerate(found.actions) if action.covered < 0.5]
    if unused:
        said.append(f"less than half of the range of action {', '.join(unused)} was ever used.")
    return said


def contact_sheet(dataset: EpisodeDataset) -> np.ndarray:
    """uint8 [H,W,3]: episodes from top to bottom, each from its first frame to its last."""
    chosen = spread(dataset.episodes, _SHEET_ROWS)
    videos, rows = [], []
    for index in chosen:
        frames = dataset.episode_frames(index)
        places = np.linspace(0, len(frames) - 1, _SHEET_COLUMNS).round().astype(int)
        videos.append([frames[place : place + 1] for place in places])
        rows.append(f"{index}: {dataset.lengths[index]} steps, return {_return(dataset, index):.3g}")
    columns = [f"{share:.0%}" for share in np.linspace(0, 1, _SHEET_COLUMNS)]
    return grid(videos, columns, rows, panel=96)[0]


def video(dataset: EpisodeDataset) -> np.ndarray:
    """uint8 [T,H,W,3]: some episodes at once, darker when they are over."""
    chosen = spread(dataset.episodes, _FILM_ROWS * _FILM_COLUMNS)
    steps = min(int(dataset.lengths[chosen].max()) + 1, _FILM_STEPS)
    times = np.arange(steps)
    shown = []
    for index in chosen:
        frames = dataset.episode_frames(index)
        shown.append(dimmed(frames[times.clip(max=len(frames) - 1)], times >= len(frames)))
    columns = min(_FILM_COLUMNS, len(shown))
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    rows[-1] += [np.zeros_like(shown[0])] * (columns - len(rows[-1]))
    return grid(rows, [""] * columns, [], [f"t = {time}" for time in times], panel=192)


def spread(total: int, count: int) -> list[int]:
    """At most `count` of the numbers below `total`, evenly spread."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int)).tolist()


def _return(dataset: EpisodeDataset, index: int) -> float:
    first = dataset.first_step[index]
    return float(dataset.rewards[first : first + dataset.lengths[index]].sum())


def _spread(low: float, mean: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}, {mean:.4g} on average"


def _coverage(found: Inspection) -> list[str]:
    said = []
    for action in found.actions:
        ends = f", {action.at_bounds:.0%} at the bounds" if action.at_bounds is not None else ""
        what = {"continuous": "of its range", "choice": "of its choices", "bit": "of its values"}[action.kind]
        said.append(f"{action.covered:.0%} {what} used{ends}")
    return said


def histograms(dataset: EpisodeDataset, found: Inspection) -> bytes:
    """PNG: lengths, returns, rewards, and each number or choice of the action; and the first two of them together."""
    actions = found.actions[:_MOST_ACTIONS]
    pair = [place for place, action in enumerate(actions) if action.kind == "continuous"][:2]
    panels = 3 + len(actions) + (len(pair) == 2)
    columns = min(3, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    axes = iter(figure.subplots(rows, columns, squeeze=False).ravel())
    _histogram(next(axes), found.lengths, "steps of an episode", BLUE)
    _histogram(next(axes), found.returns, "return of an episode", GREEN)
    _histogram(next(axes), found.rewards, "reward of a step", ORANGE, logarithmic=True)
    for place, action in enumerate(actions):
        _action(next(axes), action, f"action {place}")
    if len(pair) == 2:
        _together(next(axes), dataset, *pair)
    for unused in axes:
        unused.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _histogram(axes: Axes, values: Distribution, label: str, colour: str, logarithmic: bool = False) -> None:
    axes.stairs(values.counts, values.edges, fill=True, color=colour)
    axes.set(xlabel=label, yscale="log" if logarithmic else "linear")


def _action(axes: Axes, action: ActionCoverage, label: str) -> None:
    if action.edges is not None:
        axes.stairs(action.counts, action.edges, fill=True, color=PURPLE)
    else:
        axes.bar(range(len(action.counts)), action.counts, color=PURPLE)
    axes.set(xlabel=label)


def _together(axes: Axes, dataset: EpisodeDataset, first: int, second: int) -> None:
    """The first two continuous numbers: where one is never used with some value of the other."""
    boxes = np.flatnonzero(dataset.codec.layout.boxes)
    encoded = dataset.codec.encode(dataset.actions)
    counts, x, y = np.histogram2d(encoded[:, boxes[0]], encoded[:, boxes[1]], BINS)
    axes.pcolormesh(x, y, counts.T + 1, cmap="magma", norm=LogNorm())
    axes.set(xlabel=f"action {first}", ylabel=f"action {second}")
