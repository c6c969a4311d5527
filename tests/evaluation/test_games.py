"""Games come back to a moment as often as they are asked to, with as much time left as before."""

from pathlib import Path

import numpy as np
import pytest
from counting_data import HELD

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.reality import Simulator


@pytest.mark.parametrize(("ignored", "way"), [([], "state"), (["state"], "replay")])
def test_no_future_uses_up_the_time_or_the_chance_of_the_next(
    ignored: list[str], way: str, tmp_path: Path
) -> None:
    """The maze's limit is 200 steps, which a counter outside of its state counts."""
    env = {"id": "worldmodel/Maze-v0", "size": 16}
    collect(env, HELD, tmp_path / "data", episodes=2, seed=2, workers=0, ignore_info=ignored)
    dataset, played = EpisodeDataset(tmp_path / "data"), []
    with Simulator(dataset) as simulator:
        for _ in range(70):
            simulator.bring_back(0, 2)
            played.append(simulator.play(np.zeros(40, np.int64)))
    assert played[0][1].sum() > 3 and simulator.restored_by == way
    assert all(np.array_equal(alive, played[0][1]) for _, alive in played)
    assert all(np.array_equal(frames, played[0][0]) for frames, _ in played)
