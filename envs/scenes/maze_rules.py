"""The rules of the maze game, without any picture: pure functions of a state that is one flat vector."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SIDE = 8  # cells
MAX_COINS, MAX_ENEMIES = 6, 6
# Actions: stay, up, right, down, left, as (column, row) steps; row 0 is on top.
STEPS = np.array([(0, 0), (0, -1), (1, 0), (0, 1), (-1, 0)])
_BACK = (0, 3, 4, 1, 2)  # the opposite of every step
NOWHERE = -1  # both coordinates of a coin or an enemy that is not there
_KEEPS_ON = 0.75  # how likely an enemy goes straight on where it can
_FAR = 4  # cells between the player and an enemy at the start, along the grid


@dataclass(frozen=True)
class MazeState:
    """walls bool [8,8] (row, column); player [2], coins [6,2], enemies [6,2] as (column, row), int64; headings [6],
    indices into STEPS; score, step; key: all chance from here on follows from it and the step."""

    walls: np.ndarray
    player: np.ndarray
    coins: np.ndarray
    enemies: np.ndarray
    headings: np.ndarray
    score: int
    step: int
    key: int

    def to_vector(self) -> np.ndarray:
        """float64 [99]; `from_vector` inverts it."""
        arrays = (self.walls, self.player, self.coins, self.enemies, self.headings)
        flat = [array.ravel().astype(np.float64) for array in arrays]
        return np.concatenate([*flat, [self.score, self.step, self.key]])

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> MazeState:
        """The state that gave this vector."""
        ends = np.cumsum([SIDE * SIDE, 2, 2 * MAX_COINS, 2 * MAX_ENEMIES, MAX_ENEMIES])
        walls, player, coins, enemies, headings, rest = np.split(vector.astype(np.int64), ends)
        return cls(
            walls.reshape(SIDE, SIDE).astype(bool),
            player,
            coins.reshape(-1, 2),
            enemies.reshape(-1, 2),
            headings,
            *map(int, rest),
        )

    @property
    def caught(self) -> bool:
        """Whether an enemy is where the player is."""
        return bool((self.enemies == self.player).all(axis=1).any())

    def rng(self) -> np.random.Generator:
        """The chance of the coming step."""
        return np.random.default_rng((self.key, self.step))


def begin(walls: int, coins: int, enemies: int, rng: np.random.Generator) -> MazeState:
    """A new maze of so many wall cells (fewer if it would fall apart), with the player in a random free cell."""
    grid = _grow_walls(walls, rng)
    player = _pick(~grid, rng)
    distance = np.abs(np.indices((SIDE, SIDE)) - player[::-1, None, None]).sum(axis=0)
    state = MazeState(
        walls=grid,
        player=player,
        coins=np.full((MAX_COINS, 2), NOWHERE),
        enemies=np.full((MAX_ENEMIES, 2), NOWHERE),
        headings=rng.integers(1, len(STEPS), MAX_ENEMIES),
        score=0,
        step=0,
        key=int(rng.integers(2**32)),
    )
    for i in range(enemies):
        state.enemies[i] = _pick(~grid & (distance >= _FAR), rng)
    for i in range(coins):
        state.coins[i] = _free_for_coin(state, rng)
    return state


def advance(state: MazeState, action: int, enemy_speed: float) -> tuple[MazeState, float, bool]:
    """The next state, the reward, and whether an enemy has caught the player.

    The player moves first, so that nobody swaps places; then the enemies do, if it has not run into one.
    """
    rng = state.rng()
    player = state.player + STEPS[action]
    if not _is_free(state.walls, player):
        player = state.player.copy()
    moved = replace(state, player=player, step=state.step + 1)
    if moved.caught:
        return moved, -1.0, True
    enemies, headings = state.enemies.copy(), state.headings.copy()
    for i in np.flatnonzero(state.enemies[:, 0] != NOWHERE):
        if rng.random() < enemy_speed:
            headings[i] = _turn(state.walls, enemies[i], headings[i], rng)
            enemies[i] += STEPS[headings[i]]
    moved = replace(moved, enemies=enemies, headings=headings)
    if moved.caught:
        return moved, -1.0, True
    return _collect(moved, rng)


def _collect(state: MazeState, rng: np.random.Generator) -> tuple[MazeState, float, bool]:
    """A coin that the player reaches scores and appears elsewhere."""
    found = np.flatnonzero((state.coins == state.player).all(axis=1))
    if not len(found):
        return state, 0.0, False
    coins = state.coins.copy()
    coins[found[0]] = _free_for_coin(state, rng)
    return replace(state, coins=coins, score=state.score + 1), 1.0, False


def _turn(walls: np.ndarray, enemy: np.ndarray, heading: int, rng: np.random.Generator) -> int:
    """Where an enemy goes next: mostly straight on, back only from a dead end; 0 (stay) if it is walled in."""
    ways = [k for k in range(1, len(STEPS)) if _is_free(walls, enemy + STEPS[k])]
    back = _BACK[heading]
    if heading in ways and rng.random() < _KEEPS_ON:
        return heading
    onward = [k for k in ways if k != back] or ways
    return int(rng.choice(onward)) if onward else 0


def _is_free(walls: np.ndarray, cell: np.ndarray) -> bool:
    column, row = cell
    return 0 <= column < SIDE and 0 <= row < SIDE and not walls[row, column]


def _free_for_coin(state: MazeState, rng: np.random.Generator) -> np.ndarray:
    free = ~state.walls
    for column, row in (state.player, *state.coins[state.coins[:, 0] != NOWHERE]):
        free[row, column] = False
    return _pick(free, rng)


def _pick(free: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random free cell (column, row)."""
    rows, columns = np.nonzero(free)
    i = rng.integers(len(rows))
    return np.array([columns[i], rows[i]])


def _grow_walls(count: int, rng: np.random.Generator) -> np.ndarray:
    """Random wall cells that leave every free cell reachable from every other."""
    walls = np.zeros((SIDE, SIDE), bool)
    for cell in rng.permutation(SIDE * SIDE):
        if walls.sum() == count:
            break
        walls.flat[cell] = True
        if not _connected(~walls):
            walls.flat[cell] = False
    return walls


def _connected(free: np.ndarray) -> bool:
    reached = np.zeros_like(free)
    reached.flat[free.argmax()] = True
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= free
        if (grown == reached).all():
            return bool((reached == free).all())
        reached = grown
