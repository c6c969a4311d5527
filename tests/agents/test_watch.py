"""Watching: the same starts in both worlds, each frame where it belongs, and the files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from counting_dream import CONTEXT, CountingDream
from counting_env import SIZE, read
from gymnasium import spaces
from remembering_policy import Remembers
from tiny_world import tiny_world_model

from worldmodel.agents.tasks.excursion import both_worlds
from worldmodel.cli import main
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_directory, read_json
from worldmodel.model.checkpoint import save_world_model
from worldmodel.real_env import EnvConfig

HELD = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 3}


class WideDream(CountingDream):
    """With frames of the counting environment's size."""

    def step(self, state, action, num_inference_steps=None):
        step = super().step(state, action)
        state.last = step.frame.repeat_interleave(SIZE // 8, 2).repeat_interleave(SIZE // 8, 3)
        return replace(step, frame=state.last)


@pytest.fixture
def model() -> CountingDream:
    """A dream of the counting environment."""
    made = WideDream(spaces.Box(-2.0, 4.0, (3,), np.float32))
    made.world.env = EnvConfig("counting_env:Counting-v0", size=SIZE)
    return made


def test_both_worlds_begin_with_the_same_frames(model: CountingDream) -> None:
    Remembers.seen.clear()
    policy = {"_target_": "remembering_policy.Remembers"}
    pairs = both_worlds(model, policy, 2, 6, 1, seed=3)  # type: ignore[arg-type]
    for k, pair in enumerate(pairs):
        seeds, steps = read(pair.context)
        assert steps.tolist() == list(range(CONTEXT)) and len(set(seeds.tolist())) == 1
        np.testing.assert_array_equal(pair.real.frames[0], pair.context[-1])
        np.testing.assert_array_equal(pair.dream.frames[0], pair.context[-1])
        assert read(pair.real.frames)[1].tolist()[:3] == [CONTEXT - 1, CONTEXT, CONTEXT + 1]
        assert len(pair.real.rewards) == len(pair.real.frames) - 1
        assert pair.real.returns[0] == 0 and len(pair.real.returns) == len(pair.real.frames)
        dreamer = Remembers.seen[2 + k]
        (
            np.testing.assert_array_equal(np.stack(dreamer[:CONTEXT]), pair.context),
            "it was shown the context first",
        )
        np.testing.assert_array_equal(dreamer[CONTEXT], pair.dream.frames[1])


def test_a_dream_ends_where_it_says_so(model: CountingDream) -> None:
    model.ends_at = 1  # every number is a multiple of it
    pairs = both_worlds(model, HELD, 1, 6, 1, seed=3)  # type: ignore[arg-type]
    assert pairs[0].dream.ended and len(pairs[0].dream.rewards) == 1 and len(pairs[0].dream.frames) == 2


def test_episodes_shorter_than_a_context_are_named(model: CountingDream) -> None:
    with pytest.raises(WorldModelError, match="longer than the context of 3 frames"):
        both_worlds(model, HELD, 1, 2, 1, seed=3)  # type: ignore[arg-type]


def test_the_command_writes_a_page_with_videos_and_numbers(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    with atomic_directory(tmp_path / "world") as temporary:
        save_world_model(tiny_world_model(), temporary)
    arguments = ["starts=2", "steps=8", "device=cpu", f"out={tmp_path / 'out'}"]
    assert main(["agent", "watch", "policy=held", f"checkpoint={tmp_path / 'world'}", *arguments]) == 0
    numbers = read_json(tmp_path / "out" / "watch.json")
    assert len(numbers["starts"]) == 2
    for row in numbers["starts"]:
        assert row["real_return"] == pytest.approx(sum(row["real_rewards"]))
        assert len(row["psnr"]) == min(len(row["real_rewards"]), len(row["dream_rewards"]))
    text = (tmp_path / "out" / "watch.html").read_text()
    assert text.count("<video") == 4 and "http" not in text.replace("http://www.w3.org", "")
    for name in ("start-1", "start-2", "real", "dream"):
        assert (tmp_path / "out" / f"{name}.mp4").stat().st_size > 500


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "watch", "policy=held", "checkpoint=push", "starts=0", f"out={tmp_path}"]) == 2
    assert "starts is 0, expected at least 1" in capsys.readouterr().err
