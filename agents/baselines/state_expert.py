"""The ceiling of a task: an agent that sees the simulator's state, trained until it stops improving."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from worldmodel.agents.baselines.sb3_learner import SB3Config, SB3Learner
from worldmodel.agents.learning.train import SCORE_SEED
from worldmodel.agents.tasks.play import Played, episode_seed
from worldmodel.agents.tasks.score import Score
from worldmodel.agents.tasks.scoring import Scoring
from worldmodel.arguments import made_of
from worldmodel.benchmark.timing import torch_threads
from worldmodel.data.rollout import RunningEpisode
from worldmodel.errors import EnvError, WorldModelError
from worldmodel.files import read_json, remove_temporaries, write_json
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.run_settings import keep_settings

CHECK_SEED = 2_000_003  # of the episodes that tell whether it still improves
NEWEST, BEST, CURVE, SCORE = "newest", "best", "learning_curve.json", "score.json"


@dataclass(frozen=True)
class Patience:
    """When to stop: every `every` frames the agent plays `episodes` episodes. After `checks` checks in a row without a
    gain of `gain` of all that it has gained so far, it goes on from its best with a third of the learning rate,
    `reductions` times, and then it has stopped improving. frames: the most it may use."""

    frames: int = 2_000_000
    every: int = 40_960
    episodes: int = 20
    checks: int = 5
    reductions: int = 2
    gain: float = 0.01

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("episodes", 1), ("checks", 1), ("reductions", 0), ("gain", 0)):
            if getattr(self, name) < least:
                raise WorldModelError(f"patience.{name} is {getattr(self, name)}, expected at least {least}.")


@dataclass(frozen=True)
class Check:
    """One look: after so many frames and seconds, the mean return of the check's episodes."""

    frames: int
    seconds: float
    mean: float
    learning_rate: float


class Improvement:
    """Follows the checks: is the newest the best, and is it time to lower the learning rate, or to stop?"""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._first: float | None = None
        self._mark = -np.inf  # the last mean that was a gain worth waiting for
        self.best = -np.inf
        self.stale = self.reductions = 0

    def see(self, mean: float) -> bool:
        """Note a check; whether it is the best so far."""
        self._first = mean if self._first is None else self._first
        if mean > self._mark + self._patience.gain * max(0.0, self._mark - self._first):
            self._mark, self.stale = mean, 0
        else:
            self.stale += 1
        is_best, self.best = mean > self.best, max(mean, self.best)
        return is_best

    @property
    def stuck(self) -> bool:
        """Whether patience is at its end."""
        return self.stale >= self._patience.checks

    def reduce(self) -> bool:
        """Begin anew with a lower learning rate; False: that was done often enough."""
        self.stale = 0
        self.reductions += 1
        return self.reductions <= self._patience.reductions


def expert(
    out: str,
    env: Mapping[str, Any],
    sb3: Mapping[str, Any],
    patience: Mapping[str, Any],
    hidden: int = 64,
    episodes: int = 50,
    seed: int = 0,
) -> Path:
    """Train on the state of the environment `env` (EnvConfig fields) until it stops improving; the same call goes on.

    sb3: SB3Config; patience: Patience; hidden: width of the network's two layers; episodes: to score the best agent on.
    Writes best/, learning_curve.json and score.json into `out`; returns the path of score.json.
    """
    run, config = Path(out), EnvConfig.from_json(env)
    settings, limits = made_of(SB3Config, sb3, "sb3"), made_of(Patience, patience, "patience")
    scoring = Scoring(episodes, seed + SCORE_SEED)
    if limits.every % settings.rollout:
        raise WorldModelError(
            f"patience.every={limits.every} is no multiple of the {settings.rollout} frames of one rollout."
        )
    for folder in (run, run / NEWEST, run / BEST):
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)
    kept = {"env": config.to_json(), "sb3": asdict(settings), "patience": asdict(limits)}
    keep_settings(run / "settings.json", {**kept, "hidden": hidden, "seed": seed}, {"patience.frames"})
    with _learner(config, settings, hidden, seed) as learner:
        checks = _train(run, learner, config, limits)
    best = max(checks, key=lambda check: check.mean)
    write_json(run / CURVE, {"checks": [asdict(c) for c in checks], "best": asdict(best)})
    trained = {"world": "state", "frames": best.frames, "seconds": best.seconds}
    trained |= {"all_frames": checks[-1].frames, "all_seconds": checks[-1].seconds}
    played = play_expert(run, scoring.episodes, scoring.seed)
    content = {"env": config.to_json(), "scoring": asdict(scoring), "trained": trained, "gap": None}
    write_json(run / SCORE, {**content, "agent": Score.of(played).to_json()})
    return run / SCORE


def play_expert(folder: str | Path, episodes: int, seed: int) -> list[Played]:
    """What a trained expert's best agent earns in `episodes` episodes, without frames; each begins as it does in `play`
    with the same seed."""
    run = Path(folder)
    if not (run / CURVE).is_file():
        raise WorldModelError(f"There is no expert in {run}: train one with `worldmodel agent expert`.")
    settings = read_json(run / "settings.json")
    config = EnvConfig.from_json(settings["env"])
    learned = SB3Config(**settings["sb3"])
    one = replace(learned, num_envs=1, batch_size=learned.n_steps)
    with _learner(config, one, settings["hidden"], settings["seed"]) as learner:
        learner.restore(run / BEST)
        return _play(learner, config, episodes, seed, "score expert")


def make_state_env(config: EnvConfig) -> gym.Env[np.ndarray, Any]:
    """The same environment as `config.make()`, seen as its state, with Box actions in [-1, 1]."""
    config.make().close()  # says what is wrong with the id, and imports its module
    name = config.id.rpartition(":")[2]
    try:
        env = gym.make(
            "worldmodel/State-v0",
            env_id=name,
            action_repeat=config.action_repeat,
            env_kwargs=dict(config.kwargs),
        )
    except TypeError as error:
        raise EnvError(f"{config.id} has no state to observe: {error}") from error
    return normalised_actions(env)


def normalised_actions(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """`env` with its Box actions scaled to [-1, 1], the others as they are."""
    if not isinstance(env.action_space, gym.spaces.Box):
        return env
    return gym.wrappers.RescaleAction(env, np.float32(-1.0), np.float32(1.0))


@contextmanager
def _learner(config: EnvConfig, settings: SB3Config, hidden: int, seed: int) -> Iterator[SB3Learner]:
    kwargs = {"net_arch": [hidden, hidden], "activation_fn": torch.nn.Tanh}
    learner = SB3Learner(lambda: make_state_env(config), settings, seed, "MlpPolicy", kwargs, True)
    try:
        with torch_threads(1):
            yield learner
    finally:
        learner.close()


def _train(run: Path, learner: SB3Learner, config: EnvConfig, limits: Patience) -> list[Check]:
    checks, progressed = _resumed(run, learner, limits)
    before, began = checks[-1].seconds if checks else 0.0, time.monotonic()
    stopped = bool(checks) and progressed.reductions > limits.reductions
    with progress(total=limits.frames, initial=learner.frames, desc="expert", unit="frame") as bar:
        while not stopped and learner.frames + limits.every <= limits.frames:
            frames, rate = learner.frames, learner.learning_rate
            learner.learn(limits.every)
            played = _play(learner, config, limits.episodes, CHECK_SEED)
            mean = float(np.mean([episode.rewards.sum() for episode in played]))
            seconds = before + time.monotonic() - began
            checks.append(Check(learner.frames, seconds, mean, rate))
            if progressed.see(mean):
                learner.save(run / BEST, {})
            if progressed.stuck:
                stopped = not _go_on_from_best(run, learner, progressed)
            learner.save(run / NEWEST, {"checks": [asdict(check) for check in checks]})
            bar.set_postfix(best=f"{progressed.best:.4g}", refresh=False)
            bar.update(checks[-1].frames - frames)
    if not checks:
        raise WorldModelError(
            f"patience.frames={limits.frames} is less than one check's {limits.every} frames."
        )
    return checks


def _go_on_from_best(run: Path, learner: SB3Learner, progressed: Improvement) -> bool:
    frames, rate = learner.frames, learner.learning_rate
    more = progressed.reduce()
    learner.restore(run / BEST)
    learner.model.num_timesteps, learner.learning_rate = frames, rate / 3
    return more


def _resumed(run: Path, learner: SB3Learner, limits: Patience) -> tuple[list[Check], Improvement]:
    """The checks of an earlier call, with `learner` as it was after them."""
    progressed = Improvement(limits)
    about = learner.restore(run / NEWEST) or {"checks": []}
    checks = [Check(**check) for check in about["checks"]]
    for check in checks:
        progressed.see(check.mean)
        if progressed.stuck:
            progressed.reduce()
    return checks, progressed


def _play(learner: SB3Learner, config: EnvConfig, episodes: int, seed: int, desc: str = "") -> list[Played]:
    """Whole episodes with the likeliest actions, side by side."""
    running = [RunningEpisode(make_state_env(config), keep=1) for _ in range(episodes)]
    for index, episode in enumerate(running):
        episode.begin(episode_seed(seed, index))
    with progress(desc=desc, unit="step", disable=not desc) as bar:
        while active := [episode for episode in running if not episode.over]:
            actions = learner.act(np.stack([episode.observation for episode in active]))
            for episode, action in zip(active, actions, strict=True):
                episode.step(episode.codec.store(action))
            bar.update()
    for episode in running:
        episode.env.close()
    unseen = np.zeros((0, 1), np.uint8)
    return [Played(np.array(episode.rewards), episode.terminated, unseen, unseen) for episode in running]
