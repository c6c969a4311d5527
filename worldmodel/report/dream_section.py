"""How the dream compares with what really happened: videos, PSNR by horizon, reward, end and uncertainty."""

from __future__ import annotations

import numpy as np

from worldmodel.evaluation.action_noise import NoisySimulator
from worldmodel.evaluation.endings import THRESHOLD, TOLERANCE, Calls
from worldmodel.evaluation.evaluation import Films
from worldmodel.evaluation.fidelity import COPY, DREAM, NOISY, SHUFFLED, STILL, Fidelity
from worldmodel.evaluation.psnr import CONVENTION
from worldmodel.report import plots
from worldmodel.report.markup import drawing, film, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.panels import DIFFERENCE_GAIN, difference, grid
from worldmodel.report.plots import Line, line_plot
from worldmodel.report.video import encode_mp4, encode_png, has_ffmpeg
from worldmodel.report.wording import between, decimal, sample_horizons

ROWS = {
    DREAM: ("dream", plots.ORANGE, "-"),
    COPY: ("last frame copied", plots.GREY, "-"),
    SHUFFLED: ("dream, actions of another episode", plots.BLUE, "--"),
    STILL: ("dream, no action", plots.PURPLE, ":"),
    NOISY: ("simulator, noisy actions", plots.GREEN, "-."),
}
LISTENS = 0.1  # dB: less is not worth saying
NO_VIDEO = "No ffmpeg was found on this machine, so stills stand in for the videos."


def video_section(films: Films, fps: float) -> Section:
    """Real, dream and difference side by side, for each film."""
    pieces = [
        paragraph(
            "The dream sees the first frames of a held-out episode and that episode's actions, nothing else.",
            f"The difference is shown {DIFFERENCE_GAIN} times as strong as it is; black is no difference.",
            "Episodes are drawn by seed, not by their looks.",
            "Click a video to pause it." if has_ffmpeg() else NO_VIDEO,
        )
    ]
    for number in range(len(films.dream)):
        real, dream = side_by_side(films, number)
        context = films.futures.context_frames.shape[1]
        episode, start = int(films.futures.episodes[number]), int(films.futures.starts[number])
        caption = (
            f"Held-out episode {episode} from its frame {start} on: {context} context frames, "
            f"then {len(real) - context} imagined ones."
        )
        pieces.append(film(film_of(real, dream, context, fps), strip_of(real, dream, context), caption))
    return Section("Real, dream, difference", "".join(pieces))


def side_by_side(films: Films, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Real and dreamt frames uint8 [n+h,H,W,C] of one film, both beginning with its n context frames."""
    futures = films.futures
    steps = int(futures.valid[number].sum())
    context = futures.context_frames[number].numpy()
    real, dream = futures.frames[number, :steps].numpy(), films.dream[number, :steps].numpy()
    return np.concatenate([context, real]), np.concatenate([context, dream])


def film_of(real: np.ndarray, dream: np.ndarray, context: int, fps: float) -> bytes | None:
    """The video of real, dream and difference, with a running step number."""
    ticks = ["given" if t < context else f"+{t - context + 1}" for t in range(len(real))]
    frames = grid([[real, dream, difference(real, dream)]], ["real", "dream", "difference"], [], ticks)
    return encode_mp4(frames, fps)


def strip_of(real: np.ndarray, dream: np.ndarray, context: int) -> bytes:
    """The same at some steps, as one picture."""
    shown = [h for h in (0, 1, 2, 4, 8, 16, 32, 64, 128) if h < len(real) - context + 1]
    places = [context - 1 + h for h in shown]
    columns = ["given" if h == 0 else f"+{h}" for h in shown]
    videos = [[video[[t]] for t in places] for video in (real, dream, difference(real, dream))]
    return encode_png(grid(videos, columns, ["real", "dream", "difference"], panel=112)[0])


def fidelity_section(fidelity: Fidelity, noisy: NoisySimulator | None = None) -> Section:
    """PSNR by horizon as plot and table, and what the other outputs are worth."""
    horizons = list(range(1, fidelity.horizon + 1))
    there = {row: look for row, look in ROWS.items() if row in fidelity.psnr}
    lines = [
        Line(name, horizons, fidelity.psnr[row], colour, style)
        for row, (name, colour, style) in there.items()
    ]
    shown = sample_horizons(fidelity.horizon)
    rows = [
        [name, *(decimal(fidelity.psnr[row][h - 1]) for h in shown)] for row, (name, _, _) in there.items()
    ]
    rows.append(["number of moments", *(str(fidelity.counts[h - 1]) for h in shown)])
    caption = f"{CONVENTION}. {fidelity.contexts} moments of {fidelity.episodes} held-out episodes."
    content = (
        paragraph(_verdict(fidelity), _listening(fidelity))
        + drawing(line_plot("psnr", lines, "imagined frames", "PSNR (dB), higher is closer"), caption)
        + table(["PSNR in dB at frame", *(str(h) for h in shown)], rows, _small_print(fidelity, noisy))
        + paragraph(_rewards(fidelity), _endings(fidelity), _trust(fidelity))
        + _signals(fidelity)
    )
    return Section("How long the dream stays true", content)


def _verdict(fidelity: Fidelity) -> str:
    gains = fidelity.gain_over[COPY]
    worse = [h for h, gain in enumerate(gains, start=1) if gain.mean <= 0]
    first, last = gains[0], gains[-1]
    ends = f"{first.mean:+.1f} dB at the first imagined frame, {last.mean:+.1f} dB at frame {len(gains)}"
    if not worse:
        return f"The dream is closer to reality than a copy of the last frame at every horizon ({ends})."
    if len(worse) == len(gains):
        return f"The dream is at no horizon closer to reality than a copy of the last frame ({ends})."
    return (
        f"The dream is closer to reality than a copy of the last frame at {len(gains) - len(worse)} of {len(gains)} "
        f"horizons, but not at frame {_some(worse)} ({ends})."
    )


def _small_print(fidelity: Fidelity, noisy: NoisySimulator | None) -> str:
    still = (
        f"In {fidelity.unmoved[0]} of {fidelity.counts[0]} moments nothing has moved by the first frame: there the "
        "copy is perfect, and counts as 58.9 dB. "
    )
    pooled = fidelity.psnr_pooled
    return (
        (still if fidelity.unmoved[0] else "")
        + f"With errors averaged before taking decibels, the dream has {pooled[DREAM][0]:.1f} dB at the first frame "
        f"and {pooled[DREAM][-1]:.1f} at the last, the copy {pooled[COPY][0]:.1f} and {pooled[COPY][-1]:.1f}. "
        "All dreams have the same noise." + _noise(noisy)
    )


def _noise(noisy: NoisySimulator | None) -> str:
    if noisy is None:
        return ""
    if noisy.frames is None:
        return f" The simulator under noisy actions: not available. {noisy.reason}"
    return (
        f" The simulator goes on from the same moments under actions with {noisy.share:.0%} noise (of half the range; "
        "choices are another with that probability); under the actions themselves it repeats every frame exactly."
    )


def _signals(fidelity: Fidelity) -> str:
    """Reward and uncertainty by horizon."""
    shown = sample_horizons(fidelity.horizon)
    rows = [
        [name, *(between(values[h - 1], ".2f") for h in shown)]
        for name, values in (
            ("imagined and true reward (Pearson)", fidelity.rewards.correlation),
            ("uncertainty and error (Spearman)", fidelity.trust.by_horizon),
        )
        if any(value is not None for value in values)
    ]
    note = "Over moments, with 95 % intervals over episodes; a dash where one of the two is constant."
    return table(["correlation at frame", *map(str, shown)], rows, note) if rows else ""


def _listening(fidelity: Fidelity) -> str:
    at = min(8, fidelity.horizon)
    gain = fidelity.gain_over[SHUFFLED][at - 1]
    interval = f"{gain.mean:+.1f} dB at frame {at}, 95 % interval {gain.low:+.1f} to {gain.high:+.1f}"
    found = (
        "It listens to the actions"
        if gain.low >= LISTENS
        else "That it listens to the actions is not shown here"
    )
    return f"{found} (its own against those of another episode: {interval})."


def _rewards(fidelity: Fidelity) -> str:
    rewards = fidelity.rewards
    guess = float(np.average(rewards.error_of_mean, weights=fidelity.counts))
    error = f"it is off by {rewards.overall_error:.3g} on average, where always guessing the mean is off by {guess:.3g}"
    found = rewards.overall_correlation
    if found is None:
        return f"The true or the imagined reward is constant here, so they cannot be compared; {error}."
    return (
        f"The imagined reward correlates with the true one at {found.mean:.2f} (95 % interval {found.low:.2f} to "
        f"{found.high:.2f}); {error}."
    )


def _endings(fidelity: Fidelity) -> str:
    endings = fidelity.endings
    if not endings.ends:
        return f"None of the {endings.steps} steps ended an episode, so imagined ends could not be checked."
    near = f" Of dreams begun a few steps before an end, {_calls(endings.near)}" if endings.near else ""
    separation = (
        ""
        if endings.separation is None
        else f" Area under the curve, over all steps: {endings.separation:.3f}."
    )
    return (
        f"A dream calls its end at the first probability above {THRESHOLD}; within {TOLERANCE} step of the true one it "
        f"is right. Of dreams of whole futures, {_calls(endings.whole)}{near}{separation}"
    )


def _calls(calls: Calls) -> str:
    precision = "" if calls.precision is None else f" (precision {between(calls.precision, '.2f')})"
    recall = "" if calls.recall is None else f" (recall {between(calls.recall, '.2f')})"
    return (
        f"{calls.ends} of {calls.dreams} truly end and {calls.called} call an end: {calls.hits} of these are right"
        f"{precision}{recall}."
    )


def _trust(fidelity: Fidelity) -> str:
    trust = fidelity.trust
    if trust.rank_correlation is None:
        return "There is no uncertainty to judge: these dreams tell none, or a constant one."
    within, found = trust.rank_correlation_within_horizon, trust.rank_correlation
    worth = "is a usable warning" if found.low > 0.3 else "is hardly a warning"
    inside = "" if within is None else f", {within:.2f} among frames of the same horizon"
    return (
        f"Uncertainty {worth}: its rank correlation with the error is {between(found, '.2f')}{inside}; "
        f"the most certain tenth of the frames is off by {trust.error_of_most_certain_tenth:.1f} grey levels, "
        f"the least certain tenth by {trust.error_of_least_certain_tenth:.1f}."
    )


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"
