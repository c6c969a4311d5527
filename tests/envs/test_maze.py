"""Maze-v0: rules, chance that follows from the seed, exact restore, and the picture cell by cell."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from worldmodel.envs.pixels import make_pixel_env
from worldmodel.envs.scenes.maze import MazeEnv
from worldmodel.envs.scenes.maze_picture import COIN, ENEMY, FLOOR, PLAYER, WALL
from worldmodel.envs.scenes.maze_rules import MAX_COINS, MAX_ENEMIES, NOWHERE, SIDE, MazeState, advance, begin
from worldmodel.errors import WorldModelError

STAY, UP, RIGHT, DOWN, LEFT = range(5)


def state(player: tuple[int, int], **changes: Any) -> MazeState:
    """An empty grid with the player, and what is named."""
    empty = {
        "walls": np.zeros((SIDE, SIDE), bool),
        "coins": np.full((MAX_COINS, 2), NOWHERE),
        "enemies": np.full((MAX_ENEMIES, 2), NOWHERE),
        "headings": np.ones(MAX_ENEMIES, int),
    }
    return MazeState(player=np.array(player), score=0, step=0, key=1, **(empty | changes))


def first(cell: tuple[int, int], count: int) -> np.ndarray:
    cells = np.full((count, 2), NOWHERE)
    cells[0] = cell
    return cells


def episode(env: MazeEnv, seed: int, steps: int = 60) -> list[Any]:
    rng = np.random.default_rng(seed)
    seen: list[Any] = [env.reset(seed=seed)]
    return seen + [env.step(int(action)) for action in rng.integers(0, 5, steps)]


def assert_same(left: list[Any], right: list[Any]) -> None:
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:-1] == other[1:-1]
        for key in one[-1]:
            np.testing.assert_array_equal(one[-1][key], other[-1][key], err_msg=key)


def test_gymnasium_checker_has_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("worldmodel/Maze-v0").unwrapped)
        check_env(gym.make("worldmodel/Maze-v0", render_mode="rgb_array", size=32).unwrapped)


@pytest.mark.parametrize(
    ("action", "cell"), [(STAY, (3, 3)), (UP, (3, 2)), (RIGHT, (4, 3)), (DOWN, (3, 4)), (LEFT, (2, 3))]
)
def test_every_action_is_one_cell(action: int, cell: tuple[int, int]) -> None:
    after, reward, caught = advance(state((3, 3)), action, 0.0)
    assert tuple(after.player) == cell and reward == 0 and not caught and after.step == 1


def test_walls_and_edges_stop() -> None:
    walls = np.zeros((SIDE, SIDE), bool)
    walls[3, 4] = True  # row 3, column 4
    assert tuple(advance(state((3, 3), walls=walls), RIGHT, 0.0)[0].player) == (3, 3)
    for corner, actions in (((0, 0), (UP, LEFT)), ((7, 7), (DOWN, RIGHT))):
        for action in actions:
            assert tuple(advance(state(corner), action, 0.0)[0].player) == corner


def test_a_coin_scores_once_and_appears_on_another_free_cell() -> None:
    before = state((3, 3), coins=first((4, 3), MAX_COINS))
    after, reward, caught = advance(before, RIGHT, 0.0)
    assert (reward, caught, after.score) == (1.0, False, 1)
    assert tuple(after.coins[0]) != (4, 3) and after.coins[0].min() >= 0
    assert advance(after, STAY, 0.0)[1] == 0
    assert tuple(before.coins[0]) == (4, 3), "the state before must not change"


def test_whoever_runs_into_an_enemy_or_is_run_into_is_caught() -> None:
    ahead = state((3, 3), enemies=first((4, 3), MAX_ENEMIES))
    after, reward, caught = advance(ahead, RIGHT, 1.0)
    assert (reward, caught) == (-1.0, True) and tuple(after.player) == tuple(after.enemies[0]) == (4, 3)
    walls = np.ones((SIDE, SIDE), bool)
    walls[3, 3:5] = False  # a corridor of two cells: the enemy has nowhere else to go
    _, reward, caught = advance(state((3, 3), walls=walls, enemies=first((4, 3), MAX_ENEMIES)), STAY, 1.0)
    assert (reward, caught) == (-1.0, True)


def test_enemies_walk_only_free_cells_one_at_a_time_as_often_as_their_speed_says() -> None:
    env = MazeEnv(size=8)
    moves, chances = 0, 0
    for seed in range(20):
        env.reset(seed=seed, options={"enemies": 6, "walls": 20})
        for _ in range(20):
            before = env.state.enemies
            if env.step(STAY)[2]:
                break
            steps = np.abs(env.state.enemies - before).sum(axis=1)
            assert steps.max() <= 1 and not env.state.walls[tuple(env.state.enemies.T[::-1])].any()
            moves, chances = moves + steps.sum(), chances + len(steps)
    assert moves / chances == pytest.approx(0.7, abs=0.05)


def test_mazes_are_connected_have_room_and_start_enemies_far_away() -> None:
    for seed in range(30):
        start = begin(walls=24, coins=MAX_COINS, enemies=MAX_ENEMIES, rng=np.random.default_rng(seed))
        assert 15 <= start.walls.sum() <= 24
        reached, front = {tuple(start.player)}, [start.player]
        while front:
            cell = front.pop()
            for action in range(1, 5):
                after = tuple(advance(state(tuple(cell), walls=start.walls), action, 0.0)[0].player)
                if after not in reached:
                    reached.add(after)
                    front.append(np.array(after))
        assert len(reached) == SIDE * SIDE - start.walls.sum()
        cells = {tuple(cell) for cell in start.coins}
        assert len(cells) == MAX_COINS and cells < reached and tuple(start.player) not in cells
        assert np.abs(start.enemies - start.player).sum(axis=1).min() >= 4


def test_the_seed_fixes_everything_whatever_was_played_before() -> None:
    env, used = MazeEnv(size=16), MazeEnv(size=16)
    episode(used, seed=9)
    assert_same(episode(env, seed=3), episode(used, seed=3))
    assert (env.reset(seed=4)[0] != env.reset(seed=5)[0]).any()


def test_a_restored_state_goes_on_the_same_chance_included() -> None:
    env, other = MazeEnv(size=16), MazeEnv(size=16)
    episode(env, seed=1, steps=5)
    state = env.get_state()
    rest = [env.step(action % 5) for action in range(30)]
    other.reset(seed=8)
    observation, info = other.set_state(state)
    np.testing.assert_array_equal(info["state"], state)
    np.testing.assert_array_equal(observation, MazeEnv(size=16)._picture.draw(MazeState.from_vector(state)))
    assert_same([other.step(action % 5) for action in range(30)], rest)
    with pytest.raises(WorldModelError, match=r"shape \(99,\), got \(3,\)"):
        env.set_state(np.zeros(3))


def test_the_future_is_a_matter_of_chance() -> None:
    """Same picture, other key: enemies go elsewhere."""
    env = MazeEnv(size=16)
    env.reset(seed=0)
    state, futures = env.get_state(), set()
    for key in range(10):
        state[-1] = key
        env.set_state(state)
        futures.add(env.step(STAY)[0].tobytes())
    assert len(futures) > 3


@pytest.mark.parametrize("size", [8, 32, 64, 50])
def test_the_picture_shows_every_cell(size: int) -> None:
    walls = np.zeros((SIDE, SIDE), bool)
    walls[0, 7] = True
    env = MazeEnv(size=size)
    env.reset(seed=0)
    things = {(2, 1): PLAYER, (5, 6): ENEMY, (0, 7): COIN, (7, 0): WALL, (4, 4): FLOOR}
    frame, _ = env.set_state(
        state((2, 1), walls=walls, enemies=first((5, 6), 6), coins=first((0, 7), 6)).to_vector()
    )
    assert frame.shape == (size, size, 3)
    centres = {
        cell: frame[int((cell[1] + 0.5) * size / 8), int((cell[0] + 0.5) * size / 8)] for cell in things
    }
    for cell, colour in things.items():
        nearest = min(things.values(), key=lambda other: np.abs(centres[cell] - np.array(other, float)).sum())
        assert size == 8 or nearest == colour, cell


def test_as_pixels_it_is_drawn_at_the_asked_size_with_its_infos_and_limit() -> None:
    env = make_pixel_env("worldmodel/Maze-v0", size=24)
    frame, info = env.reset(seed=2)
    plain, truth = MazeEnv(size=24).reset(seed=2)
    np.testing.assert_array_equal(frame, plain)
    assert info.keys() == truth.keys() and env.max_episode_steps == 200
    assert env.metadata["render_fps"] == 8


def test_options_and_actions_are_checked() -> None:
    env = MazeEnv(size=8)
    _, info = env.reset(seed=0, options={"enemies": 0, "coins": 6, "walls": 0})
    assert (info["enemies"] == NOWHERE).all() and (info["coins"] >= 0).all() and not info["walls"].any()
    assert (env.reset(seed=0)[1]["enemies"] >= 0).all(axis=1).sum() == 2
    with pytest.raises(WorldModelError, match="'coins' must be a whole number from 1 to 6"):
        env.reset(options={"coins": 2.5})
    for bad in (5, -1, 1.0, "up"):
        with pytest.raises(WorldModelError, match="a whole number from 0 to 4"):
            env.step(bad)


def test_masks_cover_what_is_drawn() -> None:
    env = MazeEnv(size=64)
    env.reset(seed=0)
    env.state = state((2, 3), coins=first((2, 3), MAX_COINS), enemies=first((5, 6), MAX_ENEMIES))
    player, coins, enemies = env.masks()
    assert player[24:32, 16:24].max() == 1.0 and player.sum() == player[24:32, 16:24].sum()
    assert enemies[48:56, 40:48].max() == 1.0 and enemies.sum() == enemies[48:56, 40:48].sum()
    assert coins.sum() < 0.1 * player.sum(), "a coin under the player is hardly seen"
    assert (player + coins + enemies <= 1 + 1e-6).all()


def test_another_stream_of_chance_changes_enemies_and_nothing_before() -> None:
    ends = []
    for seed in (1, 1, 2):
        env = MazeEnv(size=16)
        frame, _ = env.reset(seed=5)
        before = env.get_state()
        env.reseed(seed)
        assert np.array_equal(env.get_state()[:-1], before[:-1])
        assert np.array_equal(env.set_state(env.get_state())[0], frame)
        for _ in range(12):
            env.step(STAY)
        ends.append(env.get_state()[:-1])
    assert np.array_equal(ends[0], ends[1]) and not np.array_equal(ends[0], ends[2])
