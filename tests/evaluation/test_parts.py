"""Finished parts are known again only by all that they depend on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_data import HELD

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.pieces import write_pieces
from worldmodel.evaluation.moments.contexts import fresh_contexts
from worldmodel.evaluation.moments.rollouts import Contexts, Predicted
from worldmodel.evaluation.moments.simulator import restore
from worldmodel.evaluation.parts import Parts
from worldmodel.evaluation.probe.probe import data_version
from worldmodel.evaluation.rows.closed_loop import Stage
from worldmodel.evaluation.rows.policies import Candidate, PixelEyes, linear, mixed, open_loop
from worldmodel.evaluation.rows.rows import contexts_key
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

STEPS = 3


@pytest.fixture(scope="module")
def push() -> Contexts:
    return fresh_contexts(EnvConfig("worldmodel/Push-v0", size=16), 2, 3, STEPS, seed=0)


@pytest.fixture
def stage(push: Contexts, tmp_path: Path) -> Any:
    env = push.env.make()
    codec = ActionCodec(env.action_space)
    env.close()
    made = Stage(push, lambda env, n: restore(env, push, n), codec, 0, Parts(tmp_path))
    yield made
    made.close()


def played(stage: Stage, candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it was played in the real environment, and not found among the finished parts."""
    calls = []
    monkeypatch.setattr(stage, "_play", lambda make, steps: calls.append(make) or np.zeros((2, steps)))
    stage.real(candidate, STEPS)
    return bool(calls)


def test_a_policy_is_known_again_by_what_it_does_and_not_by_its_name(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    eyes, codec = PixelEyes(), stage.codec
    one, other = (np.full((codec.size, 1 + eyes.size), value) for value in (0.1, 0.2))
    base = linear("best", eyes, one, codec)
    assert played(stage, base, monkeypatch) and not played(stage, base, monkeypatch)
    assert played(stage, linear("best", eyes, other, codec), monkeypatch)
    assert played(stage, mixed("half", base, 0.5, codec), monkeypatch)
    assert played(stage, mixed("half", linear("best", eyes, other, codec), 0.5, codec), monkeypatch)


def test_an_agent_may_have_learned_since(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = {candidate.name: candidate for candidate in open_loop(stage.codec, {"mine": HELD})}
    assert all(played(stage, candidates["mine"], monkeypatch) for _ in range(2))
    assert [played(stage, candidates["random"], monkeypatch) for _ in range(2)] == [True, False]


def test_contexts_of_other_episodes_are_others(push: Contexts) -> None:
    """Options and seeds are not part of a simulator state: of the first frames of two worlds all else is alike."""
    heavier = replace(push, options=({"mass": 2.0},) * 2)
    reseeded = replace(push, seeds=push.seeds + 1)
    assert len({contexts_key(contexts) for contexts in (push, heavier, reseeded)}) == 3


def test_nothing_is_kept_of_what_cannot_be_known_again(tmp_path: Path) -> None:
    parts, made = Parts(tmp_path), []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"rewards": np.arange(3.0)}

    for _ in range(2):
        parts.get(make, row="theirs", identity=None)
    assert len(made) == 2 and not list(tmp_path.iterdir())


def test_a_damaged_part_is_made_again(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.get(lambda: {"a": np.arange(9.0)}, row="x")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    damaged = [b"", whole[: len(whole) // 2], whole[:-1]]
    damaged += [whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :] for i in range(0, len(whole), 3)]
    for content in damaged:
        path.write_bytes(content)
        assert parts.get(lambda: {"a": np.arange(9.0)}, row="x")["a"].tolist() == list(range(9))


def test_anybodys_function_may_spoil_its_arguments(push: Contexts) -> None:
    kept, frames = push.frames.copy(), np.empty((2, STEPS, 16, 16, 3), np.uint8)

    def predict(context: np.ndarray, actions: np.ndarray) -> np.ndarray:
        context[:] = 0
        frames[:] = len(returned)
        return frames

    returned: list[np.ndarray] = []
    for _ in range(2):
        made = Predicted("theirs", predict).rollouts(push).frames
        assert made is not None
        returned.append(made)
    np.testing.assert_array_equal(push.frames, kept)
    assert (returned[0] == 0).all() and (returned[1] == 1).all()


def test_a_dataset_of_several_pieces_has_a_version(tmp_path: Path) -> None:
    env = {"id": "worldmodel/Push-v0", "size": 8, "kwargs": {"supersample": 1}}
    for name, seed in (("a", 1), ("b", 2)):
        collect(env, HELD, tmp_path / name, episodes=2, seed=seed, workers=0)
    write_pieces(tmp_path, ["a", "b"])
    joined, first = EpisodeDataset(tmp_path), EpisodeDataset(tmp_path / "a")
    assert data_version(joined) != data_version(first) and len(data_version(joined)[0]) == 2
