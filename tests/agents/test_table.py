"""The table: which stages a row needs, that none is done twice, what tasks change, and what the results say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stable_baselines3", reason="the extra [sb3] is not installed")

from worldmodel import stages
from worldmodel.agents.tasks import table_results
from worldmodel.agents.tasks.table import ROWS, Plan, Task, merged, table
from worldmodel.arguments import locate
from worldmodel.cli import main
from worldmodel.errors import WorldModelError
from worldmodel.files import read_json, write_json
from worldmodel.overrides import compose

RETURNS = {"random": 0.0, "dream": 9.0, "sb3": 4.0, "real": 3.0, "expert": 10.0, "planner": 6.0}


def settings(out: Path, *words: str) -> dict[str, Any]:
    config = compose("agent_table", ["table=debug", f"out={out}", *words])
    return {key: value for key, value in config.items() if key != "_target_"}


def plan(out: Path, *words: str, name: str = "push") -> Plan:
    given = settings(out, *words)
    configs = {key: given[key] for key in ("collect", "train", "calibrate", *ROWS) if key != "random"}
    task = Task(**given["task"][name])
    return Plan(out / name, name, task, configs, given["seeds"], given["episodes"], given["curve"])


def names(found: list[stages.Stage]) -> list[str]:
    return [stage.name for stage in found]


def test_a_row_needs_its_own_stages_and_the_world_it_dreams_in(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert names(made.stages(["expert"])) == ["expert"]
    world = ["collect", "train", "calibrate"]
    assert names(made.stages(["planner"])) == [*world, "planner"]
    assert names(made.stages(["dream", "random"])) == [
        *world, "random", "dream-0", "curve-dream-0", "dream-1", "curve-dream-1",
    ]  # fmt: skip
    assert names(made.stages(ROWS))[-2:] == ["expert", "planner"]


def test_every_task_of_the_full_table_fits_its_commands(tmp_path: Path) -> None:
    given = {key: value for key, value in compose("agent_table", []).items() if key != "_target_"}
    configs = {key: given[key] for key in ("collect", "train", "calibrate", *ROWS) if key != "random"}
    for name, fields in given["task"].items():
        made = Plan(tmp_path / name, name, Task(**fields), configs, 3, 50, given["curve"])
        made.check(ROWS)
        found = {stage.name: stage.config for stage in made.stages(ROWS)}
        assert found["sb3-0"]["frames"] % (8 * 125) == 0, "PPO of Stable-Baselines3 learns in whole rollouts"
        if made.task.loop is None:
            assert found["collect"]["frames"] == found["sb3-0"]["frames"] == found["real-2"]["frames"]
    assert set(given["tasks"]) <= set(given["task"])


def test_what_a_task_changes(tmp_path: Path) -> None:
    made = plan(
        tmp_path, "+task.push.stages.train={train: {steps: 7}}", "+task.push.stages.dream={frames: 64}"
    )
    found = {stage.name: stage.config for stage in made.stages(ROWS)}
    assert found["train"]["train"]["steps"] == 7 and found["train"]["train"]["batch_size"] == 2
    assert found["dream-1"]["frames"] == 64 and found["dream-1"]["seed"] == 1
    assert merged({"policy": {"_target_": "a", "x": 1}}, {"policy": {"_target_": "b"}}) == {
        "policy": {"_target_": "b"}
    }


def test_agents_of_the_table_may_dream_in_bfloat16(tmp_path: Path) -> None:
    made = plan(tmp_path, "dream.precision=bfloat16", "planner.precision=bfloat16")
    made.check(["dream", "planner"])
    found = {stage.name: stage.config for stage in made.stages(ROWS)}
    assert found["dream-0"]["precision"] == found["planner"]["precision"] == "bfloat16"


def test_an_expert_on_pixels_gets_ten_times_the_frames(tmp_path: Path) -> None:
    (stage,) = plan(tmp_path, "task.push.ceiling=pixels").stages(["expert"])
    assert stage.config["_target_"].endswith("sb3_pixels.sb3")
    assert stage.config["frames"] == 200_000
    made = plan(tmp_path, "task.push.ceiling=pixels", "+task.push.ceiling_frames=1000000")
    assert made.stages(["expert"])[0].config["frames"] == 1_000_000
    assert made.stages(["sb3"])[0].config["frames"] == 20_000


def test_a_world_learned_in_a_loop(tmp_path: Path) -> None:
    loop = "task.push.loop={first_frames: 10000, frames_per_cycle: 5000, later: {train_steps: 9}}"
    made = plan(tmp_path, f"+{loop}")
    found = {stage.name: stage.config for stage in made.stages(["dream"])}
    assert next(iter(found)) == "world" and "collect" not in found
    assert found["world"]["real_frames"] == 20_000 and found["world"]["later"] == {"train_steps": 9}
    assert found["dream-0"]["checkpoint"] == str(tmp_path / "push" / "loop" / "world" / "002")
    made.check(["dream"])


def test_the_agents_of_a_loop_may_dream_less(tmp_path: Path) -> None:
    loop = "task.push.loop={first_frames: 10000, frames_per_cycle: 5000, agent: {frames: 777, ppo: {gamma: 0.5}}}"
    found = {stage.name: stage.config for stage in plan(tmp_path, f"+{loop}").stages(["dream"])}
    inside, scored = found["world"]["agent"], found["dream-0"]
    assert (inside["frames"], inside["ppo"]["gamma"]) == (777, 0.5)
    assert scored["frames"] != 777 and scored["ppo"] == {**inside["ppo"], "gamma": scored["ppo"]["gamma"]}
    with pytest.raises(WorldModelError, match="no key push: world"):
        plan(tmp_path, f"+{loop.replace('frames: 777', 'frame: 777')}").check(["dream"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages leave a score instead of doing their work."""
    called: list[str] = []

    def fake(out: str | None, folder: str = "", **arguments: Any) -> None:
        if out is None:  # to calibrate leaves no folder
            return
        name = Path(out).stem if folder == "" else f"{Path(folder).parent.name} curve"
        called.append(name)
        row = name.partition("-")[0]
        if folder:
            rows = [{"frames": n, "seconds": 60.0 * n, "returns": [2.0 * n, 4.0 * n]} for n in (1, 2, 3)]
            write_json(out, {"rows": rows})
        elif row in RETURNS:
            best = RETURNS[row]
            gap = {"difference": 1.0} if row != "expert" else None
            trained = {"frames": 64, "seconds": 120.0, "real_frames": 30}
            score = {"returns": [best - 1, best, best, best + 1], "terminated_share": 0.5}
            write_json(Path(out) / "score.json", {"agent": score, "gap": gap, "trained": trained})

    monkeypatch.setattr(stages, "locate", lambda target: fake)
    monkeypatch.setattr(stages, "checked_arguments", lambda target, config: without_target(config))

    class Collected:
        transitions = 500

        def __init__(self, path: Path, verify: bool) -> None:
            assert path.name == "data"

    monkeypatch.setattr(table_results, "EpisodeDataset", Collected)
    return called


def without_target(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "_target_"}


def test_rows_come_one_after_another_and_none_twice(tmp_path: Path, calls: list[str]) -> None:
    table(**settings(tmp_path, "rows=[random,expert]"))
    first = list(calls)
    table(**settings(tmp_path, "rows=[random,expert,dream,sb3]"))
    again = calls[len(first) :]
    assert first == ["data", "world", "random", "expert"]
    assert [name for name in again if "curve" not in name] == ["dream-0", "dream-1", "sb3-0", "sb3-1"]
    with pytest.raises(WorldModelError, match=r"was started with stages\.expert\.hidden=64, not 8"):
        table(**settings(tmp_path, "expert.hidden=8"))


def test_what_the_results_say(tmp_path: Path, calls: list[str]) -> None:
    page = table(**settings(tmp_path))
    content = read_json(tmp_path / "table.json")
    (task,) = content["tasks"]
    assert task["scale"] == [0.0, 10.0]
    shares = {row: entry["normalised"]["iqm"] for row, entry in task["rows"].items()}
    assert shares == pytest.approx(
        {"random": 0, "dream": 0.9, "sb3": 0.4, "real": 0.3, "expert": 1, "planner": 0.6}
    )
    assert task["rows"]["dream"]["runs"] == 2 and task["rows"]["dream"]["episodes"] == 4
    assert task["rows"]["dream"]["real_frames"] == 530 and task["rows"]["sb3"]["real_frames"] == 30
    assert content["over_tasks"]["dream"]["iqm"] == pytest.approx(0.9)
    assert content["over_tasks"]["dream"]["interval"] is not None
    assert content["over_tasks"]["planner"]["interval"] is None, "of one run nothing can be drawn"
    reached = [curve["reached"]["seconds"] for curve in task["curves"]["sb3"]]
    assert reached == [180.0, 180.0], "3, 6 and 9 are the means; 8 is wanted"
    assert task["curves"]["dream"][0]["reached"]["seconds"] > 180.0, "the world's time comes first"
    text = page.read_text()
    assert "1 of 1" in text and text.count("<svg") == 2 and "(b) trained in the dream alone" in text


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        WorldModelError, match=r"there is no task 'pusj' \(did you mean 'push'\?\); tasks: push"
    ):
        table(**settings(tmp_path, "tasks=[pusj]"))
    with pytest.raises(WorldModelError, match=r"there is no row 'dreams'"):
        table(**settings(tmp_path, "rows=[dreams]"))
    with pytest.raises(WorldModelError, match="ceiling_frames is for ceiling=pixels"):
        table(**settings(tmp_path, "+task.push.ceiling_frames=1000"))
    with pytest.raises(WorldModelError, match="ceiling is 'sky', expected state or pixels"):
        table(**settings(tmp_path, "task.push.ceiling=sky"))
    with pytest.raises(WorldModelError, match=r"push: train\.train must be a mapping of keys, not 3"):
        table(**settings(tmp_path, "+task.push.stages.train={train: 3}"))
    with pytest.raises(WorldModelError, match=r"there is no stage 'trian' \(did you mean 'train'\?\)"):
        table(**settings(tmp_path, "+task.push.stages.trian={train: {steps: 3}}"))
    with pytest.raises(WorldModelError, match=r"task\.loop lacks frames_per_cycle"):
        table(**settings(tmp_path, "task.push.loop={first_frames: 100}"))
    with pytest.raises(WorldModelError, match="frames=500 is no multiple of the 128 frames of one rollout"):
        table(**settings(tmp_path, "frames=500"))
    with pytest.raises(WorldModelError, match="at least one task, row, seed and episode"):
        table(**settings(tmp_path, "rows=[]"))
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_it_runs_what_the_commands_name() -> None:
    config = compose("agent_table", [])
    assert locate(config["_target_"]) is table


@pytest.mark.slow
def test_the_whole_table(tmp_path: Path) -> None:
    """About a minute: `pytest -m slow tests/agents/test_table.py`."""
    words = ["agent", "table", "table=debug", f"out={tmp_path}"]
    assert main(words) == 0
    first = read_json(tmp_path / "table.json")
    assert sorted(first["tasks"][0]["rows"]) == sorted(ROWS)
    assert main(words) == 0
    again = read_json(tmp_path / "table.json")
    assert again["tasks"] == first["tasks"], "nothing was done again"
