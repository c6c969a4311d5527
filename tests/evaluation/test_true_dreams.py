"""Dreams that are the simulator itself, and the same dreams spoilt: every measurement must tell them apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_data import HELD
from oracle_dream import OracleDream
from tiny_world import tiny_world_model

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError, EnvError
from worldmodel.evaluation.moments.futures import draw_futures
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.pixels.chance import Chance, measure_chance
from worldmodel.evaluation.pixels.colours import Palette, learn_palette
from worldmodel.evaluation.pixels.long_dreams import LongDreams, measure_long_dreams
from worldmodel.evaluation.pixels.memory import COPY, FULL, GUESS, Permanence, limited, measure_permanence
from worldmodel.evaluation.pixels.occlusions import find_occlusions

SIZE, CONTEXT, STEPS = 24, 3, 30


def collected(folder: Path, env_id: str, episodes: int) -> EpisodeDataset:
    collect({"id": env_id, "size": SIZE}, HELD, folder, episodes=episodes, seed=1, workers=0)
    return EpisodeDataset(folder)


@pytest.fixture(scope="module")
def hide(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    return collected(tmp_path_factory.mktemp("hide") / "data", "worldmodel/Hide-v0", 40)


@pytest.fixture(scope="module")
def maze(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    return collected(tmp_path_factory.mktemp("maze") / "data", "worldmodel/Maze-v0", 20)


@pytest.fixture(scope="module")
def push(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    return collected(tmp_path_factory.mktemp("push") / "data", "worldmodel/Push-v0", 12)


@pytest.fixture(scope="module")
def push_palette(push: EpisodeDataset) -> Palette:
    return learn_palette(push)


def test_colours_find_objects_as_the_masks_do(push: EpisodeDataset, push_palette: Palette) -> None:
    assert push_palette.names == ("agent", "puck") and push_palette.trusted.all()
    assert (push_palette.error < 0.05).all()
    number = int(push.split("heldout")[0])
    episode, env = push.episode(number), push.env.make()
    env.reset(seed=episode.seed)
    env.get_wrapper_attr("set_state")(episode.infos["state"][5])
    masks = env.get_wrapper_attr("masks")()
    rows, columns = np.indices(masks.shape[1:])
    true = [[(m * columns).sum() / m.sum(), (m * rows).sum() / m.sum()] for m in masks]
    assert push_palette.centres(episode.frames[5]) == pytest.approx(np.array(true), abs=0.3)
    assert push_palette.present(push_palette.areas(episode.frames)).all()


def test_an_object_painted_over_or_painted_twice_is_not_there(
    push: EpisodeDataset, push_palette: Palette
) -> None:
    frame = np.array(push.episode_frames(int(push.split("heldout")[0]))[0])
    floor = np.median(frame.reshape(-1, 3), axis=0).astype(np.uint8)
    agent = push_palette.cover(frame)[..., 0] > 0.01
    gone = np.where(agent[..., None], floor, frame)
    assert push_palette.present(push_palette.areas(gone)).tolist() == [False, True]
    two = frame.copy()
    two[:7, :7] = frame[agent][np.argmax(push_palette.cover(frame)[agent][:, 0])]
    assert push_palette.present(push_palette.areas(two)).tolist() == [False, True]
    assert np.isnan(push_palette.centres(gone)[0]).all()


def test_an_environment_without_masks_is_named(tmp_path: Path) -> None:
    env = {"id": "dot_env:Dot-v0", "size": 16}
    collect(env, HELD, tmp_path / "data", episodes=4, workers=0)
    with pytest.raises(EnvError, match="does not tell which pixels are which object"):
        learn_palette(EpisodeDataset(tmp_path / "data"))


def long(push: EpisodeDataset, palette: Palette, **kwargs: Any) -> LongDreams:
    dream: Any = OracleDream(push, CONTEXT, **kwargs)
    starts = draw_futures(push, push.split("heldout"), CONTEXT, 1, 3, seed=3)
    return measure_long_dreams(dream, push, starts, HELD, STEPS, palette)


def test_a_true_dream_is_the_simulator_under_the_same_actions(
    push: EpisodeDataset, push_palette: Palette
) -> None:
    found = long(push, push_palette)
    assert [(w.first, w.last) for w in found.windows] == [(3, 6), (12, 15), (27, 30)]
    assert all(window.simulator == window.dream for window in found.windows)
    assert found.objects is not None and len(found.gradient) == STEPS
    for count in found.objects:
        assert count.dreams == 3 and count.floor == 1.0
        assert [span.mean for span in count.spans if span] == count.simulator == [1.0] * 3
    assert found.shown_steps == [0, 1, 10] and found.shown.shape == (3, 3, SIZE, SIZE, 3)
    assert found.films.shape == (3, STEPS, SIZE, SIZE, 3)


def test_blur_and_a_vanished_object_are_seen(push: EpisodeDataset, push_palette: Palette) -> None:
    floor = np.median(np.array(push.episode_frames(0)).reshape(-1, 3), axis=0)

    def fade(frame: np.ndarray, step: int) -> np.ndarray:
        """From step 20 on the agent is gone, and everything is half as contrasted."""
        if step < 20:
            return frame
        gone = np.where(push_palette.cover(frame)[..., :1] > 0.01, floor, frame)
        return ((gone + floor) / 2).astype(np.uint8) if step % 2 else gone.astype(np.uint8)

    found = long(push, push_palette, spoil=fade)
    last, simulator = found.windows[-1].dream, found.windows[-1].simulator
    assert simulator is not None and last.gradient.mean < simulator.gradient.mean - 10
    assert last.colour > simulator.colour
    assert found.objects is not None and found.objects[0].present is not None
    assert found.objects[0].present[:19] == [1.0] * 19 and max(found.objects[0].present[19:]) == 0.0
    assert found.objects[0].spans[-1] is not None and found.objects[0].spans[-1].mean == 0.0


def test_occlusions_are_where_nothing_is_seen(hide: EpisodeDataset) -> None:
    found = find_occlusions(hide, np.arange(hide.episodes), CONTEXT)
    assert found and min(case.first for case in found) >= CONTEXT
    for case in found[:20]:
        infos = hide.episode(case.episode).infos
        share = infos["visible_area"][:, case.thing] / infos["unoccluded_area"][:, case.thing]
        assert (share[case.first : case.last + 1] < 0.05).all()
        assert share[case.first - 1] >= 0.05 and share[case.last + 1] >= 0.05


def recalled(hide: EpisodeDataset, palette: Palette, **kwargs: Any) -> Permanence:
    dream: Any = OracleDream(hide, CONTEXT, **kwargs)
    return measure_permanence(dream, hide, palette, 6, ())


def test_a_true_dream_remembers_and_a_forgetful_one_does_not(hide: EpisodeDataset) -> None:
    palette = learn_palette(hide)
    found = recalled(hide, palette)
    rows = found.durations[0].rows
    assert rows[FULL].came_out.mean == rows[FULL].on_time.mean == 1.0
    assert rows[FULL].time_error is not None and rows[FULL].time_error.mean == 0.0
    assert rows[FULL].position_error is not None and rows[FULL].position_error.mean == 0.0
    assert rows[COPY].came_out.mean == 0.0 and rows[COPY].position_error is None
    assert rows[GUESS].position_error is not None and rows[GUESS].position_error.mean > 1.0
    floor = np.array([200, 200, 200], np.uint8)

    def vanish(frame: np.ndarray, step: int) -> np.ndarray:
        return np.where((palette.cover(frame) > 0.01).any(-1, keepdims=True), floor, frame)

    forgetful = recalled(hide, palette, spoil=vanish).durations[0].rows[FULL]
    assert forgetful.came_out.mean == 0.0 and forgetful.time_error is None
    late = recalled(hide, palette, spoil=lambda frame, step: frame if step > 30 else vanish(frame, step))
    assert late.durations[0].rows[FULL].came_out.mean == 0.0, "so late is not at all"


def test_without_the_truth_there_is_a_reason(
    maze: EpisodeDataset, push: EpisodeDataset, push_palette: Palette
) -> None:
    with pytest.raises(DatasetError, match="holds no visible_area"):
        find_occlusions(maze, maze.split("heldout"), CONTEXT)
    with pytest.raises(DatasetError, match="nothing is hidden for 8 frames or more"):
        measure_permanence(OracleDream(push, CONTEXT), push, push_palette, 6, ())  # type: ignore[arg-type]


def test_a_shorter_memory_is_another_model_with_the_same_weights() -> None:
    model = tiny_world_model()
    short = limited(model, 2)
    assert (short.dynamics.window, model.dynamics.window) == (2, None)
    assert short.network is model.network


def spread(maze: EpisodeDataset, palette: Palette | None = None, **kwargs: Any) -> Chance:
    dream: Any = OracleDream(maze, CONTEXT, **kwargs)
    futures = draw_futures(maze, maze.split("heldout"), CONTEXT, 6, 3, seed=4)
    found = measure_chance(dream, maze, futures, 8, palette)
    assert isinstance(found, Chance)
    return found


def test_a_dream_with_the_simulators_chance_spreads_as_it_does(maze: EpisodeDataset) -> None:
    found = spread(maze, learn_palette(maze), chance=True)
    assert not found.deterministic and found.restored_by == "state"
    assert 0.6 < found.pixels.ratio[-1].mean < 1.6 and found.pixels.dream[-1] > 0
    assert found.sharpness.ratio[-1].mean == pytest.approx(1.0, abs=0.1)
    where = {item.name: item for item in found.objects}
    assert set(where) == {"player", "coins", "enemies"}
    assert where["enemies"].apart.real[-1] > where["player"].apart.real[-1]
    assert where["enemies"].cells[-1] < 2 * where["enemies"].cells_floor[-1] + 5


def test_a_dream_without_chance_does_not_spread(maze: EpisodeDataset) -> None:
    found = spread(maze)
    assert found.pixels.dream == [0.0] * 6 and found.pixels.ratio[-1].mean == 0.0
    assert found.pixels.real[-1] > 0


def test_an_average_of_futures_is_not_sharp(maze: EpisodeDataset) -> None:
    found = spread(
        maze, spoil=lambda frame, step: ((frame + np.roll(frame, 2, 0).astype(int)) // 2).astype(np.uint8)
    )
    assert found.sharpness.ratio[-1].mean < 0.9


def test_a_deterministic_world_has_no_spread(push: EpisodeDataset) -> None:
    found = spread(push)
    assert found.deterministic and found.pixels.dream == [0.0] * 6
    assert np.isnan(found.pixels.ratio[0].mean)


def test_chance_of_what_cannot_be_brought_back_is_not_measured(tmp_path: Path) -> None:
    from dot_env import DotDream

    env = {"id": "dot_env:Dot-v0", "size": 16, "kwargs": {"state": False, "replays": False}}
    collect(env, HELD, tmp_path / "data", episodes=4, workers=0)
    dataset = EpisodeDataset(tmp_path / "data")
    dream: Any = DotDream()
    futures = draw_futures(dataset, np.arange(4), 3, 4, 2, seed=0)
    assert isinstance(measure_chance(dream, dataset, futures, 4), NotMeasured)
