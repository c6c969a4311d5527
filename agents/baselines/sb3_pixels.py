"""`worldmodel agent sb3`: PPO of Stable-Baselines3, from pixels in the real environment, kept as an agent of ours."""

# H W frame, C colours, D size of an encoded action

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.agents.baselines.sb3_learner import SB3Config, SB3Learner
from worldmodel.agents.baselines.state_expert import normalised_actions
from worldmodel.agents.learning.actor_critic import STACKED_FRAMES, ActorCritic
from worldmodel.agents.learning.snapshots import SNAPSHOTS, Snapshots
from worldmodel.agents.learning.storage import save_policy
from worldmodel.agents.learning.train import SCORE_SEED
from worldmodel.agents.tasks.scoring import Scoring, score_agent
from worldmodel.arguments import made_of
from worldmodel.benchmark.timing import torch_threads
from worldmodel.errors import WorldModelError
from worldmodel.files import remove_temporaries, write_json
from worldmodel.model.checkpoint import load_world_model
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.run_settings import keep_settings

try:
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
except ImportError as error:
    raise WorldModelError(
        "Learning with Stable-Baselines3 needs an extra: pip install 'worldmodel[sb3]'."
    ) from error

CHECKPOINTS = "checkpoints"
SECONDS_BETWEEN_CHECKPOINTS = 30.0


class TwoFrames(gym.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """Shows what agents of ours see, as uint8 [H,W,2C]: x_t, then x_{t-1}; x_0 twice at an episode's start."""

    def __init__(self, env: gym.Env[np.ndarray, Any]) -> None:
        super().__init__(env)
        height, width, colours = env.observation_space.shape or ()
        self.observation_space = gym.spaces.Box(0, 255, (height, width, STACKED_FRAMES * colours), np.uint8)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Info is empty: Stable-Baselines3 would copy the simulator's truth at every step."""
        self._last, _ = self.env.reset(**kwargs)
        return np.concatenate([self._last, self._last], axis=-1), {}

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """One step."""
        frame, reward, terminated, truncated, _ = self.env.step(action)
        before, self._last = self._last, frame
        return np.concatenate([frame, before], axis=-1), reward, terminated, truncated, {}


class Trunk(BaseFeaturesExtractor):
    """The convolutions of ActorCritic, for policies of Stable-Baselines3, whose own need 36 pixels."""

    def __init__(self, observation_space: gym.Space[Any], channels: int, hidden: int) -> None:
        super().__init__(observation_space, hidden)
        stacked, height, width = observation_space.shape or ()  # Stable-Baselines3 moves the channels there
        shape = (height, width, stacked // STACKED_FRAMES)
        trunk = ActorCritic(shape, gym.spaces.Discrete(2), channels, hidden).trunk
        # Stable-Baselines3 initialises weights anew, which needs them in their ordinary order in memory.
        self.trunk = trunk.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def forward(self, observation: Tensor) -> Tensor:
        """observation [B,2C,H,W] in [0,1], as Stable-Baselines3 scales pictures."""
        return self.trunk(2 * observation - 1)


@dataclass(frozen=True)
class SB3Row:
    """A point of the learning curve: real frames and seconds so far; mean return of the episodes that ended since the
    row before, None where none did."""

    frames: int
    seconds: float
    mean_return: float | None


def sb3(
    out: str,
    env: Mapping[str, Any],
    frames: int,
    sb3: Mapping[str, Any],
    network: Mapping[str, Any] | None = None,
    final_learning_rate: float | None = None,
    snapshots: int = 0,
    checkpoint: str | None = None,
    num_inference_steps: int = 1,
    episodes: int = 50,
    seed: int = 0,
) -> Path:
    """Train on exactly `frames` frames of the real environment and score; the same command goes on where it stopped.

    env: EnvConfig fields; sb3: SB3Config; network: channels and hidden of ActorCritic, whose network is used;
    final_learning_rate: to which it falls linearly, None for constant; snapshots: policies kept on the way, evenly
    spaced; checkpoint: a world model, in whose dreams the agent is scored too. Writes policy/, learning_curve.json and
    score.json as `worldmodel agent train` does; returns the path of score.json.
    """
    run, config, settings = Path(out), EnvConfig.from_json(env), made_of(SB3Config, sb3, "sb3")
    shape = {"channels": 32, "hidden": 128, **(network or {})}
    check_frames(frames, settings)
    scoring = Scoring(episodes, seed + SCORE_SEED)
    model = None if checkpoint is None else load_world_model(checkpoint)
    for folder in (run, run / CHECKPOINTS, run / SNAPSHOTS):
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)
    kept = {
        "env": config.to_json(),
        "frames": frames,
        "sb3": asdict(settings),
        "network": shape,
        "seed": seed,
    }
    keep_settings(run / "settings.json", {**kept, "final_learning_rate": final_learning_rate})
    with _learner(config, settings, shape, seed) as learner:
        last = settings.learning_rate if final_learning_rate is None else final_learning_rate
        rows = _train(run, learner, config, shape, frames, last, snapshots)
        policy = as_actor_critic(learner, config, shape)
    trained = {"world": "real", "frames": rows[-1].frames, "seconds": rows[-1].seconds}
    trained |= {"real_frames": rows[-1].frames, "algorithm": "PPO of Stable-Baselines3"}
    save_policy(policy, run / "policy", trained)
    write_json(run / "learning_curve.json", {"trained": trained, "rows": [asdict(row) for row in rows]})
    content = score_agent(policy, config, scoring, model, num_inference_steps)
    write_json(run / "score.json", {**content, "trained": trained})
    return run / "score.json"


def check_frames(frames: int, settings: SB3Config) -> None:
    """Raise WorldModelError unless so many frames are whole rollouts."""
    if frames % settings.rollout or frames < 1:
        raise WorldModelError(
            f"frames={frames} is no multiple of the {settings.rollout} frames of one rollout (sb3.num_envs times "
            "sb3.n_steps): change one of them."
        )


def as_actor_critic(learner: SB3Learner, config: EnvConfig, shape: Mapping[str, Any]) -> ActorCritic:
    """The same agent as one of ours, which saves without pickles, and loads by name wherever agents do."""
    env = config.make()
    height, width, colours = env.observation_space.shape or ()
    ours = ActorCritic((height, width, colours), env.action_space, **shape)
    env.close()
    theirs = learner.model.policy
    ours.trunk.load_state_dict(theirs.features_extractor.trunk.state_dict())
    head: Any = ours.actor[2]
    pairs = [
        (ours.actor[0], theirs.mlp_extractor.policy_net[0]),
        (head.linear, theirs.action_net),
        (ours.critic[0], theirs.mlp_extractor.value_net[0]),
        (ours.critic[2], theirs.value_net),
    ]
    with torch.no_grad():
        for mine, learned in pairs:
            mine.load_state_dict(learned.state_dict())
        if isinstance(env.action_space, gym.spaces.Box):
            head.log_std.copy_(theirs.log_std)
        if learner.config.normalise_reward:
            ours.value_scale.fill_(float(np.sqrt(learner.envs.ret_rms.var + learner.envs.epsilon)))
    return ours


@contextmanager
def _learner(
    config: EnvConfig, settings: SB3Config, shape: Mapping[str, int], seed: int
) -> Iterator[SB3Learner]:
    probe = config.make()
    space = probe.action_space
    probe.close()
    if not isinstance(space, gym.spaces.Box | gym.spaces.Discrete) or getattr(space, "start", 0) != 0:
        raise WorldModelError(
            f"{config.id} acts in {space}: here only Box and Discrete actions from 0 on are learned; use "
            "`worldmodel agent train world=real`."
        )
    kwargs = {
        "features_extractor_class": Trunk,
        "features_extractor_kwargs": dict(shape),
        "net_arch": {"pi": [shape["hidden"]], "vf": [shape["hidden"]]},
        "activation_fn": nn.SiLU,
    }

    def make() -> gym.Env[np.ndarray, Any]:
        return normalised_actions(TwoFrames(config.make()))

    learner = SB3Learner(make, settings, seed, "CnnPolicy", kwargs, False)
    try:
        with torch_threads(1):
            yield learner
    finally:
        learner.close()


def _train(
    run: Path,
    learner: SB3Learner,
    config: EnvConfig,
    shape: Mapping[str, int],
    frames: int,
    last_rate: float,
    snapshots: int,
) -> list[SB3Row]:
    first_rate, rollout = learner.config.learning_rate, learner.config.rollout
    about = learner.restore(run / CHECKPOINTS) or {"rows": []}
    rows = [SB3Row(**row) for row in about["rows"]]
    kept = Snapshots.within(run / SNAPSHOTS, snapshots, frames)
    before, began = rows[-1].seconds if rows else 0.0, time.monotonic()
    saved = began
    with progress(total=frames, initial=learner.frames, desc="learn", unit="frame") as bar:
        while learner.frames < frames:
            learner.learning_rate = first_rate + learner.frames / frames * (last_rate - first_rate)
            learner.learn(rollout)
            now = time.monotonic()
            rows.append(SB3Row(learner.frames, before + now - began, learner.ended_returns()))
            if kept is not None and kept.due(learner.frames):
                policy = as_actor_critic(learner, config, shape)
                kept.keep(policy, learner.frames, rows[-1].seconds)
            if now - saved > SECONDS_BETWEEN_CHECKPOINTS or learner.frames >= frames:
                learner.save(run / CHECKPOINTS, {"rows": [asdict(row) for row in rows]})
                saved = now
            bar.update(rollout)
    return rows
