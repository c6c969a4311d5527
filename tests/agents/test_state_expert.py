"""Experts on the state: learning goes on where it was stopped, stops when nothing is gained, and nothing is pickled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra [sb3] is not installed")

from worldmodel.agents.baselines.sb3_learner import SB3Config
from worldmodel.agents.baselines.state_expert import (
    BEST,
    Improvement,
    Patience,
    expert,
    make_state_env,
    play_expert,
)
from worldmodel.agents.tasks.play import episode_seed, play
from worldmodel.errors import CheckpointError, EnvError, WorldModelError
from worldmodel.files import read_json
from worldmodel.real_env import EnvConfig

ENV = {"id": "worldmodel/CartPole-v0", "size": 8}
SB3 = {"num_envs": 2, "n_steps": 32, "batch_size": 32, "n_epochs": 2}
QUICK: dict[str, Any] = {"frames": 256, "every": 128, "episodes": 2, "checks": 3}


def learn(out: Path, **patience: Any) -> list[dict[str, Any]]:
    expert(str(out), ENV, SB3, {**QUICK, **patience}, hidden=8, episodes=2)
    return read_json(out / "learning_curve.json")["checks"]


def test_improvement_is_what_gains_a_share_of_all_that_was_gained() -> None:
    watched = Improvement(Patience(checks=2, gain=0.1, reductions=1))
    assert [watched.see(mean) for mean in (0.0, 10.0, 10.5)] == [True, True, True]
    assert watched.stale == 1 and not watched.stuck, "half a point is no gain after ten, but it is the best"
    assert watched.see(11.2) and watched.stale == 0
    assert not watched.see(11.0) and not watched.see(11.2) and watched.stuck
    assert watched.reduce() and not watched.stuck
    assert not watched.reduce()


def test_it_learns_in_chunks_and_goes_on(tmp_path: Path) -> None:
    assert [check["frames"] for check in learn(tmp_path)] == [128, 256]
    (best,) = (tmp_path / BEST).iterdir()
    assert sorted(path.suffix for path in best.iterdir()) == [".json", ".safetensors"]
    score = read_json(tmp_path / "score.json")
    assert len(score["agent"]["returns"]) == 2 and score["trained"]["all_frames"] == 256
    more = learn(tmp_path, frames=384)
    assert [check["frames"] for check in more] == [128, 256, 384]
    assert more == learn(tmp_path, frames=384), "done: nothing is learned again"


def test_it_stops_when_nothing_is_gained(tmp_path: Path) -> None:
    """Each check counts as none gained, so three of them end a learning rate, and three rates are tried."""
    checks = learn(tmp_path, frames=10_000, checks=1, gain=1e9, reductions=2)
    rates = [check["learning_rate"] for check in checks]
    assert len(checks) < 40 and rates[-1] == pytest.approx(rates[0] / 9)
    assert checks == learn(tmp_path, frames=20_000, checks=1, gain=1e9, reductions=2)


def test_it_is_scored_on_the_episodes_that_everybody_plays(tmp_path: Path) -> None:
    learn(tmp_path)
    played = play_expert(tmp_path, 3, seed=5)
    assert [p.rewards.tolist() for p in play_expert(tmp_path, 3, seed=5)] == [
        p.rewards.tolist() for p in played
    ]
    assert all(p.rewards.sum() == len(p.rewards) - p.terminated for p in played)

    class Still:
        def act(self, observation: Any, episodes: list[int]) -> np.ndarray:
            return np.zeros((len(episodes), 1), np.float32)

    real = play(Still(), EnvConfig(**ENV), 2, seed=5)
    env = make_state_env(EnvConfig(**ENV))
    for index, played in enumerate(real):
        env.reset(seed=episode_seed(5, index))
        steps = 1
        while not env.step(np.zeros(1, np.float32))[2]:
            steps += 1
        assert steps == len(played.rewards)


def test_box_actions_are_in_halves_of_their_range() -> None:
    assert make_state_env(EnvConfig("InvertedPendulum-v5", size=8)).action_space.high.tolist() == [1.0]  # type: ignore[attr-defined]


def test_what_does_not_fit_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="no multiple of the 64 frames of one rollout"):
        learn(tmp_path, every=100)
    with pytest.raises(WorldModelError, match="less than one check"):
        learn(tmp_path / "few", frames=100)
    with pytest.raises(WorldModelError, match=r"patience\.episodes is 0, expected at least 1"):
        learn(tmp_path / "none", episodes=0)
    with pytest.raises(WorldModelError, match="episodes is 0, expected at least 1"):
        expert(str(tmp_path / "unscored"), ENV, SB3, QUICK, hidden=8, episodes=0)
    with pytest.raises(WorldModelError, match=r"sb3\.num_envs is 0, expected at least 1"):
        expert(str(tmp_path / "nowhere"), ENV, {**SB3, "num_envs": 0}, QUICK)
    assert not [name for name in ("none", "unscored", "nowhere") if (tmp_path / name).exists()]
    with pytest.raises(WorldModelError, match="There is no expert in"):
        play_expert(tmp_path, 1, seed=0)
    with pytest.raises(EnvError, match="which is no state"):
        expert(str(tmp_path / "maze"), {"id": "worldmodel/Maze-v0", "size": 8}, SB3, QUICK)
    learn(tmp_path / "damaged")
    (weights,) = (tmp_path / "damaged" / BEST).rglob("sb3.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be gone on with"):
        play_expert(tmp_path / "damaged", 1, seed=0)


def test_a_rollout_is_so_many_frames() -> None:
    assert SB3Config(num_envs=3, n_steps=7).rollout == 21
