"""PPO of Stable-Baselines3 on pixels: exactly so many frames, what it sees, and that our agent is the same one."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting_env import SIZE, read

pytest.importorskip("stable_baselines3", reason="the extra [sb3] is not installed")

from worldmodel.agents.baselines.sb3_learner import SB3Config, SB3Learner
from worldmodel.agents.baselines.sb3_pixels import TwoFrames, _learner, as_actor_critic, sb3
from worldmodel.agents.learning.snapshots import Snapshots, score_snapshots
from worldmodel.agents.learning.storage import load_policy
from worldmodel.errors import WorldModelError
from worldmodel.files import read_json
from worldmodel.frames import frames_to_float
from worldmodel.real_env import EnvConfig

ENV = {"id": "worldmodel/Push-v0", "size": 16}
SB3 = {"num_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 1}
NETWORK = {"channels": 4, "hidden": 8}


def learn(out: Path, frames: int = 128, **arguments: Any) -> Path:
    settings = {"network": NETWORK, "episodes": 2, "snapshots": 2, **arguments}
    return sb3(str(out), ENV, frames, SB3, **settings)


def test_it_sees_what_agents_of_ours_see() -> None:
    env = TwoFrames(EnvConfig("counting_env:Counting-v0", size=SIZE).make())
    seen, info = env.reset(seed=1)
    assert env.observation_space.contains(seen) and info == {}
    shown = [read(part)[1].item() for part in (seen[..., :3], seen[..., 3:])]
    assert shown == [0, 0]
    for step in range(1, 4):
        seen, *_, info = env.step(np.zeros(3, np.float32))
        assert [read(part)[1].item() for part in (seen[..., :3], seen[..., 3:])] == [step, step - 1]
        assert info == {}


def test_exactly_so_many_frames_scored_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    step = TwoFrames.step
    monkeypatch.setattr(TwoFrames, "step", lambda self, action: steps.append(1) or step(self, action))
    score = read_json(learn(tmp_path))
    assert len(steps) == 128
    assert len(score["agent"]["returns"]) == 2 and score["trained"]["real_frames"] == 128
    rows = read_json(tmp_path / "learning_curve.json")["rows"]
    assert [row["frames"] for row in rows] == [32, 64, 96, 128]
    assert [path.name for path in sorted((tmp_path / "snapshots").iterdir())] == [
        f"{n:012d}" for n in (64, 128)
    ]
    scored = score_snapshots(tmp_path / "snapshots", ENV, 1, 3, tmp_path / "curve.json")
    assert [snapshot.frames for snapshot in scored] == [64, 128]
    last, kept = (load_policy(tmp_path / name) for name in ("policy", f"snapshots/{128:012d}"))
    for one, other in zip(last.parameters(), kept.parameters(), strict=True):
        assert torch.equal(one, other)
    learn(tmp_path)
    assert len(steps) == 128, "done: nothing is learned again"
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".zip", ".pkl", ".pth")]


@pytest.mark.parametrize(
    "env", [{"id": "worldmodel/Push-v0", "size": 16}, {"id": "worldmodel/Maze-v0", "size": 16}]
)
def test_the_agent_of_ours_is_the_same_one(env: dict[str, Any]) -> None:
    config = EnvConfig(**env)
    with _learner(config, SB3Config(**SB3), NETWORK, seed=0) as learner:
        learner.learn(64)
        ours = as_actor_critic(learner, config, NETWORK)
        pictures = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 6), np.uint8)
        frames = [frames_to_float(torch.from_numpy(part)) for part in (pictures[..., :3], pictures[..., 3:])]
        with torch.no_grad():
            outlook = ours(torch.cat(frames, dim=1))
            theirs = learner.model.policy.obs_to_tensor(pictures)[0]
            value = learner.model.policy.predict_values(theirs)[:, 0]
        scale = np.sqrt(learner.envs.ret_rms.var + learner.envs.epsilon)
        torch.testing.assert_close(outlook.value, value * scale, atol=1e-4, rtol=1e-4)
        chosen, mode = learner.act(pictures), outlook.actions.mode()
        if isinstance(ours.action_space, gym.spaces.Box):
            np.testing.assert_allclose(mode.clamp(-1, 1).numpy(), chosen, atol=1e-4)
            assert torch.equal(ours.actor[2].log_std, learner.model.policy.log_std)  # type: ignore[union-attr]
        else:
            assert mode.argmax(-1).tolist() == chosen.tolist()


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldmodel.agents.baselines.sb3_pixels.SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    calls: list[int] = []
    rollout = SB3Learner.learn

    def stopped(self: SB3Learner, frames: int) -> None:
        calls.append(frames)
        if len(calls) == 3:
            raise KeyboardInterrupt
        rollout(self, frames)

    monkeypatch.setattr(SB3Learner, "learn", stopped)
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path, final_learning_rate=1e-5)
    assert not (tmp_path / "score.json").exists()
    learn(tmp_path, final_learning_rate=1e-5)
    assert len(calls) == 5, "two rollouts, the one that was stopped, and the two that were missing"
    assert [row["frames"] for row in read_json(tmp_path / "learning_curve.json")["rows"]] == [32, 64, 96, 128]
    with pytest.raises(WorldModelError, match="was started with final_learning_rate="):
        learn(tmp_path)


def test_what_does_not_fit_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="frames=100 is no multiple of the 32 frames of one rollout"):
        learn(tmp_path, frames=100)
    with pytest.raises(WorldModelError, match="only Box and Discrete actions from 0 on"):
        sb3(
            str(tmp_path),
            {"id": "counting_env:Counting-v0", "size": 16, "kwargs": {"discrete": True}},
            64,
            SB3,
        )
    with pytest.raises(WorldModelError, match="are spaced by frames"):
        Snapshots.within(tmp_path, 3, None)
