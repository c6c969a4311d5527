"""`worldmodel agent train`: learn in the dream, or in the real environment, and be scored in the real one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.curve import Row, draw_learning, share_outside
from worldmodel.agents.learning.exploit import RULE, ExploitCheck, ExploitConfig
from worldmodel.agents.learning.learner import Budget, Penalised, learn
from worldmodel.agents.learning.ppo import PPOConfig
from worldmodel.agents.learning.snapshots import SNAPSHOTS, Snapshots
from worldmodel.agents.learning.storage import find_policy, load_policy, save_policy
from worldmodel.agents.learning.worlds import RealEnvs, TensorEnvs, World, dream_envs
from worldmodel.agents.tasks.scoring import Scoring, score_agent
from worldmodel.arguments import made_of
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.device import chosen_device
from worldmodel.envs.dream import DreamVectorEnv
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.files import read_json, remove_temporaries, write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig
from worldmodel.run_settings import keep_settings

SCORE_SEED = 1_000_003  # added to the seed: an agent is never scored on the episodes it learned in
OBSERVATION = "observation"  # a setting of older runs, whose agents could see features instead of frames
BEST = "best"  # folder of the policy that did best at a check


def train_agent(
    out: str,
    network: Mapping[str, Any],
    ppo: Mapping[str, Any],
    checkpoint: str | None = None,
    world: str = "dream",
    env: Mapping[str, Any] | None = None,
    weights: str | None = None,
    frames: int | None = None,
    minutes: float | None = None,
    num_worlds: int = 64,
    horizon: int = 96,
    num_inference_steps: int = 1,
    starts: str | None = None,
    num_starts: int = 4096,
    uncertainty_penalty: float = 0.0,
    check: Mapping[str, Any] | None = None,
    snapshots: int = 0,
    episodes: int = 50,
    sample: bool = False,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
) -> Path:
    """Train an agent and score it in the real environment; the same command goes on where it was stopped.

    checkpoint: a world model, which also names the real environment; env: EnvConfig fields, for world="real" without a
    checkpoint; network: arguments of ActorCritic; ppo: PPOConfig; weights: a policy to go on from, of the same network.
    For dreams: starts: a dataset, of which num_starts moments are drawn instead of the checkpoint's own contexts;
    precision: in which to dream, see load_world_model; uncertainty_penalty: taken from the reward for each grey level
    of expected error; check: ExploitConfig. Writes policy/, learning_curve.json and .png, exploit.json and score.json
    into `out`; returns the path of score.json.
    """
    if num_worlds < 1 or seed < 0:
        raise WorldModelError(
            f"At least one world and a seed from 0 on are needed: got {num_worlds=}, {seed=}."
        )
    scoring = Scoring(episodes, seed + SCORE_SEED, sample)
    on = chosen_device(device)
    model = _model(checkpoint, world, env, on, precision)
    reality = model.world.env if model is not None else EnvConfig.from_json(env or {})
    run, budget, config = Path(out), Budget(frames, minutes), made_of(PPOConfig, ppo, "ppo")
    settings: dict[str, Any] = {
        "world": world,
        "env": reality.to_json(),
        "num_worlds": num_worlds,
        "seed": seed,
    }
    settings |= {"network": dict(network), "ppo": dict(ppo), "weights": weights, "precision": precision}
    watch: ExploitCheck | Penalised = Penalised()
    if model is not None and world == "dream":
        checks = made_of(ExploitConfig, check, "check")
        dreams = Dreams(horizon, num_inference_steps, starts, num_starts, uncertainty_penalty, checks)
        dreams.fit(model, config)
        settings |= {**asdict(dreams), "checkpoint": str(find_checkpoint(checkpoint or "").resolve())}
        envs: TensorEnvs = dreams.make(model, num_worlds, seed)
        place = World(envs, seed, horizon)
        watch = dreams.watch(model, run / BEST, seed)
    else:
        model = None
        place = World(RealEnvs(reality, num_worlds, on), seed)
    try:
        policy = ActorCritic(place.frame_shape, place.action_space, seed=seed, **network).to(on)
        if weights is not None:
            _start_from(weights, policy)
        _prepare(run, settings)
        whole = None if frames is None else frames - frames % num_worlds  # what all worlds together can use
        kept = Snapshots.within(run / SNAPSHOTS, snapshots, whole)
        rows = learn(policy, place, config, budget, run / "checkpoints", seed, watch, kept)
    finally:
        place.close()
    if watch.stopped:
        print(
            "dreams pay what reality does not (exploit.json): the best policy so far is kept", file=sys.stderr
        )
        policy = load_policy(run / BEST, on)
    real_frames = watch.real_frames if isinstance(watch, ExploitCheck) else 0
    trained = {"world": world, "frames": rows[-1].frames, "seconds": rows[-1].seconds}
    trained |= {"real_frames": real_frames if model else rows[-1].frames, "stopped": watch.stopped}
    _write_learning(run, policy, rows, trained, watch)
    if not _already_scored(run, trained, scoring):
        content = score_agent(policy, reality, scoring, model, num_inference_steps)
        write_json(run / "score.json", {**content, "trained": trained})
    return run / "score.json"


@dataclass(frozen=True)
class Dreams:
    """How an agent dreams: see `train_agent`."""

    horizon: int
    num_inference_steps: int
    starts: str | None
    num_starts: int
    uncertainty_penalty: float
    check: ExploitConfig

    def fit(self, model: WorldModel, config: PPOConfig) -> None:
        """Raise WorldModelError, saying what to change, where these options do not fit the rest."""
        if self.horizon < 1 or (self.horizon % config.rollout_steps and config.rollout_steps % self.horizon):
            raise WorldModelError(
                f"horizon={self.horizon} and ppo.rollout_steps={config.rollout_steps} must divide: dreams restart "
                "between rollouts."
            )
        if self.uncertainty_penalty < 0:
            raise WorldModelError(f"uncertainty_penalty is {self.uncertainty_penalty}, expected at least 0.")
        passes, raises = (
            self.num_inference_steps,
            self.check.frames > 0 and self.check.on_exploit == "penalise",
        )
        if (self.uncertainty_penalty > 0 or raises) and not model.is_calibrated(passes):
            raise WorldModelError(
                f"The uncertainty is to be penalised, but this checkpoint does not know it for {passes} "
                f"pass{'es' if passes > 1 else ''} a step: run `worldmodel calibrate checkpoint=... data=... "
                f"'measurements.passes=[{passes}]'`, or give calibrated num_inference_steps=."
            )

    def make(self, model: WorldModel, num_worlds: int, seed: int) -> DreamVectorEnv:
        """The dreams."""
        starts = starts_from(self.starts, model, self.num_starts, seed) if self.starts else None
        return dream_envs(model, num_worlds, self.num_inference_steps, starts)

    def watch(self, model: WorldModel, best: Path, seed: int) -> ExploitCheck | Penalised:
        """What sets the penalty, and checks the agent where real frames are allowed for it."""
        if not self.check.frames:
            return Penalised(self.uncertainty_penalty)
        return ExploitCheck(model, self.check, best, self.uncertainty_penalty, self.num_inference_steps, seed)


def _model(
    checkpoint: str | None,
    world: str,
    env: Mapping[str, Any] | None,
    on: torch.device,
    precision: str | None,
) -> WorldModel | None:
    if world not in ("dream", "real"):
        raise WorldModelError(f"world is {world!r}, expected dream or real.")
    if checkpoint is not None and env is not None:
        raise WorldModelError(
            "Give checkpoint= or env=, not both: a checkpoint names its own real environment."
        )
    if checkpoint is None and world == "dream":
        raise WorldModelError("world=dream needs checkpoint=, the folder that `worldmodel train` wrote.")
    if checkpoint is None and env is None:
        raise WorldModelError("world=real needs env= (such as env=push) or the checkpoint= of a world model.")
    return None if checkpoint is None else load_world_model(checkpoint, on, precision)


def starts_from(path: str, model: WorldModel, count: int, seed: int) -> StartContexts:
    """`count` moments of the training episodes of the dataset `path`, drawn with `seed`. Raises DatasetError when it is
    of another world than the model's."""
    dataset = EpisodeDataset(path, verify=False)
    check_same_world(model, dataset)
    frames = model.world.num_context_frames
    return StartContexts.draw(dataset, dataset.split("train"), frames, count, seed)


def _start_from(weights: str, policy: ActorCritic) -> None:
    learned = load_policy(find_policy(weights))
    try:
        policy.load_state_dict(learned.state_dict())
    except RuntimeError as error:
        raise WorldModelError(
            f"The agent in {weights} has another network, other frames or other actions: start from one that fits, or "
            "without weights."
        ) from error


def _write_learning(
    run: Path, policy: ActorCritic, rows: list[Row], trained: dict[str, Any], watch: ExploitCheck | Penalised
) -> None:
    save_policy(policy, run / "policy", trained)
    outside = share_outside(rows)
    content = {"trained": trained, "outside": outside, "rows": [asdict(row) for row in rows]}
    write_json(run / "learning_curve.json", content)
    checks = watch.rows if isinstance(watch, ExploitCheck) else []
    if isinstance(watch, ExploitCheck):
        write_json(
            run / "exploit.json",
            {
                "format": "worldmodel-exploit-check",
                "version": 1,
                "rule": RULE,
                "stopped": watch.stopped,
                "real_frames": watch.real_frames,
                "rows": watch.to_json(),
            },
        )
    draw_learning(run / "learning_curve.png", rows, checks)
    place = "world model" if trained["world"] == "dream" else "environments"
    if outside is not None:
        print(f"{outside:.0%} of the learning time was spent outside the {place}", file=sys.stderr)


def _already_scored(run: Path, trained: dict[str, Any], scoring: Scoring) -> bool:
    if not (run / "score.json").exists():
        return False
    old = read_json(run / "score.json")
    return old.get("trained") == trained and old.get("scoring") == asdict(scoring)


def _prepare(run: Path, settings: dict[str, Any]) -> None:
    """Make the run folder, clear what a killed call left half-written, and refuse other settings than its own."""
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    remove_temporaries(run)
    remove_temporaries(run / "checkpoints")
    remove_temporaries(run / SNAPSHOTS)
    keep_settings(run / "settings.json", settings, may_change={OBSERVATION})
