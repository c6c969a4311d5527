"""The same moment under different actions, for dreams whose answer is known."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting_data import HELD
from dot_env import ACTIONS, DotDream, draw, find, move

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.futures import Futures, draw_futures
from worldmodel.evaluation.moments.reality import Simulator
from worldmodel.evaluation.pixels.counterfactual import (
    Counterfactual,
    constant_actions,
    measure_counterfactual,
)
from worldmodel.evaluation.psnr import CEILING
from worldmodel.spaces import ActionCodec


def dots(folder: Path, **kwargs: Any) -> EpisodeDataset:
    env = {"id": "dot_env:Dot-v0", "size": 16, "kwargs": kwargs}
    collect(env, HELD, folder, episodes=6, seed=1, workers=0)
    return EpisodeDataset(folder)


def moments(dataset: EpisodeDataset, steps: int = 5) -> Futures:
    return draw_futures(dataset, np.arange(dataset.episodes), 3, steps, count=6, seed=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    return dots(tmp_path_factory.mktemp("dots") / "data")


def measured(speed: float, dataset: EpisodeDataset) -> Counterfactual:
    dream: Any = DotDream(speed)
    return measure_counterfactual(dream, dataset, moments(dataset))


def test_an_exact_dream_responds_as_reality_does(dataset: EpisodeDataset) -> None:
    found = measured(2.0, dataset)
    assert found.real is not None and found.response is not None
    assert torch.equal(found.dream, found.real.frames)
    assert found.response.gain == pytest.approx([1.0] * 5)
    assert found.response.explained == pytest.approx([1.0] * 5)
    assert found.response.psnr == pytest.approx([CEILING] * 5)
    assert found.response.pairs == [6 * 10] * 5


def test_a_deaf_dream_does_not_respond(dataset: EpisodeDataset) -> None:
    found = measured(0.0, dataset)
    assert found.response is not None
    assert found.dream_separation == [0.0] * 5
    assert found.response.gain == [0.0] * 5 and found.response.explained == [0.0] * 5
    assert all(distance > 0 for distance in found.response.real)  # type: ignore[operator]


def test_a_dream_that_goes_the_other_way_is_worse_than_a_deaf_one(dataset: EpisodeDataset) -> None:
    found = measured(-2.0, dataset)
    assert found.response is not None
    assert found.response.explained[0] < -0.5  # type: ignore[operator]


def test_reality_starts_where_the_context_ended(dataset: EpisodeDataset) -> None:
    """Time: the first branch frame is one step after the last context frame, not the same moment nor two later."""
    found, futures = measured(2.0, dataset), moments(dataset)
    codec = ActionCodec(ACTIONS)
    _, constants = constant_actions(codec, 0)
    assert found.real is not None
    for b in range(len(futures)):
        start = find(futures.context_frames[b, -1].numpy())
        for k, action in enumerate(codec.decode(constants.numpy())):
            assert np.array_equal(found.real.frames[b, k, 0], draw(*move(*start, action)))


def test_a_state_and_a_replay_lead_to_the_same_moment(dataset: EpisodeDataset, tmp_path: Path) -> None:
    by_state, by_replay = measured(2.0, dataset), measured(2.0, dots(tmp_path / "data", state=False))
    assert by_state.real is not None and by_replay.real is not None
    assert (by_state.real.restored_by, by_replay.real.restored_by) == ("state", "replay")
    assert torch.equal(by_state.real.frames, by_replay.real.frames)


def test_an_environment_that_cannot_be_brought_back_is_said_to_be_one(tmp_path: Path) -> None:
    """It starts elsewhere in spite of its seed: showing that beside the dream would compare different moments."""
    found = measured(2.0, dots(tmp_path / "data", state=False, replays=False))
    assert found.real is None and found.response is None
    assert "does not come back to a recorded picture" in found.reason
    assert found.dream_separation[0] > 0


def test_a_time_limit_ends_a_branch_unless_it_is_to_be_passed(dataset: EpisodeDataset) -> None:
    still = np.tile(np.array([[0.0, 0.0]], np.float32), (30, 1))
    with Simulator(dataset) as simulator:
        for past_limit, steps in ((False, 20), (True, 30)):
            simulator.bring_back(0, 0)
            assert simulator.play(still, past_limit)[1].sum() == steps


def test_branches_that_ended_are_not_compared_any_more(tmp_path: Path) -> None:
    dataset = dots(tmp_path / "data", ends=True)
    dream: Any = DotDream(2.0)
    futures = draw_futures(dataset, np.arange(dataset.episodes), 3, 8, count=4, seed=2)
    found = measure_counterfactual(dream, dataset, futures)
    assert found.real is not None and found.response is not None
    right = found.names.index("(1, 0)")
    alive = found.real.alive[:, right]
    assert alive[:, 0].all() and not alive[:, -1].any()
    for b in range(4):
        last = int(alive[b].sum()) - 1
        frames = found.real.frames[b, right]
        assert find(frames[last].numpy())[0] == 13, "the frame that ended it is shown"
        assert all(torch.equal(frame, frames[last]) for frame in frames[last:])
    assert found.response.pairs[-1] < found.response.pairs[0]


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (ACTIONS, ["(0, 0)", "(1, 0)", "(-1, 0)", "(0, 1)", "(0, -1)"]),
        (gym.spaces.Box(-2.0, 6.0, (1,), np.float32), ["(2)", "(6)", "(-2)"]),
        (gym.spaces.Discrete(3, start=5), ["action 5", "action 6", "action 7"]),
    ],
)
def test_the_compared_actions_are_ends_or_choices(space: gym.Space, names: list[str]) -> None:
    found, encoded = constant_actions(ActionCodec(space), seed=0)
    assert found == names
    assert encoded.shape == (len(names), ActionCodec(space).size)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Discrete(18),
        gym.spaces.Box(-1.0, 1.0, (17,), np.float32),
        gym.spaces.MultiDiscrete([3, 4]),
        gym.spaces.MultiBinary(5),
        gym.spaces.Dict({"move": gym.spaces.Box(-1, 1, (2,), np.float32), "fire": gym.spaces.Discrete(2)}),
    ],
)
def test_every_space_has_a_few_valid_actions_to_compare(space: gym.Space) -> None:
    codec = ActionCodec(space)
    names, encoded = constant_actions(codec, seed=0)
    assert 2 <= len(names) == len(encoded) <= 8
    for stored in codec.decode(encoded.numpy()):
        codec.check(codec.restore(stored))
