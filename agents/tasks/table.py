"""`worldmodel agent table`: on every task random, dream-trained, PPO from pixels, expert and planner, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.agents.learning.loop import cycle_ends
from worldmodel.agents.learning.snapshots import SNAPSHOTS
from worldmodel.agents.learning.train import OBSERVATION, SCORE_SEED
from worldmodel.agents.tasks.table_page import write_table
from worldmodel.arguments import checked_arguments, locate, made_of
from worldmodel.errors import WorldModelError
from worldmodel.nearest import did_you_mean
from worldmodel.real_env import EnvConfig
from worldmodel.run_settings import keep_settings
from worldmodel.stages import Config, Stage, claimed, run_stages

ROWS = ("random", "dream", "sb3", "real", "expert", "planner")
LEARNERS = ("dream", "sb3", "real")  # of which there are several seeds
SETTINGS = "task.json"
MORE_FRAMES = 10  # times the task's, for an expert that learns from pixels, unless the task says how many


@dataclass(frozen=True)
class Task:
    """env: EnvConfig fields; frames: real ones that everything but the expert may learn from; ceiling: what the expert
    sees, "state" or "pixels", and then of how many frames (ceiling_frames; None: ten times the others'); stages: what
    differs from the table's own; loop: None, and the world is learned from what `collect` explores, or first_frames,
    frames_per_cycle and later of `worldmodel agent loop`, and agent: how its agents differ from those of "dream"."""

    env: Config
    frames: int
    ceiling: str = "state"
    ceiling_frames: int | None = None
    stages: Mapping[str, Config] | None = None
    loop: Config | None = None

    @property
    def expert_frames(self) -> int:
        """Real ones that an expert on pixels learns from."""
        return MORE_FRAMES * self.frames if self.ceiling_frames is None else self.ceiling_frames


def table(
    out: str,
    tasks: Sequence[str],
    rows: Sequence[str],
    task: Mapping[str, Config],
    curve: Mapping[str, int],
    collect: Config,
    train: Config,
    calibrate: Config,
    dream: Config,
    real: Config,
    sb3: Config,
    expert: Config,
    planner: Config,
    seeds: int = 3,
    episodes: int = 50,
    frames: int | None = None,
) -> Path:
    """Run what is missing of these rows of these tasks in the folder `out`; returns the path of table.html.

    task: every known task's fields of Task; the configs are those of commands; curve: snapshots, and episodes to score
    each on; frames: instead of each task's own. Every task is a folder, with an own lock: several calls may work at
    different ones. Killed at any moment, the same call goes on.
    """
    stages = {"collect": collect, "train": train, "calibrate": calibrate, "dream": dream}
    stages |= {"real": real, "sb3": sb3, "expert": expert, "planner": planner}
    _check_names("task", tasks, task)
    _check_names("row", rows, ROWS)
    if not tasks or not rows or seeds < 1 or episodes < 1:
        raise WorldModelError(
            "A table needs at least one task, row, seed and episode: give tasks=, rows=, seeds= and episodes=."
        )
    plans = [
        Plan(Path(out) / name, name, _made(task[name], frames), stages, seeds, episodes, curve)
        for name in tasks
    ]
    for plan in plans:
        plan.check(rows)
    for plan in plans:
        with claimed(plan.run, f"the task {plan.name}"):
            older = {f"stages.{stage}.{OBSERVATION}" for stage in ("dream", "real", "world.agent")}
            keep_settings(plan.run / SETTINGS, plan.settings(), may_change=older)
            run_stages(plan.run, plan.stages(rows), plan.name)
        write_table(Path(out))
    return Path(out) / "table.html"


@dataclass(frozen=True)
class Plan:
    """The stages of one task, in the folder `run`."""

    run: Path
    name: str
    task: Task
    configs: Mapping[str, Config]
    seeds: int
    episodes: int
    curve: Mapping[str, int]

    def check(self, rows: Sequence[str]) -> None:
        """Raise WorldModelError, naming task and key, where a stage's config does not fit."""
        _check_names("stage", tuple(self.task.stages or ()), self.configs)
        for stage in self.stages(rows):
            checked_arguments(locate(stage.config["_target_"]), stage.config, f"{self.name}: {stage.name}.")
        for row in {"sb3", "expert"} & set(rows):
            if row == "sb3" or self.task.ceiling == "pixels":
                self._check_rollouts(row)

    def _check_rollouts(self, row: str) -> None:
        """Now, not after the hours of the stages before."""
        # These need an extra, as these rows do.
        from worldmodel.agents.baselines.sb3_learner import SB3Config
        from worldmodel.agents.baselines.sb3_pixels import check_frames

        settings = made_of(SB3Config, self.config(row)["sb3"], f"{self.name}: {row}.sb3")
        check_frames(self.task.expert_frames if row == "expert" else self.task.frames, settings)

    def settings(self) -> dict[str, Any]:
        """What all calls for this task must share; rows and seeds may be added later."""
        kept = {stage.name: dict(stage.config) for stage in self.stages(ROWS) if "-" not in stage.name}
        kept |= {name: dict(self.config(name)) for name in LEARNERS}
        return {"env": self.env, "frames": self.task.frames, "ceiling": self.task.ceiling, "stages": kept}

    def config(self, stage: str) -> dict[str, Any]:
        """The table's config of a stage, changed as the task says."""
        base = "sb3" if stage == "expert" and self.task.ceiling == "pixels" else stage
        return merged(self.configs[base], (self.task.stages or {}).get(stage, {}))

    @property
    def env(self) -> dict[str, Any]:
        """As EnvConfig writes it."""
        return EnvConfig.from_json(self.task.env).to_json()

    @property
    def data(self) -> Path:
        """Where the world's dataset is."""
        return self.run / "loop" / "data" if self.task.loop else self.run / "data"

    @property
    def world(self) -> Path:
        """Where its world model is."""
        if not self.task.loop:
            return self.run / "world"
        ends = cycle_ends(
            self.task.frames, self.task.loop["first_frames"], self.task.loop["frames_per_cycle"]
        )
        return self.run / "loop" / "world" / f"{len(ends) - 1:03d}"

    def stages(self, rows: Sequence[str]) -> list[Stage]:
        """All that these rows need, in order."""
        found = [] if set(rows) <= {"expert", "real"} else self._world()
        for row in (row for row in ROWS if row in rows):
            made: list[Stage] = getattr(self, f"_{row}")()
            found += made
        return found

    def _world(self) -> list[Stage]:
        train = merged(self.config("train"), {"data": str(self.data), "out": str(self.world)})
        told = merged(self.config("calibrate"), {"checkpoint": str(self.world), "data": str(self.data)})
        if self.task.loop:
            return [Stage("world", self._loop(), "learn the world in a loop, with agents that it trained")]
        places = {"env": self.env, "out": str(self.data), "frames": self.task.frames}
        return [
            Stage("collect", {**self.config("collect"), **places}, "play the real environment and record it"),
            Stage("train", train, "learn a world model from the recording"),
            Stage("calibrate", told, "learn how far the dream can be trusted, from held-out episodes"),
        ]

    def _loop(self) -> dict[str, Any]:
        collect, train = self.config("collect"), self.config("train")
        loop = dict(self.task.loop or {})
        agent = merged({**self.config("dream"), "episodes": self.curve["episodes"]}, loop.pop("agent", {}))
        return {
            "_target_": "worldmodel.agents.learning.loop.loop",
            "out": str(self.run / "loop"),
            "env": self.env,
            "policy": collect["policy"],
            "model": train["model"],
            "collect": {**collect, "env": self.env},
            "train": train,
            "calibrate": self.config("calibrate"),
            "agent": agent,
            "real_frames": self.task.frames,
            "device": train["device"],
            **loop,
        }

    def _random(self) -> list[Stage]:
        config = {
            "_target_": "worldmodel.agents.tasks.unlearned.score_random",
            "out": str(self.run / "random"),
            "checkpoint": str(self.world),
            "num_inference_steps": self._passes,
            "episodes": self.episodes,
        }
        return [Stage("random", config, "play at random")]

    def _dream(self) -> list[Stage]:
        config = self.config("dream")
        starts = str(self.data) if config.get("starts") is not None else None
        places = {"world": "dream", "checkpoint": str(self.world), "env": None, "starts": starts}
        return self._learners("dream", {**config, **places}, "an agent learns inside the dream alone")

    def _sb3(self) -> list[Stage]:
        places = {"checkpoint": str(self.world), "num_inference_steps": self._passes}
        config = {**self.config("sb3"), **places, "env": self.env, "frames": self.task.frames}
        return self._learners("sb3", config, "PPO of Stable-Baselines3 learns from pixels in reality")

    def _real(self) -> list[Stage]:
        places = {"world": "real", "checkpoint": None, "env": self.env, "frames": self.task.frames}
        return self._learners("real", {**self.config("real"), **places}, "our own PPO learns in reality")

    def _learners(self, row: str, config: Config, about: str) -> list[Stage]:
        """One agent for each seed, and how good it was when."""
        found = []
        for seed in range(self.seeds):
            out = self.run / f"{row}-{seed}"
            own = {"out": str(out), "seed": seed, "episodes": self.episodes}
            own |= {"snapshots": self.curve["snapshots"]}
            found.append(Stage(f"{row}-{seed}", {**config, **own}, f"{about}, seed {seed}"))
            if self.curve["snapshots"]:
                found.append(self._curve(row, seed, out))
        return found

    def _curve(self, row: str, seed: int, out: Path) -> Stage:
        config = {
            "_target_": "worldmodel.agents.learning.snapshots.score_snapshots",
            "folder": str(out / SNAPSHOTS),
            "env": self.env,
            "episodes": self.curve["episodes"],
            "seed": SCORE_SEED - 1,
            "out": str(out / "curve.json"),
        }
        return Stage(f"curve-{row}-{seed}", config, "how good it was while it learned")

    def _expert(self) -> list[Stage]:
        config = {**self.config("expert"), "env": self.env, "out": str(self.run / "expert")}
        config |= {"episodes": self.episodes}
        if self.task.ceiling == "pixels":
            config |= {"frames": self.task.expert_frames}
            about = f"PPO learns from {self.task.expert_frames:,} real frames: the ceiling"
        else:
            about = "an expert learns from the simulator's state, until it stops improving: the ceiling"
        return [Stage("expert", config, about)]

    def _planner(self) -> list[Stage]:
        config = self.config("planner")
        episodes = min(config["episodes"], self.episodes)
        places = {"checkpoint": str(self.world), "out": str(self.run / "planner"), "episodes": episodes}
        return [Stage("planner", {**config, **places}, "plan in the dream at every step, in reality")]

    @property
    def _passes(self) -> int:
        return int(self.config("dream")["num_inference_steps"])


def merged(base: Config, change: Config) -> dict[str, Any]:
    """`base` with the keys of `change`, key by key inside mappings; one that names a `_target_` replaces the whole."""
    result = dict(base)
    for key, value in change.items():
        inside = isinstance(value, Mapping) and "_target_" not in value and isinstance(base.get(key), Mapping)
        result[key] = merged(base[key], value) if inside else value
    return result


def _made(fields: Config, frames: int | None) -> Task:
    made = Task(
        **checked_arguments(Task, fields if frames is None else {**fields, "frames": frames}, "task.")
    )
    if made.ceiling not in ("state", "pixels"):
        raise WorldModelError(f"task.ceiling is {made.ceiling!r}, expected state or pixels.")
    if made.ceiling_frames is not None and made.ceiling == "state":
        raise WorldModelError(
            "task.ceiling_frames is for ceiling=pixels: an expert on the state stops by itself."
        )
    for key in ("first_frames", "frames_per_cycle"):
        if made.loop and key not in made.loop:
            raise WorldModelError(f"task.loop lacks {key}: give it, or loop: null to learn without cycles.")
    return made


def _check_names(kind: str, given: Sequence[str], known: Sequence[str] | Mapping[str, Any]) -> None:
    for name in given:
        if name not in known:
            guess = did_you_mean(name, known)
            raise WorldModelError(f"there is no {kind} {name!r}{guess}; {kind}s: {', '.join(known)}.")
