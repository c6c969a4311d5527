"""An agent on features through all commands that take one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.agents.storage import load_policy
from worldmodel.cli import main
from worldmodel.files import atomic_directory, read_json
from worldmodel.model.checkpoint import save_world_model
from worldmodel.model.world_model import WorldModel

QUICK = ["frames=64", "num_worlds=4", "horizon=4", "ppo.rollout_steps=4", "ppo.epochs=1", "ppo.minibatches=1"]
QUICK += ["network.hidden=8", "episodes=2", "device=cpu"]


def short_world(folder: Path, shift: float = 0.0) -> Path:
    """A checkpoint of a world whose episodes are over soon; shift: makes other weights of it."""
    tiny = tiny_world_model()
    with torch.no_grad():
        tiny.network.termination.bias.add_(shift)
    env = replace(tiny.world.env, kwargs={"max_episode_steps": 10})
    with atomic_directory(folder) as temporary:
        save_world_model(WorldModel(tiny.dynamics, replace(tiny.world, env=env), tiny.contexts), temporary)
    return folder


def learn(out: Path, *overrides: str) -> int:
    return main(["agent", "train", f"out={out}", *QUICK, *overrides])


def test_an_agent_on_features_in_both_worlds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = short_world(tmp_path / "world")
    sight = [f"checkpoint={checkpoint}", "observation=features"]
    run, push = tmp_path / "run", [f"checkpoint={checkpoint}", "device=cpu"]
    checks = ["check.frames=400", "check.every=2", "check.episodes=2", "snapshots=2"]
    assert learn(run, *sight, *checks) == 0
    policy = load_policy(run / "policy")
    assert policy.features == 16 and policy.world is not None
    policy.world.check(str(checkpoint))
    assert read_json(run / "exploit.json")["rows"] and read_json(run / "score.json")["gap"]["pairs"] == 2
    assert load_policy(sorted((run / "snapshots").glob("[0-9]*"))[0]).world == policy.world
    scored = ["agent", "score", f"policy.path={run}", f"out={tmp_path / 'score'}", "episodes=2", *push]
    assert main(scored) == 0
    watched = [
        "agent",
        "watch",
        f"policy.path={run}",
        f"out={tmp_path / 'watch'}",
        "starts=1",
        "steps=8",
        *push,
    ]
    assert main(watched) == 0
    planned = [
        "agent",
        "plan",
        f"critic={run}",
        f"out={tmp_path / 'plan'}",
        "episodes=1",
        "gap_episodes=1",
        *push,
    ]
    planned += ["planner.actions=1", "planner.hold=1", "planner.candidates=3", "planner.elites=1"]
    assert main([*planned, "planner.iterations=1", "precision=bfloat16"]) == 0
    assert learn(tmp_path / "second", *sight, f"weights={run}", "frames=16") == 0
    capsys.readouterr()
    assert learn(tmp_path / "third", f"checkpoint={checkpoint}", f"weights={run}") == 2
    assert "other frames or other actions" in capsys.readouterr().err
    wrong = f"checkpoint={short_world(tmp_path / 'other', shift=1.0)}"
    for command in (scored, planned):
        assert main([wrong if word.startswith("checkpoint=") else word for word in command]) == 2
        assert "features of another world model than" in capsys.readouterr().err
