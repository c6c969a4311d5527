"""Contexts come back exactly, and every row continues the same ones."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from counting_data import HELD, counting

import worldmodel  # noqa: F401  (registers the scenes)
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError, EnvError, WorldModelError
from worldmodel.evaluation.moments.action_changes import derangement, noisy, nothing, scaled, shuffled
from worldmodel.evaluation.moments.contexts import branches_of, contexts_from, fresh_contexts
from worldmodel.evaluation.moments.rollouts import Contexts, Predicted, views_of
from worldmodel.evaluation.moments.simulator import SimulatorSource
from worldmodel.evaluation.moments.state_spec import state_spec
from worldmodel.evaluation.moments.subject import Subject, subject_of
from worldmodel.evaluation.moments.wrong_physics import WrongPhysics, changeable
from worldmodel.evaluation.rows.reference_rows import ConstantVelocity, CopyLast, NearestNeighbour
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec


@pytest.fixture(scope="module")
def push() -> Contexts:
    return fresh_contexts(EnvConfig("worldmodel/Push-v0", size=16), 4, 3, 6, seed=0)


@pytest.fixture(scope="module")
def subject(push: Contexts) -> Subject:
    return subject_of(push)


@pytest.mark.parametrize("env_id", ["worldmodel/Swing-v0", "HalfCheetah-v5", "Ant-v5", "Pusher-v5"])
def test_states_are_told_by_their_features(env_id: str) -> None:
    env = gym.make(env_id)
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    data, spec = env.unwrapped.data, state_spec(env.unwrapped.model)  # type: ignore[attr-defined]
    features = spec.of(data.qpos, data.qvel)
    qpos, qvel = data.qpos.copy(), data.qvel.copy()
    spec.put(features, qpos, qvel)
    assert spec.of(qpos, qvel) == pytest.approx(features, abs=1e-9)
    assert qvel == pytest.approx(data.qvel) and len(features) == len(spec) == len(spec.velocities)


def test_a_dataset_continues_as_it_was_recorded(tmp_path: Path) -> None:
    collect({"id": "worldmodel/Push-v0", "size": 16}, HELD, tmp_path / "data", episodes=12, seed=3, workers=0)
    dataset = EpisodeDataset(tmp_path / "data")
    contexts = contexts_from(dataset, 5, 3, 8, seed=1)
    rollouts = SimulatorSource("simulator", subject_of(contexts)).rollouts(contexts)
    assert rollouts.frames is not None and rollouts.truth is not None
    recorded = [dataset.episode(number) for number in contexts.episodes.tolist()]
    for frames, valid, context, episode in zip(
        rollouts.frames, rollouts.valid, contexts.frames, recorded, strict=True
    ):
        (start,) = np.flatnonzero(
            [np.array_equal(episode.frames[t : t + 3], context) for t in range(len(episode))]
        )
        np.testing.assert_array_equal(frames[valid], episode.frames[start + 3 :][: valid.sum()])
    nearest = NearestNeighbour(dataset, 8).rollouts(contexts).frames
    assert nearest is not None and nearest.shape == rollouts.frames.shape
    copied = CopyLast().rollouts(contexts).frames
    assert copied is not None and (copied == contexts.frames[:, -1:]).all()


def test_without_states_there_are_no_contexts(tmp_path: Path) -> None:
    collect(counting(), HELD, tmp_path / "data", episodes=4, workers=0)
    with pytest.raises(DatasetError, match="holds no simulator states"):
        contexts_from(EpisodeDataset(tmp_path / "data"), 2, 3, 4, seed=0)


def test_any_mujoco_environment_comes_back(subject: Subject) -> None:
    contexts = fresh_contexts(EnvConfig("HalfCheetah-v5", size=16), 2, 3, 4, seed=0)
    bodies = subject_of(contexts)
    first, again = (SimulatorSource("simulator", bodies).rollouts(contexts) for _ in range(2))
    assert first.frames is not None and again.frames is not None and first.truth is not None
    assert bodies.objects[0] == "torso" and first.truth.views.area.shape == (2, 4, len(bodies.objects))
    assert subject_of(contexts, seen=False).objects == ()
    np.testing.assert_array_equal(first.frames, again.frames)


def test_another_picture_is_not_where_it_was(push: Contexts, subject: Subject) -> None:
    spoilt = push.frames.copy()
    spoilt[2, -1] += 1
    wrong = Contexts(**{**vars(push), "frames": spoilt})
    with pytest.raises(EnvError, match="does not come back to the picture of context 2"):
        SimulatorSource("simulator", subject).rollouts(wrong)


def test_other_physics_hold_only_in_their_row(push: Contexts, subject: Subject) -> None:
    simulator = SimulatorSource("simulator", subject)
    before = simulator.rollouts(push)
    heavy = SimulatorSource("mass", subject, physics=WrongPhysics("mass", 1.5)).rollouts(push)
    after = simulator.rollouts(push)
    assert before.truth and heavy.truth and after.truth
    np.testing.assert_array_equal(before.truth.features, after.truth.features)
    assert np.abs(before.truth.features - heavy.truth.features).max() > 0.01
    with pytest.raises(EnvError, match="use gravity, mass, friction"):
        WrongPhysics("magnetism", 2.0)
    env = push.env.make()
    model = env.unwrapped.model  # type: ignore[attr-defined]
    masses = model.body_mass.copy()
    assert changeable(model) == ("mass", "friction")
    with pytest.raises(RuntimeError), WrongPhysics("mass", 2.0).of(model):
        raise RuntimeError
    np.testing.assert_array_equal(model.body_mass, masses)


def test_actions_change_as_named(push: Contexts) -> None:
    codec = ActionCodec(gym.make("worldmodel/Push-v0").action_space)
    assert (nothing(codec)(push) == 0).all()
    assert scaled(-1.0, codec)(push) == pytest.approx(-push.actions)
    assert 0.02 < np.abs(noisy(0.1, codec, 0)(push) - push.actions).mean() < 0.2
    given = shuffled(0)(push)
    assert all(any(np.array_equal(g, a) for a in np.delete(push.actions, i, 0)) for i, g in enumerate(given))
    groups = np.repeat(np.arange(5), [1, 4, 2, 3, 2])
    order = derangement(groups, 1)
    assert sorted(order) == list(range(12)) and (groups[order] != groups).all()
    discrete = ActionCodec(gym.make("worldmodel/Push-v0", action_type="discrete").action_space)
    assert (nothing(discrete)(push.under(np.full((4, 6), 3))) == 0).all()


def test_branches_differ_by_actions_alone(push: Contexts) -> None:
    branches = branches_of(push, seed=0)
    assert branches.count == 8 and branches.actions.shape == (4, 8, 6, 2)
    assert (branches.actions[:, 0] == 0).all() and (branches.actions[:, 1] == push.actions).all()
    flat = branches.flat()
    assert flat.ids.tolist() == np.repeat(push.ids, 8).tolist()
    assert (branches.unflat(flat.frames)[:, 3] == push.frames).all()


def test_constant_velocity_goes_on_as_it_was(push: Contexts, subject: Subject) -> None:
    truth = SimulatorSource("simulator", subject).rollouts(push).truth
    assert truth is not None
    moved = ConstantVelocity(subject.spec, truth.first, 0.1).rollouts(push).features
    assert moved is not None
    assert moved[:, 4, :4] == pytest.approx(truth.first[:, :4] + 0.5 * truth.first[:, 4:])
    swing = state_spec(gym.make("worldmodel/Swing-v0").unwrapped.model)  # type: ignore[attr-defined]
    turned = ConstantVelocity(swing, np.array([[0.0, 1.0, np.pi]]), 0.5).rollouts(
        push.select(np.zeros(1, int))
    )
    assert turned.features is not None and turned.features[0, 1] == pytest.approx(
        [0.0, -1.0, np.pi], abs=1e-9
    )


def test_anybodys_model_is_a_row(push: Contexts) -> None:
    def predict(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
        assert actions.shape == (4, 2 + 6, 2)
        return np.repeat(frames[:, -1:], 6, axis=1)

    assert Predicted("theirs", predict).rollouts(push).valid.all()
    with pytest.raises(WorldModelError, match=r"theirs must return frames uint8 \[4, 6, 16, 16, 3\]"):
        Predicted("theirs", lambda frames, actions: frames).rollouts(push)


def test_views_of_two_discs() -> None:
    rows, columns = np.indices((40, 40))
    disc = ((rows - 10) ** 2 + (columns - 20) ** 2 <= 36).astype(np.float32)
    both = disc + np.roll(disc, 15, axis=0)
    seen = views_of(np.stack([disc, both, 0 * disc]))
    assert seen.area.tolist() == [113, 226, 0]
    assert seen.row[:2] == pytest.approx([10, 17.5]) and seen.column[:2] == pytest.approx([20, 20])
    assert seen.spread[0] == pytest.approx(6 / 2**0.5, rel=0.05) and seen.spread[1] > 1.5 * seen.spread[0]
    assert np.isnan([seen.row[2], seen.spread[2]]).all()
