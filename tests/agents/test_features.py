"""Agents that see what a world model's trunk makes of frames: the same in dreams, in reality, and on disk."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from counting_dream import CountingDream, dream_world, picture
from gymnasium import spaces
from tiny_world import PUSH_LIKE, SIZE, WINDOW, tiny_world_model
from torch import Tensor

from worldmodel.agents.actor_critic import ActorCritic, feature_observation
from worldmodel.agents.learn import Budget, learn
from worldmodel.agents.play import PolicyActor, play
from worldmodel.agents.ppo import PPOConfig
from worldmodel.agents.real_sight import RealSight
from worldmodel.agents.storage import load_policy, save_policy
from worldmodel.agents.trained import trained
from worldmodel.agents.world_source import WorldSource
from worldmodel.agents.worlds import DreamWorld
from worldmodel.data.collect import collect
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.files import atomic_directory, read_json
from worldmodel.frames import frames_to_float
from worldmodel.model.checkpoint import save_world_model
from worldmodel.model.state import Transition
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig

FEATURES = 16
PUSH = {"id": "worldmodel/Push-v0", "size": SIZE, "kwargs": {"max_episode_steps": WINDOW}}


def write(model: WorldModel, folder: Path) -> Path:
    with atomic_directory(folder) as temporary:
        save_world_model(model, temporary)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tiny_world_model(), tmp_path_factory.mktemp("world") / "checkpoint")


def agent_in(checkpoint: Path, hidden: int = 16) -> ActorCritic:
    """One whose actions differ by what it sees."""
    source = WorldSource.of(str(checkpoint))
    agent = ActorCritic((SIZE, SIZE, 3), PUSH_LIKE, hidden=hidden, features=FEATURES, world=source)
    with torch.no_grad():
        for parameter in agent.actor.parameters():
            parameter.mul_(30)
    return agent.eval()


def known_of(model: WorldModel, frames: Tensor, actions: Tensor) -> Tensor:
    """What an agent sees of the last of these frames of one episode, all taken in at once."""
    state = model.begin(frames[None], actions[None], torch.tensor([0]))
    return feature_observation(state.features)[0]


def test_what_is_not_known_is_marked() -> None:
    seen = feature_observation(torch.tensor([[1.0, -2.0], [torch.nan, torch.nan]]))
    assert seen.tolist() == [[1.0, -2.0, 1.0], [0.0, 0.0, 0.0]]


def test_dreams_show_their_features_and_some_begin_like_episodes() -> None:
    model = tiny_world_model()
    world = DreamWorld(model, num_worlds=64, horizon=2, features=True)
    first = world.reset(0)
    assert first.shape == (64, FEATURES + 1)
    known = first[:, -1] == 1
    assert 0 < (~known).sum() < 20 and not first[~known].any(), "a tenth of them"
    of_contexts = model.begin(model.contexts.frames, model.contexts.actions, torch.arange(5)).features
    distance = (first[known, None, :-1] - of_contexts).abs().amax(-1).amin(1)
    assert distance.max() < 1e-4, "the others are those of the contexts"
    transitions: list[Transition] = []
    step_of = model.step
    model.step = lambda *a: transitions.append(step_of(*a)) or transitions[-1]  # type: ignore[method-assign]
    one, two = world.step(torch.zeros(64, 2)), world.step(torch.zeros(64, 2))
    for step, transition in zip((one, two), transitions, strict=True):
        assert torch.equal(step.final, feature_observation(transition.features))
    assert torch.equal(one.observation, one.final) and (one.final[:, -1] == 1).all()
    assert two.truncated.all() and not torch.equal(two.observation, two.final)
    again = DreamWorld(model, num_worlds=64, horizon=2, features=True)
    assert torch.equal(again.reset(0), first)


class SignalDream(CountingDream):
    """The features say which action pays 1 now; the frames are all black. Begun from one frame they say nothing."""

    def __init__(self) -> None:
        super().__init__(spaces.Discrete(2))

    def begin(self, frames: Tensor, actions: Tensor, seeds: Tensor) -> Any:
        black = frames_to_float(picture(torch.zeros(len(frames))))
        state = _Signals(last=black, previous=black, seed=seeds.clone(), features=torch.zeros(len(frames), 2))
        state.features = self._signal(state)
        if frames.shape[1] == 1:
            state.features[:] = torch.nan
        return state

    def step(self, state: Any, action: Tensor, num_inference_steps: int | None = None) -> Transition:
        reward = (action * self._signal(state)).sum(-1)
        state.seed = state.seed * 6364136223846793005 + 1442695040888963407
        state.features = self._signal(state)
        nothing = torch.zeros(len(reward))
        return Transition(state.last, reward, nothing, nothing, state.features, nothing.bool())

    def _signal(self, state: Any) -> Tensor:
        return torch.nn.functional.one_hot((state.seed >> 40) & 1, 2).float()


class _Signals(SimpleNamespace):
    def assign(self, index: Tensor, other: Any) -> None:
        for name in ("seed", "features"):
            getattr(self, name)[index] = getattr(other, name)


@pytest.mark.parametrize("features", [True, False])
def test_an_agent_learns_what_only_the_features_tell(tmp_path: Path, features: bool) -> None:
    world = dream_world(SignalDream(), num_worlds=32, horizon=8, features=features)
    sight = {"features": 2} if features else {}
    policy = ActorCritic((8, 8, 3), spaces.Discrete(2), channels=8, hidden=32, **sight)
    config = PPOConfig(rollout_steps=8, epochs=4, minibatches=2, gamma=0.5, learning_rate=3e-3)
    rows = learn(policy, world, config, Budget(frames=32 * 8 * 20), tmp_path)
    assert (rows[-1].reward > 0.9) == features


def test_real_episodes_are_seen_as_the_world_would_see_them_whole() -> None:
    """Four episodes, of which some end and some begin while another goes on."""
    model = tiny_world_model()
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (4, WINDOW + 1, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    actions = torch.rand(4, WINDOW + 1, 2, generator=generator) * 2 - 1
    sight, step = RealSight(model), dict.fromkeys(range(4), 0)
    for playing in ([0, 1], [0, 1], [0, 2, 3], [2, 0, 3], [3, 0]):
        at = torch.tensor([step[episode] for episode in playing])
        seen = sight.see(frames[playing, at], playing)
        for row, episode in zip(seen, playing, strict=True):
            length = step[episode]
            expected = known_of(model, frames[episode, : length + 1], actions[episode, :length])
            torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)
            step[episode] += 1
        sight.took(actions[playing, at], playing)


def test_an_agent_plays_on_what_its_world_makes_of_reality(checkpoint: Path) -> None:
    agent = agent_in(checkpoint)
    model, codec = agent.world.load(), agent.codec  # type: ignore[union-attr]
    played = play(PolicyActor(agent), EnvConfig.from_json(PUSH), episodes=3, seed=1, keep=WINDOW, at_once=2)
    for episode in played:
        frames, actions = torch.from_numpy(episode.frames), torch.from_numpy(codec.encode(episode.actions))
        for step in range(len(actions)):
            seen = known_of(model, frames[: step + 1], actions[:step])[None]
            with torch.no_grad():
                expected = agent.codec.decode(agent(seen).actions.mode().numpy())[0]
            np.testing.assert_allclose(episode.actions[step], expected, atol=1e-3)


def test_its_world_is_told_of_actions_that_were_taken_instead(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_policy(agent_in(checkpoint), tmp_path / "run" / "policy")
    told: list[np.ndarray] = []
    observe = WorldModel.observe

    def listening(self: WorldModel, state: Any, action: Tensor, frame: Tensor) -> None:
        told.append(action[0].numpy())
        observe(self, state, action, frame)

    monkeypatch.setattr(WorldModel, "observe", listening)
    policy = {
        "_target_": "worldmodel.agents.trained.trained",
        "path": str(tmp_path / "run"),
        "random_share": 0.4,
    }
    dataset = collect(PUSH, policy, tmp_path / "data", 4, workers=0)
    taken = [dataset.codec.encode(dataset.episode(k).actions)[:-1] for k in range(4)]
    np.testing.assert_allclose(np.stack(told)[-sum(map(len, taken)) :], np.concatenate(taken), atol=1e-6)


def test_a_policy_on_features_comes_back_with_its_world(tmp_path: Path, checkpoint: Path) -> None:
    agent = agent_in(checkpoint)
    save_policy(agent, tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    seen = torch.rand(3, FEATURES + 1)
    assert torch.equal(again(seen).value, agent(seen).value) and again.world == agent.world
    about = read_json(tmp_path / "policy" / "policy.json")
    assert about["world"] == {"checkpoint": str(checkpoint), "sha256": agent.world.sha256}  # type: ignore[union-attr]


def test_a_world_that_is_missing_or_another_is_one_sentence(tmp_path: Path, checkpoint: Path) -> None:
    rng = np.random.default_rng(0)
    moved = write(tiny_world_model(), tmp_path / "moved")
    agent = agent_in(moved)
    save_policy(agent, tmp_path / "policy")
    moved.rename(tmp_path / "elsewhere")
    with pytest.raises(
        CheckpointError, match=r"that is not at .*moved: bring it back.*policy\.world="
    ) as missing:
        trained(PUSH_LIKE, rng, str(tmp_path / "policy"))
    changed = tiny_world_model()
    with torch.no_grad():
        changed.network.termination.bias.add_(1.0)
    write(changed, tmp_path / "changed")
    with pytest.raises(CheckpointError, match=r"features of another world model than .*changed") as other:
        trained(PUSH_LIKE, rng, str(tmp_path / "policy"), world=str(tmp_path / "changed"))
    assert "\n" not in str(missing.value) + str(other.value)
    policy = trained(PUSH_LIKE, rng, str(tmp_path / "policy"), world=str(tmp_path / "elsewhere"))
    policy.reset()
    assert policy.act(np.zeros((SIZE, SIZE, 3), np.uint8)) in PUSH_LIKE
    on_frames = ActorCritic((SIZE, SIZE, 3), PUSH_LIKE, channels=4, hidden=8)
    save_policy(on_frames, tmp_path / "plain")
    with pytest.raises(WorldModelError, match=r"sees frames.*leave policy\.world out"):
        trained(PUSH_LIKE, rng, str(tmp_path / "plain"), world=str(checkpoint))
