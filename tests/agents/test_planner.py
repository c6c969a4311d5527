"""The planner: it finds what is best in dreams whose best is known, for one episode as for many, at the stated cost."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from tiny_world import CONTEXT, SIZE, tiny_world_model
from torch import Tensor

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.storage import save_policy
from worldmodel.agents.planner_actor import PlannerActor, load_planner, planning_policy
from worldmodel.agents.planning.planner import METHODS, Planner, PlannerConfig, Plans
from worldmodel.agents.tasks.play import play
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import save_world_model
from worldmodel.model.state import DreamState, Transition
from worldmodel.model.world_model import WorldModel
from worldmodel.spaces import ActionCodec

BOX = spaces.Box(-3.0, 3.0, (2,), np.float32)
CHOICE = spaces.Discrete(4)
MULTI = spaces.MultiDiscrete([3, 2])
BITS = spaces.MultiBinary(3)


@dataclass
class TargetState:
    step: Tensor
    last: Tensor
    previous: Tensor

    def __len__(self) -> int:
        return len(self.step)

    def select(self, index: Tensor) -> "TargetState":
        return TargetState(self.step[index].clone(), self.last[index], self.previous[index])


class TargetDream:
    """Pays 1 minus the distance between a_t and a target of that step; ends with a chance where told to."""

    def __init__(self, space: gym.Space[Any], targets: Tensor, ends: float = 0.0, doubt: float = 0.0) -> None:
        codec = ActionCodec(space)
        self.world = SimpleNamespace(codec=codec, action_space=space, frame_shape=(8, 8, 3))
        self.device, self.targets, self.ends, self.doubt = torch.device("cpu"), targets, ends, doubt
        self.batches: list[int] = []

    def is_calibrated(self, num_inference_steps: int) -> bool:
        return self.doubt > 0

    def begin(self, *steps: int) -> TargetState:
        frame = torch.zeros(len(steps), 3, 8, 8)
        return TargetState(torch.tensor(steps), frame, frame)

    def step(self, state: TargetState, action: Tensor, num_inference_steps: int | None = None) -> Transition:
        self.batches.append(len(action))
        distance = (action - self.targets[state.step % len(self.targets)]).abs().sum(dim=1)
        state.step += 1
        large = (action[:, 0] > 0.5).float()
        frame = torch.zeros(len(action), 3, 8, 8)
        doubt = self.doubt * large
        chance = self.ends * large
        return Transition(frame, 1 - distance, chance, doubt, frame[:, :1, 0, 0], chance > 0.5)


def plan(model: TargetDream, config: PlannerConfig, *steps: int, seeds: tuple[int, ...] = ()) -> Plans:
    planner = Planner(model, config)  # type: ignore[arg-type]
    keys = torch.tensor(seeds or range(len(steps)))
    return planner.plan(model.begin(*steps), planner.begin(len(steps)), keys, torch.zeros_like(keys))  # type: ignore[arg-type]


def targets_for(space: gym.Space[Any], count: int) -> Tensor:
    codec, rng = ActionCodec(space), np.random.default_rng(1)
    if isinstance(space, spaces.Box):
        return torch.from_numpy(rng.uniform(-0.8, 0.8, (count, codec.size)).astype(np.float32))
    space.seed(3)
    return torch.from_numpy(codec.encode(np.stack([codec.store(space.sample()) for _ in range(count)])))


WIDE = PlannerConfig(actions=3, hold=1, candidates=200, iterations=8, elites=20, least_std=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", [BOX, CHOICE, MULTI, BITS], ids=lambda space: type(space).__name__)
def test_it_finds_the_best_actions(space: gym.Space[Any], method: str) -> None:
    targets = targets_for(space, 5)
    config = replace(WIDE, method=method, temperature=0.2)
    found = plan(TargetDream(space, targets), config, 0, 2)
    best = torch.stack([targets[[0, 1, 2]], targets[[2, 3, 4]]])
    if isinstance(space, spaces.Box):
        assert (found.steps - best).abs().max() < 0.2
    else:
        assert torch.equal(found.steps, best)
    most = 1 + 0.98 + 0.98**2
    torch.testing.assert_close(found.value, torch.full((2,), most), atol=0.4, rtol=0)


def test_held_actions_are_the_best_held_ones() -> None:
    """Targets 0.6 and -0.6 in turn: an action held for two steps can only lie between; the plan has 4 steps."""
    targets = torch.tensor([[0.6, 0.0], [0.6, 0.0], [-0.4, 0.0], [-0.4, 0.0]])
    found = plan(TargetDream(BOX, targets), replace(WIDE, actions=2, hold=2), 0)
    assert found.steps.shape == (1, 4, 2)
    assert torch.equal(found.steps[:, 0], found.steps[:, 1])
    torch.testing.assert_close(found.steps[0, :, 0], targets[:, 0], atol=0.1, rtol=0)


def test_an_end_costs_what_would_have_followed() -> None:
    """Large first numbers pay best now, but end the episode: with a chance to survive what follows counts, too."""
    targets = torch.tensor([[0.9, 0.0]])
    safe = plan(TargetDream(BOX, targets, ends=1.0), WIDE, 0).steps[0, :, 0]
    bold = plan(TargetDream(BOX, targets, ends=0.0), WIDE, 0).steps[0, :, 0]
    assert (bold > 0.7).all()
    assert (safe[:-1] <= 0.5).all() and safe[-1] > 0.7, "nothing follows the last step"


def test_values_are_discounted_sums_with_the_chance_to_be_there() -> None:
    model = TargetDream(CHOICE, torch.tensor([[1.0, 0.0, 0.0, 0.0]]), ends=0.25)
    value = plan(model, replace(WIDE, gamma=0.5), 0).value
    assert value.item() == pytest.approx(1 + 0.5 * 0.75 + (0.5 * 0.75) ** 2)


def test_uncertainty_is_penalised() -> None:
    model = TargetDream(CHOICE, torch.tensor([[1.0, 0.0, 0.0, 0.0]]), doubt=4.0)
    trusting = plan(model, WIDE, 0).steps[0]
    wary = plan(model, replace(WIDE, uncertainty_penalty=1.0), 0).steps[0]
    assert (trusting[:, 0] == 1).all() and (wary[:, 0] == 0).all()


def test_a_penalty_without_calibration_is_refused() -> None:
    with pytest.raises(WorldModelError, match="needs a checkpoint that is calibrated for 1 passes"):
        plan(TargetDream(CHOICE, targets_for(CHOICE, 1)), replace(WIDE, uncertainty_penalty=1.0), 0)


def test_a_critic_tells_what_follows() -> None:
    critic = ActorCritic((8, 8, 3), CHOICE, channels=4, hidden=8)
    critic.rescale_values(torch.tensor(0.0), torch.tensor(1e-2))
    critic.value_mean.fill_(100.0)
    model = TargetDream(CHOICE, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    planner = Planner(model, replace(WIDE, gamma=0.5), critic)  # type: ignore[arg-type]
    zero = torch.zeros(1, dtype=torch.int64)
    value = planner.plan(model.begin(0), planner.begin(1), zero, zero).value  # type: ignore[arg-type]
    assert value.item() == pytest.approx(1.75 + 0.125 * 100, abs=0.1)


@pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "discrete"])
def test_an_episode_alone_gets_the_plan_it_gets_among_others(space: gym.Space[Any]) -> None:
    targets = targets_for(space, 5)
    few = replace(WIDE, candidates=30, iterations=3)
    together = plan(TargetDream(space, targets), few, 0, 1, 4, seeds=(7, 8, 9))
    alone = plan(TargetDream(space, targets), few, 4, seeds=(9,))
    torch.testing.assert_close(alone.steps[0], together.steps[2])
    torch.testing.assert_close(alone.mean[0], together.mean[2])
    other = plan(TargetDream(space, targets), few, 4, seeds=(10,))
    assert not torch.equal(other.mean, alone.mean), "another seed draws others"


def test_it_costs_what_it_says_in_one_batch_a_step() -> None:
    config = PlannerConfig(actions=4, hold=3, candidates=10, iterations=2, elites=2)
    model = TargetDream(BOX, targets_for(BOX, 5))
    plan(model, config, 0, 1, 2)
    assert model.batches == [30] * 24
    assert sum(model.batches) == 3 * config.frames_per_plan


def test_the_rest_of_a_plan_is_where_the_next_begins() -> None:
    model = TargetDream(BOX, targets_for(BOX, 5))
    numbers = torch.arange(1.0, 4.0).view(1, 3, 1).expand(1, 3, 2)
    whole = Planner(model, replace(WIDE, hold=2, replan_every=2))  # type: ignore[arg-type]
    assert whole.shift(numbers)[0, :, 0].tolist() == [2, 3, 0]
    broken = Planner(model, replace(WIDE, hold=2))  # type: ignore[arg-type]
    assert broken.shift(numbers)[0, :, 0].tolist() == [1.5, 2.5, 1.5]
    choices = Planner(TargetDream(CHOICE, targets_for(CHOICE, 2)), WIDE)  # type: ignore[arg-type]
    ahead = choices.shift(torch.eye(4)[[0, 1, 2]][None])
    torch.testing.assert_close(ahead.sum(-1), torch.ones(1, 3))
    assert ahead[0, 0].argmax() == 1 and (ahead > 0).all()
    assert ahead[0, 2].tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"method": "luck"}, "planner.method is 'luck', expected cem or mppi"),
        ({"hold": 0}, "planner.hold is 0, expected at least 1"),
        ({"elites": 48}, "both must be fewer"),
        ({"replan_every": 17}, "both must be fewer"),
        ({"method": "mppi", "temperature": 0.0}, "planner.temperature is 0.0, expected more than 0"),
        ({"gamma": 1.5}, "planner.gamma is 1.5, expected 0 to 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WorldModelError, match=sentence):
        PlannerConfig(**settings)


SMALL = {"actions": 2, "hold": 1, "candidates": 4, "iterations": 2, "elites": 2, "num_inference_steps": 2}


class Spied(PlannerActor):
    """Notes the real contexts that dreams begin from."""

    contexts: list[list[int]]

    def _dreams(self, planned, seeds):  # type: ignore[no-untyped-def]
        self.contexts.append([len(episode.frames) for episode in planned])
        for episode in planned:
            assert len(episode.actions) == len(episode.frames) - 1
        return super()._dreams(planned, seeds)


def spied(**settings: int) -> Spied:
    model = tiny_world_model()
    actor = Spied(model, Planner(model, PlannerConfig(**{**SMALL, **settings})), seed=1)
    actor.contexts = []
    return actor


def test_every_decision_begins_from_the_last_real_frames() -> None:
    actor = spied()
    env = tiny_world_model().world.env
    played = play(actor, replace(env, size=SIZE), episodes=2, seed=0, at_once=2)
    assert actor.contexts[:4] == [[1, 1], [2, 2], [CONTEXT, CONTEXT], [CONTEXT, CONTEXT]]
    assert actor.plans == sum(len(p.rewards) for p in played)
    assert actor.frames_imagined == actor.plans * 2 * 4 * 2


def test_a_plan_can_be_followed_for_several_steps() -> None:
    actor = spied(actions=3, replan_every=2)
    frames = torch.zeros(1, 6, SIZE, SIZE)
    for _ in range(5):
        actor.act(frames, [0])
    assert actor.contexts == [[1], [CONTEXT], [CONTEXT]]


def test_episodes_at_different_steps_are_planned_in_one_batch_and_as_alone() -> None:
    frames = torch.rand(4, 2, 6, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together, alone = spied(), spied()
    actions = []
    for step in range(4):
        numbers = [5, 6] if step else [5]
        actions.append(together.act(frames[step, : len(numbers)], numbers)[0])
        np.testing.assert_allclose(alone.act(frames[step, :1], [5])[0], actions[-1], atol=1e-4)
    assert together.contexts == [[1], [1, 2], [2, CONTEXT], [CONTEXT, CONTEXT]]


def test_a_dream_goes_on_from_what_was_really_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random_share it once dreamt on from the actions it had planned, not from those that were taken."""
    with atomic_directory(tmp_path / "world") as temporary:
        save_world_model(tiny_world_model(), temporary)
    told: list[np.ndarray] = []
    begin = WorldModel.begin

    def listening(self: WorldModel, frames: Tensor, actions: Tensor, seeds: Tensor) -> DreamState:
        told.append(actions[0].numpy())
        return begin(self, frames, actions, seeds)

    monkeypatch.setattr(WorldModel, "begin", listening)
    rng, world = np.random.default_rng(4), str(tmp_path / "world")
    policy = planning_policy(BOX_2, rng, world, planner=SMALL, random_share=0.5)
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    taken = np.stack([policy.act(frame) for _ in range(12)])
    for step in range(CONTEXT - 1, 12):
        np.testing.assert_allclose(told[step], taken[step - CONTEXT + 1 : step], atol=1e-6)


def test_it_collects_by_name(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "world") as temporary:
        save_world_model(tiny_world_model(), temporary)
    world = str(tmp_path / "world")
    frame = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    first, again = (planning_policy(BOX_2, np.random.default_rng(4), world, planner=SMALL) for _ in range(2))
    for _ in range(3):
        action = first.act(frame)
        assert BOX_2.contains(action)
        np.testing.assert_array_equal(action, again.act(frame))
    with pytest.raises(WorldModelError, match=r"takes actions of Box.*takes Discrete\(4\)"):
        planning_policy(CHOICE, np.random.default_rng(0), world, planner=SMALL)
    with pytest.raises(WorldModelError, match=r"set env\.size"):
        first.act(frame[:4])
    with pytest.raises(WorldModelError, match=r"no key planner\.candidate"):
        planning_policy(BOX_2, np.random.default_rng(0), world, planner={"candidate": 3})


BOX_2 = spaces.Box(-1.0, 1.0, (2,), np.float32)


def test_a_critic_is_found_in_its_run_folder(tmp_path: Path) -> None:
    model = tiny_world_model()
    with atomic_directory(tmp_path / "world") as temporary:
        save_world_model(model, temporary)
    critic = ActorCritic(model.world.frame_shape, model.world.action_space, channels=4, hidden=8)
    save_policy(critic, tmp_path / "run" / "policy")
    load_planner(str(tmp_path / "world"), None, str(tmp_path / "run"))
