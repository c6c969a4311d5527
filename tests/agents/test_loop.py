"""The loop: what it spends, what goes on from what, and that nothing is done twice whatever stops it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from counting_data import HELD, content_hash, counting

from worldmodel import stages as stages_module
from worldmodel.agents.learning.loop import collect_frames, cycle_ends, loop
from worldmodel.cli import main
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.files import read_json, write_json

LONGEST = 12  # steps of a counting episode; the shortest has 4
COLLECT = {
    "env": counting(),
    "policy": HELD,
    "seed": 14,
    "workers": 0,
    "episodes_per_shard": 3,
}  # two are held out
COLLECT |= {"max_steps": LONGEST, "episodes": 300, "_target_": "collect", "out": "nowhere"}
SETTINGS: dict[str, Any] = {
    "env": counting(),
    "policy": HELD,
    "model": {"width": 8},
    "collect": COLLECT,
    "train": {"_target_": "train", "model": {"width": 8}, "train": {"steps": 30}, "device": None},
    "calibrate": {"_target_": "calibrate", "device": None},
    "agent": {"_target_": "agent", "frames": 70, "starts": "data", "check": {"frames": 20}, "device": None},
    "later": {"train_steps": 10, "agent_frames": None},
}
CALLS: list[tuple[str, dict[str, Any]]] = []
FAIL_AT: list[int] = []


def fake(name: str) -> Any:
    """A command that notes its arguments and leaves what the loop reads; stopped where FAIL_AT says so."""

    def run(out: str = "", **arguments: Any) -> None:
        CALLS.append((name, {"out": out, **arguments}))
        if len(CALLS) in FAIL_AT:
            raise KeyboardInterrupt
        if name != "agent":
            return
        score = {"mean": 1.0, "iqm": 1.0, "interval": [0.5, 1.5], "lengths": [3, 4], "returns": [1.0, 1.0]}
        trained = {"frames": 64, "stopped": False}
        content = {"agent": score, "random": score, "gap": None, "trained": trained}
        write_json(Path(out) / "score.json", content)
        write_json(Path(out) / "learning_curve.json", {"outside": 0.25})
        write_json(Path(out) / "exploit.json", {"real_frames": 7})

    return run


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    FAIL_AT.clear()

    def locate(target: str) -> Any:
        if not target.endswith("collect_frames"):
            return fake(target)

        def collecting(**arguments: Any) -> None:
            CALLS.append(("collect", dict(arguments)))
            collect_frames(**arguments)
            if len(CALLS) in FAIL_AT:
                raise KeyboardInterrupt

        return collecting

    monkeypatch.setattr(stages_module, "locate", locate)
    monkeypatch.setattr(
        stages_module,
        "checked_arguments",
        lambda target, config: {k: config[k] for k in config if k[0] != "_"},
    )
    monkeypatch.setattr("worldmodel.agents.learning.loop.Plan.policy", lambda self, number: HELD)


def run(out: Path, real_frames: int = 200, **changes: Any) -> dict[str, Any]:
    arguments = {**SETTINGS, "first_frames": 100, "frames_per_cycle": 50, **changes}
    return read_json(loop(str(out), real_frames=real_frames, **arguments))


def called() -> list[str]:
    return [name for name, _ in CALLS]


def test_cycles_end_at_the_budget() -> None:
    assert cycle_ends(200, 100, 50) == [100, 150, 200]
    assert cycle_ends(180, 100, 50) == [100, 150, 180]
    assert cycle_ends(170, 100, 50) == [100, 170], "less than half a cycle belongs to the last one"
    assert cycle_ends(100, 100, 50) == [100]
    with pytest.raises(WorldModelError, match="real_frames=99 is less than first_frames=100"):
        cycle_ends(99, 100, 50)
    with pytest.raises(WorldModelError, match="frames_per_cycle is 0"):
        cycle_ends(99, 10, 0)


def piece(out: Path) -> dict[str, Any]:
    return {**{k: COLLECT[k] for k in COLLECT if k not in ("_target_", "episodes")}, "out": str(out)}


def test_collecting_never_spends_more_and_leaves_less_than_an_episode(tmp_path: Path) -> None:
    dataset = collect_frames(frames=100, **piece(tmp_path / "data" / "000"))
    assert 100 - LONGEST < dataset.transitions <= 100
    assert EpisodeDataset(tmp_path / "data").transitions == dataset.transitions, "a piece of all data"


def test_collecting_that_was_killed_goes_on_to_the_same_episodes(tmp_path: Path) -> None:
    collect_frames(frames=100, **piece(tmp_path / "whole" / "000"))
    parts = piece(tmp_path / "parts" / "000")
    collect(**{**parts, "episodes": 100 // LONGEST})
    (tmp_path / "parts" / "000" / "shards" / "00002" / "frames.npy").unlink()
    collect_frames(frames=100, **parts)
    assert content_hash(tmp_path / "whole" / "000") == content_hash(tmp_path / "parts" / "000")
    again = content_hash(tmp_path / "parts" / "000")
    collect_frames(frames=100, **parts)
    assert content_hash(tmp_path / "parts" / "000") == again


def test_world_and_agent_go_on_from_what_they_know(tmp_path: Path) -> None:
    content = run(tmp_path)
    assert called() == ["collect", "train", "calibrate", "agent"] * 3
    train, agent = ([arguments for name, arguments in CALLS if name == kind] for kind in ("train", "agent"))
    world, learner = (str(tmp_path / kind) for kind in ("world", "agent"))
    assert [a.get("weights") for a in train] == [None, f"{world}/000", f"{world}/001"]
    assert [a["out"] for a in train] == [f"{world}/00{n}" for n in range(3)]
    assert [a["train"]["steps"] for a in train] == [30, 10, 10]
    assert [a.get("weights") for a in agent] == [None, f"{learner}/000", f"{learner}/001"]
    assert [a["checkpoint"] for a in agent] == [f"{world}/00{n}" for n in range(3)]
    assert {a["frames"] for a in agent} == {70} and {a["starts"] for a in agent} == {str(tmp_path / "data")}
    seeds = [arguments["seed"] for name, arguments in CALLS if name == "collect"]
    assert seeds == [14, 15, 16], "never the same episodes"
    assert EpisodeDataset(tmp_path / "data").transitions == sum(c["collected"] for c in content["cycles"])


def test_the_budget_holds_collecting_and_checks_but_not_scoring(tmp_path: Path) -> None:
    content = run(tmp_path)
    for number, cycle in enumerate(content["cycles"]):
        assert cycle["real_frames"] == sum(
            c["collected"] + c["checked"] for c in content["cycles"][: number + 1]
        )
        assert cycle["real_frames"] <= (100, 150, 200)[number]
        assert cycle["checked"] == 7 and cycle["scored"] == 14
    used = [arguments["frames"] for name, arguments in CALLS if name == "collect"]
    assert used[0] == 80, "20 are kept for the checks"
    assert used[1] == 150 - 20 - content["cycles"][0]["real_frames"], "what checks left over is collected"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("place", [1, 4, 5, 7])
def test_stopped_anywhere_it_goes_on_there(tmp_path: Path, place: int) -> None:
    whole = run(tmp_path / "whole", 150)
    CALLS.clear()
    FAIL_AT.append(place)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", 150)
    before = called()
    FAIL_AT.clear()
    CALLS.clear()
    parts = run(tmp_path / "parts", 150)
    assert before[-1:] + called()[1:] == (["collect", "train", "calibrate", "agent"] * 2)[place - 1 :]
    assert parts["cycles"] == whole["cycles"]


def test_more_frames_are_more_cycles_and_other_settings_are_refused(tmp_path: Path) -> None:
    first = run(tmp_path, 150)
    CALLS.clear()
    more = run(tmp_path, 200)
    assert called() == ["collect", "train", "calibrate", "agent"]
    assert more["cycles"][:2] == first["cycles"] and len(more["cycles"]) == 3
    with pytest.raises(WorldModelError, match=r"was started with frames_per_cycle=50, not 100"):
        run(tmp_path, 200, frames_per_cycle=100)
    assert len(called()) == 4


def test_frames_that_a_finished_last_cycle_cannot_use_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, 200)
    assert "left over" not in capsys.readouterr().err
    calls = len(CALLS)
    run(tmp_path, 224)
    said = capsys.readouterr().err
    assert len(CALLS) == calls and "give real_frames=225 or more for another one" in said


def test_too_few_episodes_to_calibrate_on_are_found_before_training(tmp_path: Path) -> None:
    settings = {"first_frames": 26, "agent": {**SETTINGS["agent"], "check": None}}
    with pytest.raises(WorldModelError, match="fewer than two are held out, too few to calibrate") as error:
        run(tmp_path / "a", 26, **settings)
    assert called() == ["collect"] and "\n" not in str(error.value)
    run(tmp_path / "b", 26, **settings, calibrated=False)
    assert called() == ["collect", "collect", "train", "agent"]


def test_what_cannot_work_is_one_sentence_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="may not hold one episode of 12 steps"):
        run(tmp_path, 150, frames_per_cycle=30)  # 20 of them for checks
    with pytest.raises(WorldModelError, match="env is set for the whole loop"):
        run(tmp_path, 150, env=counting(discrete=True))
    assert not called() and not list(tmp_path.iterdir())


@pytest.mark.slow  # OMP_NUM_THREADS=1 pytest -m slow tests/agents/test_loop.py: about 15 s
def test_a_whole_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert main(["agent", "loop", "loop=debug", "device=cpu", f"out={tmp_path}"]) == 0
    content = read_json(tmp_path / "loop.json")
    assert [cycle["real_frames"] for cycle in content["cycles"]] == [800, 900]
    policy = EpisodeDataset(tmp_path / "data").manifest.policy["pieces"]["001"]["policy"]
    assert policy["path"].endswith("agent/000") and policy["random_share"] == 0.2
