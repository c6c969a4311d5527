"""`worldmodel agent loop`: collect, learn the world, learn in its dream, be scored; and again with the better agent.

What it costs is counted in real frames: steps of the real environment, as `worldmodel collect` and gymnasium count
them (with env.action_repeat, or the frame skip of an Atari game, each shows several raw frames of the emulator).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from worldmodel.agents.learning.curve import write_png
from worldmodel.agents.learning.train import OBSERVATION
from worldmodel.arguments import made_of
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import MANIFEST_NAME
from worldmodel.data.pieces import write_pieces
from worldmodel.data.rollout import LONGEST
from worldmodel.errors import WorldModelError
from worldmodel.files import read_json, write_json
from worldmodel.real_env import EnvConfig
from worldmodel.report.plots import BLUE, GREEN, GREY, ORANGE
from worldmodel.run_settings import keep_settings
from worldmodel.stages import Config, Stage, claimed, run_stages, say

SETTINGS = "loop.settings.json"
EXPLOIT = "exploit.json"


CURRENCY = (
    "real frames: steps of the real environment, of collecting and of exploit checks; one step shows several raw "
    "frames where the environment repeats actions (four in Atari games as in Atari-100k). Scoring is not counted, and "
    "stated beside."
)


@dataclass(frozen=True)
class Later:
    """What differs after the first cycle, when the world model and the agent go on from what they know: optimiser steps
    of the world model, imagined frames of the agent; None: as many as in the first."""

    train_steps: int | None = None
    agent_frames: int | None = None


def loop(
    out: str,
    env: Config,
    policy: Config,
    model: Config,
    collect: Config,
    train: Config,
    calibrate: Config,
    agent: Config,
    real_frames: int,
    first_frames: int,
    frames_per_cycle: int,
    later: Mapping[str, Any] | None = None,
    sample: bool = True,
    random_share: float = 0.2,
    calibrated: bool = True,
    device: str | None = None,
) -> Path:
    """Cycles of {collect, train, calibrate, learn in the dream and be scored} until `real_frames` are used.

    env: the real environment; model: arguments of the world model's network; collect, train, calibrate, agent: configs
    of these commands; their folders, and what goes on from what, are set here. The first cycle collects first_frames
    with `policy`, every later one frames_per_cycle with the agent (sampled actions or its likeliest; random_share of
    them held random ones). The real frames of exploit checks
    (agent["check"]) are part of the budget, those of scoring are not. Killed at any moment, the same call goes on, and
    with more real_frames there are more cycles. Writes loop.json and curve.png; returns the path of loop.json.
    """
    run = Path(out)
    _check_top(env=(env, collect["env"]), policy=(policy, collect["policy"]), model=(model, train["model"]))
    _check_top(device=[device, *(config["device"] for config in (train, calibrate, agent))])
    ends = cycle_ends(real_frames, first_frames, frames_per_cycle)
    changes = made_of(Later, later, "later")
    plan = Plan(run, collect, train, calibrate, agent, changes, sample, random_share)
    plan.check(ends)
    settings: dict[str, Any] = {"collect": collect, "train": train, "calibrate": calibrate, "agent": agent}
    settings |= {
        "first_frames": first_frames,
        "frames_per_cycle": frames_per_cycle,
        "later": dict(later or {}),
    }
    settings |= {"sample": sample, "random_share": random_share, "calibrated": calibrated}
    with claimed(run, "the loop"):
        plain = {name: _plain(value) for name, value in settings.items()}
        keep_settings(run / SETTINGS, plain, may_change={f"agent.{OBSERVATION}"})
        cycles = []
        for number, end in enumerate(ends):
            run_stages(run, plan.stages(number, end, calibrated), f"cycle {number + 1} of {len(ends)}")
            cycles.append(plan.cycle(number))
            record(run, cycles, real_frames, plan.env)
    left = real_frames - cycles[-1].real_frames
    if left >= plan.longest + plan.check_frames:
        enough = first_frames + (len(ends) - 1) * frames_per_cycle + -(-frames_per_cycle // 2)
        say(
            f"{left} real frames are left over, because the last cycle was finished with a smaller budget: give "
            f"real_frames={enough} or more for another one."
        )
    return run / "loop.json"


def _check_top(**values: Sequence[Any]) -> None:
    """These are set once, for all stages."""
    for name, (top, *below) in values.items():
        if any(value != top for value in below):
            raise WorldModelError(
                f"{name} is set for the whole loop: give {name}=... instead of changing a stage's."
            )


def cycle_ends(real_frames: int, first_frames: int, frames_per_cycle: int) -> list[int]:
    """How many real frames may have been used by the end of each cycle; the last may be half as long or half longer."""
    for name, value in (("first_frames", first_frames), ("frames_per_cycle", frames_per_cycle)):
        if value < 1:
            raise WorldModelError(f"{name} is {value}, expected at least 1.")
    if real_frames < first_frames:
        raise WorldModelError(f"real_frames={real_frames} is less than first_frames={first_frames}.")
    ends = list(range(first_frames, real_frames + 1, frames_per_cycle))
    if real_frames - ends[-1] < frames_per_cycle / 2:
        ends.pop()
    return [*ends, real_frames]


@dataclass(frozen=True)
class Plan:
    """The stages of every cycle, in the folder `run`."""

    run: Path
    collect: Config
    train: Config
    calibrate: Config
    agent: Config
    later: Later
    sample: bool
    random_share: float

    @property
    def env(self) -> EnvConfig:
        """The real environment."""
        return EnvConfig.from_json(self.collect["env"])

    @property
    def data(self) -> Path:
        """All episodes, in one piece for each cycle."""
        return self.run / "data"

    def world(self, number: int) -> Path:
        """The world model of a cycle."""
        return self.run / "world" / f"{number:03d}"

    def learner(self, number: int) -> Path:
        """The agent of a cycle."""
        return self.run / "agent" / f"{number:03d}"

    def check(self, ends: list[int]) -> None:
        """Raise WorldModelError when a cycle's budget holds no episode."""
        limit = self.longest
        for before, end in zip([0, *ends], ends, strict=False):
            if end - before - self.check_frames < limit:
                raise WorldModelError(
                    f"A cycle of {end - before} real frames, {self.check_frames} of them for exploit checks, may not "
                    f"hold one episode of {limit} steps: give more frames, or cut episodes with collect.max_steps."
                )

    @property
    def longest(self) -> int:
        """Steps of the longest episode that is collected."""
        env = self.env.make()
        limit = env.get_wrapper_attr("max_episode_steps") or LONGEST
        env.close()
        return int(min(limit, self.collect["max_steps"]))

    @property
    def check_frames(self) -> int:
        """Real frames that the exploit checks of one cycle may take."""
        return int((self.agent.get("check") or {}).get("frames", 0))

    def stages(self, number: int, end: int, calibrated: bool) -> list[Stage]:
        """Of cycle `number`, by whose end `end` real frames may have been used."""
        name = f"{number:03d}"
        world, learner = str(self.world(number)), str(self.learner(number))
        places = {"checkpoint": world, "out": learner, "env": None, "world": "dream"}
        train: dict[str, Any] = {**self.train, "data": str(self.data), "out": world}
        agent: dict[str, Any] = {**self.agent, **places}
        if agent.get("starts") is not None:
            agent["starts"] = str(self.data)
        if number:
            train["weights"], agent["weights"] = str(self.world(number - 1)), str(self.learner(number - 1))
            steps, frames = self.later.train_steps, self.later.agent_frames
            train["train"] = {**train["train"], **({} if steps is None else {"steps": steps})}
            agent |= {} if frames is None else {"frames": frames}
        piece = {**self.collect, "out": str(self.data / name), "policy": self.policy(number)}
        piece |= {
            "seed": self.collect["seed"] + number,
            "_target_": "worldmodel.agents.learning.loop.collect_frames",
        }
        piece.pop("episodes")
        left = partial(self.frames_left, number, end)
        stages = [
            Stage(f"{name}-collect", piece, f"play the real environment, with {self.player(number)}", left),
            Stage(
                f"{name}-train", train, "learn the world from all that was played", self._spared(calibrated)
            ),
        ]
        if calibrated:
            told = {**self.calibrate, "checkpoint": world, "data": str(self.data)}
            stages.append(Stage(f"{name}-calibrate", told, "learn how far its dreams can be trusted"))
        return [
            *stages,
            Stage(f"{name}-agent", agent, "learn in the dream, then play in reality for a score"),
        ]

    def _spared(self, calibrated: bool) -> Callable[[], Config] | None:
        """Looks, before hours of training, whether calibrating can follow: it takes two held-out episodes."""

        def look() -> Config:
            dataset = EpisodeDataset(self.data, verify=False)
            if dataset.episodes < 2 or len(dataset.split("heldout")) < 2:
                raise WorldModelError(
                    f"Of the {dataset.episodes} episodes in {self.data} fewer than two are held out, too few to "
                    "calibrate: give another out= and more first_frames, shorter episodes (collect.max_steps) or "
                    "calibrated=false."
                )
            return {}

        return look if calibrated else None

    def policy(self, number: int) -> Config:
        """Who collects in a cycle."""
        if not number:
            return self.collect["policy"]
        return {
            "_target_": "worldmodel.agents.trained.trained",
            "path": str(self.learner(number - 1)),
            "sample": self.sample,
            "random_share": self.random_share,
        }

    def player(self, number: int) -> str:
        """The same in words."""
        return f"the agent of cycle {number}" if number else "the exploration policy"

    def frames_left(self, number: int, end: int) -> dict[str, Any]:
        """What cycle `number` may collect, its own exploit checks spared."""
        return {"frames": end - self.check_frames - sum(self.used(before) for before in range(number))}

    def used(self, number: int) -> int:
        """Real frames of a finished cycle: those collected, and those of its exploit checks."""
        return _collected(self.data / f"{number:03d}") + _checked(self.learner(number))

    def cycle(self, number: int) -> Cycle:
        """What a finished cycle has come to."""
        name = f"{number:03d}"
        dataset = EpisodeDataset(self.data / name, verify=False)
        score = read_json(self.learner(number) / "score.json")
        curve = read_json(self.learner(number) / "learning_curve.json")
        return Cycle(
            number=number + 1,
            real_frames=sum(self.used(before) for before in range(number + 1)),
            collected=dataset.transitions,
            episodes=dataset.episodes,
            collected_return=float(dataset.rewards.sum() / dataset.episodes),
            checked=_checked(self.learner(number)),
            scored=sum(score["agent"]["lengths"]) + sum(score["random"]["lengths"]),
            imagined=score["trained"]["frames"],
            outside=curve["outside"],
            stopped=score["trained"]["stopped"],
            agent=score["agent"],
            random=score["random"],
            gap=score["gap"],
        )


def collect_frames(frames: int, out: str, **arguments: Any) -> EpisodeDataset:
    """As many whole episodes as `frames` real frames are sure to hold, in the dataset `out`, a piece of that around it.

    Arguments: those of `worldmodel collect` but for the number of episodes.
    """
    dataset = collect(
        out=out, frames=frames, episodes=frames, **arguments
    )  # of one step each, at most so many
    around = Path(out).parent
    pieces = [item.name for item in around.iterdir() if (item / MANIFEST_NAME).is_file()]
    write_pieces(around, sorted(pieces))
    return dataset


def _collected(folder: Path) -> int:
    return EpisodeDataset(folder, verify=False).transitions


def _checked(run: Path) -> int:
    """Real frames of an agent's exploit checks."""
    return int(read_json(run / EXPLOIT)["real_frames"]) if (run / EXPLOIT).exists() else 0


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class Cycle:
    """One cycle, the first is number 1. real_frames: used so far; collected: of them in this cycle, in so many
    episodes, whose mean return was collected_return; checked: real frames of its exploit checks; scored: real frames
    of scoring; imagined: frames the agent learned from in dreams; outside: see share_outside; stopped: by an exploit
    check; agent, random, gap: as in score.json."""

    number: int
    real_frames: int
    collected: int
    episodes: int
    collected_return: float
    checked: int
    scored: int
    imagined: int
    outside: float | None
    stopped: bool
    agent: Mapping[str, Any]
    random: Mapping[str, Any]
    gap: Mapping[str, Any] | None


def record(run: Path, cycles: Sequence[Cycle], real_frames: int, env: EnvConfig) -> None:
    """Write loop.json and curve.png into `run`."""
    _draw(run / "curve.png", cycles)
    content = {
        "format": "worldmodel-agent-loop",
        "version": 1,
        "env": env.to_json(),
        "currency": CURRENCY,
        "real_frames": real_frames,
        "cycles": [asdict(cycle) for cycle in cycles],
    }
    write_json(run / "loop.json", content)


def _draw(path: Path, cycles: Sequence[Cycle]) -> None:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    frames = [cycle.real_frames for cycle in cycles]
    low, high = ([cycle.agent["interval"][side] for cycle in cycles] for side in (0, 1))
    axes.plot(
        frames,
        [cycle.agent["mean"] for cycle in cycles],
        "o-",
        color=ORANGE,
        label="agent, likeliest actions",
    )
    axes.fill_between(frames, low, high, color=ORANGE, alpha=0.2, linewidth=0)
    axes.plot(
        frames, [cycle.agent["iqm"] for cycle in cycles], "--", color=ORANGE, label="its interquartile mean"
    )
    axes.plot(
        frames, [cycle.collected_return for cycle in cycles], "s:", color=BLUE, label="while collecting"
    )
    dreamt = [(cycle.real_frames, cycle.gap["dream"]) for cycle in cycles if cycle.gap is not None]
    if dreamt:
        axes.plot(*zip(*dreamt, strict=True), "x", color=GREEN, label="in dreams, after the context")
    axes.axhline(cycles[-1].random["mean"], color=GREY, linestyle="--", label="random actions")
    axes.set(xlabel="real frames", ylabel="return")
    axes.set_xlim(left=0)
    axes.grid(color=GREY, alpha=0.25)
    axes.legend(frameon=False)
    write_png(path, figure)
