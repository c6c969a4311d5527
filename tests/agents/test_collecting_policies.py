"""Collecting with scripts, with agents of ours and with Stable-Baselines3: what they saw is what is stored."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting_data import content_hash, counting
from counting_env import SIZE

from worldmodel.agents.exploration import RandomStretches
from worldmodel.agents.learning.actor_critic import ActorCritic, observation
from worldmodel.agents.learning.storage import save_policy
from worldmodel.agents.scripted import scripted
from worldmodel.agents.trained import trained
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.real_env import EnvConfig

SPACE = gym.spaces.Box(-2.0, 4.0, (3,), np.float32)
SHAPE = (SIZE, SIZE, 3)


def gather(out: Path, policy: dict[str, Any], workers: int = 0, discrete: bool = False) -> EpisodeDataset:
    return collect(counting(discrete=discrete), policy, out, 8, workers=workers, episodes_per_shard=2)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> tuple[ActorCritic, Path]:
    folder = tmp_path_factory.mktemp("run")
    network = ActorCritic(SHAPE, SPACE, channels=8, hidden=16)
    with torch.no_grad():
        for parameter in network.actor.parameters():
            parameter.mul_(30)  # so that its actions differ by what it sees
    save_policy(network, folder / "policy")
    return network.eval(), folder


def test_a_script_sees_the_info_of_the_frame_it_acts_at(tmp_path: Path) -> None:
    policy = {"_target_": "worldmodel.agents.scripted.scripted", "call": "scripts:by_step"}
    dataset = gather(tmp_path / "0", policy)
    for number in range(dataset.episodes):
        actions = dataset.episode(number).actions
        assert actions[:, 0].tolist() == [step / 8 - 2 for step in range(len(actions))]
        assert (actions[:, 1] == 3.5).all()
    gather(tmp_path / "2", policy, workers=2)
    assert content_hash(tmp_path / "0") == content_hash(tmp_path / "2")


def test_random_stretches_take_their_share(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    policy = scripted(SPACE, rng, "scripts:by_step", random_share=0.3)
    assert isinstance(policy, RandomStretches)
    policy.reset()
    random = []
    for _ in range(20_000):
        policy.inform({"step": 0})
        random.append(policy.act(np.zeros(SHAPE, np.uint8))[1] != 3.5)
    assert np.mean(random) == pytest.approx(0.3, abs=0.02)
    lengths = np.diff(np.flatnonzero(np.diff(np.concatenate([[False], random, [False]]).astype(int))))[::2]
    assert lengths.mean() > 4  # held, not jittered


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_random_stretches_at_the_ends(share: float) -> None:
    policy = scripted(SPACE, np.random.default_rng(0), "scripts:by_step", random_share=share)
    policy.reset()
    policy.inform({"step": 0})  # type: ignore[attr-defined]
    acts = [policy.act(np.zeros(SHAPE, np.uint8))[1] for _ in range(50)]
    assert (np.array(acts) != 3.5).all() == (share == 1.0)


def test_an_agent_of_ours_acts_on_what_is_stored(tmp_path: Path, agent: tuple[ActorCritic, Path]) -> None:
    """Its two frames are x_t and x_{t-1}, x_0 twice at the start; the workers' number changes nothing."""
    network, folder = agent
    policy = {"_target_": "worldmodel.agents.trained.trained", "path": str(folder)}
    dataset = gather(tmp_path / "0", policy)
    for number in (0, 7):
        episode = dataset.episode(number)
        frames = frames_to_float(torch.from_numpy(episode.frames[:-1]))
        before = torch.cat([frames[:1], frames[:-1]])
        with torch.no_grad():
            actions = [
                network(observation(x[None], y[None])).actions.mode()[0]
                for x, y in zip(frames, before, strict=True)
            ]
        np.testing.assert_array_equal(network.codec.decode(torch.stack(actions).numpy()), episode.actions)
    gather(tmp_path / "2", policy, workers=2)
    assert content_hash(tmp_path / "0") == content_hash(tmp_path / "2")


def test_an_agent_that_samples_follows_the_episodes_own_rng(
    tmp_path: Path, agent: tuple[ActorCritic, Path]
) -> None:
    policy = {
        "_target_": "worldmodel.agents.trained.trained",
        "path": str(agent[1] / "policy"),
        "sample": True,
    }
    first, torch_state = gather(tmp_path / "a", policy), torch.random.get_rng_state()
    assert not np.array_equal(first.actions, gather(tmp_path / "c", {**policy, "sample": False}).actions)
    gather(tmp_path / "b", policy)
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    assert torch.equal(torch_state, torch.random.get_rng_state())


def sb3_model(path: Path, stacked: int = 1, discrete: bool = False) -> Any:
    """An untrained model, saved as model.zip."""
    sb3 = pytest.importorskip("stable_baselines3", reason="the extra [sb3] is not installed")
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

    env: Any = DummyVecEnv([EnvConfig.from_json(counting(discrete=discrete)).make])
    env = VecFrameStack(env, stacked) if stacked > 1 else env
    model = sb3.PPO(
        "MlpPolicy", env, n_steps=8, batch_size=8, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
    )
    model.save(path / "model")
    return model


@pytest.mark.parametrize("stacked", [1, 3])
@pytest.mark.parametrize("discrete", [False, True], ids=["box", "discrete"])
def test_stable_baselines(tmp_path: Path, stacked: int, discrete: bool) -> None:
    model = sb3_model(tmp_path, stacked, discrete)
    policy = {"_target_": "worldmodel.agents.sb3_policy.sb3_policy", "path": str(tmp_path / "model")}
    dataset = gather(tmp_path / "data", policy, discrete=discrete)
    episode = dataset.episode(3)
    black = np.zeros((stacked - 1, *SHAPE), np.uint8)
    seen = np.concatenate([black, episode.frames])
    for step, action in enumerate(episode.actions):
        stack = np.concatenate(list(seen[step : step + stacked]), axis=-1)
        predicted, _ = model.predict(stack, deterministic=True)
        np.testing.assert_array_equal(predicted + (2 if discrete else 0), action)  # Discrete(5, start=2)


def test_stable_baselines_samples_by_the_episodes_own_rng(tmp_path: Path) -> None:
    sb3_model(tmp_path)
    policy = {
        "_target_": "worldmodel.agents.sb3_policy.sb3_policy",
        "path": str(tmp_path / "model.zip"),
        "sample": True,
    }
    gather(tmp_path / "a", policy)
    torch.rand(3)
    gather(tmp_path / "b", policy)
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("nowhere:act", "cannot be found"),
        ("scripts:nothing", "cannot be found"),
        ("no spaces", "cannot be found"),
        ("scripts:NOT_CALLABLE", "is 3, which is no function"),
    ],
)
def test_scripts_that_cannot_be_found(call: str, message: str) -> None:
    with pytest.raises(WorldModelError, match=message):
        scripted(SPACE, np.random.default_rng(0), call)


def test_agents_that_do_not_fit(tmp_path: Path, agent: tuple[ActorCritic, Path]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(WorldModelError, match="There is no agent at"):
        trained(SPACE, rng, str(tmp_path))
    with pytest.raises(WorldModelError, match=r"acts in Box.*takes Discrete\(3\)"):
        trained(gym.spaces.Discrete(3), rng, str(agent[1]))
    policy = trained(SPACE, rng, str(agent[1]))
    with pytest.raises(WorldModelError, match=r"draws \(8, 8, 3\): set env\.size"):
        policy.act(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(WorldModelError, match="random_share is 2"):
        scripted(SPACE, rng, "scripts:by_step", random_share=2)


def test_what_does_not_fit_is_found_before_anything_is_written(
    tmp_path: Path, agent: tuple[ActorCritic, Path]
) -> None:
    policy = {"_target_": "worldmodel.agents.trained.trained", "path": str(agent[1])}
    with pytest.raises(WorldModelError, match=r"set env\.size"):
        collect({**counting(), "size": 8}, policy, tmp_path / "data", 8)
    wild = {"_target_": "worldmodel.agents.scripted.scripted", "call": "scripts:too_far"}
    with pytest.raises(WorldModelError, match="The action holds 9"):
        collect(counting(), wild, tmp_path / "data", 8)
    assert not (tmp_path / "data").exists()


def test_stable_baselines_that_does_not_fit(tmp_path: Path) -> None:
    from worldmodel.agents.sb3_policy import sb3_policy

    sb3_model(tmp_path)
    rng, path = np.random.default_rng(0), str(tmp_path / "model.zip")
    with pytest.raises(WorldModelError, match="There is no model at"):
        sb3_policy(SPACE, rng, str(tmp_path / "other.zip"))
    with pytest.raises(WorldModelError, match="no algorithm 'PPPO'"):
        sb3_policy(SPACE, rng, path, algorithm="PPPO")
    with pytest.raises(WorldModelError, match="The model acts in"):
        sb3_policy(gym.spaces.Discrete(3), rng, path)
    with pytest.raises(WorldModelError, match=r"draws \(8, 8, 3\): set env\.size"):
        sb3_policy(SPACE, rng, path).act(np.zeros((8, 8, 3), np.uint8))
