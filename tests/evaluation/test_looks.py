"""Colour distance and gradient energy of pictures whose answer is known."""

import numpy as np
import pytest

from worldmodel.evaluation.pixels.looks import Looks, colour_distance, colour_shift, gradient_energy


def flat(level: int, count: int = 2) -> np.ndarray:
    return np.full((count, 4, 4, 3), level, np.uint8)


def test_a_checkerboard_has_the_energy_of_its_steps() -> None:
    board = flat(100, 1)
    board[0, ::2, ::2] = board[0, 1::2, 1::2] = 110
    assert gradient_energy(board) == pytest.approx([200.0])
    assert gradient_energy(flat(7)) == pytest.approx([0.0, 0.0])


def test_blur_lowers_and_noise_raises_the_energy() -> None:
    rng = np.random.default_rng(0)
    sharp = np.repeat(np.repeat(rng.integers(0, 256, (1, 4, 4, 3)), 4, 1), 4, 2).astype(np.uint8)
    blurred = ((sharp.astype(int) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 2)) // 3).astype(np.uint8)
    noisy = np.clip(sharp + rng.normal(0, 12, sharp.shape), 0, 255).astype(np.uint8)
    assert gradient_energy(blurred) < gradient_energy(sharp) < gradient_energy(noisy)


def test_distances_are_zero_for_the_same_colours_wherever_they_are() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (1, 8, 8, 3), np.uint8)
    turned = frames[:, ::-1, ::-1]
    assert colour_distance(Looks.of(frames), Looks.of(turned)) == 0.0
    assert colour_shift(Looks.of(frames), Looks.of(turned)) == 0.0


def test_a_quarter_of_another_colour_is_a_quarter() -> None:
    part = flat(0, 1)
    part[0, :2, :2] = 255
    distance = colour_distance(Looks.of(part), Looks.of(flat(0, 1)))
    assert distance == pytest.approx(25.0)
    assert colour_shift(Looks.of(part), Looks.of(flat(0, 1))) == pytest.approx(255 / 4)


def test_one_grey_level_is_a_small_distance_at_every_level() -> None:
    """Sharp bins would call it nothing, or everything."""
    steps = [colour_distance(Looks.of(flat(v, 1)), Looks.of(flat(v + 1, 1))) for v in range(255)]
    assert min(steps) > 5 and max(steps) < 100 * 31 / 255 + 1e-3


def test_groups_count_by_their_frames() -> None:
    both = Looks.joined([Looks.of(flat(0, 1)), Looks.of(flat(255, 3)).mean()])
    assert both.frames.tolist() == [1, 3]
    assert both.mean().levels[0, 0, [0, 255]] == pytest.approx([0.25, 0.75])
    assert both.mean(np.array([1, 0])).levels[0, 0, 0] == pytest.approx(1.0)
