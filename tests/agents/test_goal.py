"""A goal is nearest where it is met, and farther with every pixel that something is away, overlapping or not."""

from itertools import pairwise

import pytest
import torch
from sliding_world import SIZE, SlidingWorld, picture
from torch import Tensor

from worldmodel.agents.planning.goal import Goal, profiles, transport
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.dreams import Dreams


def apart(first: Tensor, second: Tensor) -> float:
    pictures = [frames_to_float(frames) for frames in (first, second)]
    return float(transport(*(profiles(p) for p in pictures)))


@pytest.mark.parametrize("way", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_it_falls_off_with_every_step_away_without_any_overlap(way: tuple[float, float]) -> None:
    place, step = torch.tensor([5.0, 5.0]), torch.tensor(way)
    found = [apart(picture(place), picture(place + t * step)) for t in range(13)]
    assert found[0] == 0
    assert all(later > earlier for earlier, later in pairwise(found))
    assert found[12] == pytest.approx(2 * found[6], rel=0.02), "and as much far off as near"


def test_what_stands_still_drops_out() -> None:
    generator = torch.Generator().manual_seed(0)
    background = torch.randint(0, 100, (SIZE, SIZE, 3), generator=generator).to(torch.uint8)
    moved = picture(torch.tensor([5.0, 5.0])), picture(torch.tensor([15.0, 9.0]))
    there = [frames // 2 + background for frames in moved]
    assert apart(*there) == pytest.approx(apart(*(frames // 2 for frames in moved)), rel=1e-4)


def test_two_alike_things_are_not_told_by_two_directions_alone() -> None:
    """Rows and columns of (a, b) and of the other diagonal of their rectangle are the same; diagonals are not."""
    near, far = 6.0, 16.0
    one = [picture(torch.tensor(place)) for place in ((near, near), (far, far))]
    other = [picture(torch.tensor(place)) for place in ((near, far), (far, near))]
    both = [torch.maximum(*pair) for pair in (one, other)]
    rows = [profiles(frames_to_float(frames))[0] for frames in both]
    torch.testing.assert_close(*rows)
    assert apart(*both) > 1


def test_what_is_missing_costs_the_same_wherever_it_is() -> None:
    empty = torch.full((SIZE, SIZE, 3), 90, dtype=torch.uint8)
    left, right = (apart(picture(torch.tensor([x, 12.0])), empty) for x in (5.0, 18.0))
    assert left == pytest.approx(right, rel=0.01)


def test_the_nearest_of_the_allowed_steps_counts() -> None:
    """A square that slides to the right by 2 a step meets its goal, 6 to the right, after 3 steps."""
    model = SlidingWorld()
    place = torch.tensor([[6.0, 12.0]])
    goal = Goal(picture(place + torch.tensor([6.0, 0.0]))[:, None], first=2, last=5)
    dreams = Dreams(model, model.begin(picture(place)[:, None], torch.zeros(1, 0, 2), torch.zeros(1)))  # type: ignore[arg-type]
    taken: list[int] = []

    def steps():  # type: ignore[no-untyped-def]
        for number in range(1, 9):
            taken.append(number)
            yield dreams.step(torch.tensor([[1.0, 0.0]]))

    found = goal.distances(dreams, steps())[0]
    assert found.shape == (4,) and int(found.argmin()) == 1
    assert found[1] == pytest.approx(0, abs=1e-3)
    assert taken == [1, 2, 3, 4, 5], "no step is taken beyond the last"


def test_motion_is_met_where_there_are_two_frames() -> None:
    place, way = torch.tensor([12.0, 12.0]), torch.tensor([2.0, 0.0])
    goal = Goal(torch.stack([picture(place - way), picture(place)])[None], 1, 1)
    came_so, came_else = (
        frames_to_float(torch.stack([picture(place), picture(place - w)])[None]) for w in (way, -way)
    )
    assert goal.distance(came_so) == 0 < goal.distance(came_else)


def test_every_goal_is_for_its_own_dreams() -> None:
    places = torch.tensor([[6.0, 6.0], [16.0, 16.0]])
    goal = Goal(picture(places)[:, None], 1, 1)
    recent = frames_to_float(picture(places.repeat_interleave(3, dim=0)))[:, None].repeat(1, 2, 1, 1, 1)
    assert goal.distance(recent).tolist() == [0.0] * 6
    assert (goal.distance(recent.flip(0)) > 1).all()


@pytest.mark.parametrize(("frames", "first", "last"), [(3, 1, 1), (0, 1, 1), (1, 0, 2), (1, 3, 2)])
def test_goals_that_make_no_sense(frames: int, first: int, last: int) -> None:
    with pytest.raises(WorldModelError):
        Goal(torch.zeros(1, frames, 8, 8, 3, dtype=torch.uint8), first, last)
