"""Agents on disk: exact round trips, and one sentence for whatever is wrong with a folder."""

from pathlib import Path

import pytest
import torch
from gymnasium import spaces

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.storage import (
    load_policy,
    restore_learner,
    save_learner,
    save_policy,
    saved_learners,
)
from worldmodel.errors import CheckpointError
from worldmodel.files import read_json, write_json

SPACE = spaces.Discrete(3, start=1)


def new_policy(seed: int = 0) -> ActorCritic:
    return ActorCritic((16, 16, 3), SPACE, channels=8, hidden=16, seed=seed)


def frames() -> torch.Tensor:
    return torch.rand(4, 6, 16, 16, generator=torch.Generator().manual_seed(0))


def train_a_little(policy: ActorCritic, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(3):
        optimizer.zero_grad()
        outlook = policy(frames())
        (outlook.value.square().mean() + outlook.actions.parameters.square().mean()).backward()
        optimizer.step()


def test_a_policy_comes_back_bit_for_bit(tmp_path: Path) -> None:
    policy = new_policy(5)
    policy.rescale_values(torch.tensor(3.0), torch.tensor(2.0))
    save_policy(policy, tmp_path / "policy", {"frames": 7})
    again = load_policy(tmp_path / "policy")
    assert torch.equal(again(frames()).value, policy(frames()).value)
    assert torch.equal(again(frames()).actions.parameters, policy(frames()).actions.parameters)
    assert again.action_space == SPACE and again.frame_shape == (16, 16, 3)
    assert read_json(tmp_path / "policy" / "policy.json")["about"] == {"frames": 7}


def test_learning_goes_on_exactly(tmp_path: Path) -> None:
    policy, other = new_policy(1), new_policy(2)
    optimizer, second = (torch.optim.Adam(p.parameters(), 1e-2) for p in (policy, other))
    train_a_little(policy, optimizer)
    save_learner(policy, optimizer, tmp_path / "0001", {"rows": []})
    assert restore_learner(tmp_path / "0001", other, second) == {"rows": []}
    train_a_little(policy, optimizer)
    train_a_little(other, second)
    for name, value in policy.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_an_unfinished_folder_is_no_checkpoint(tmp_path: Path) -> None:
    policy = new_policy()
    save_policy(policy, tmp_path / "0002")
    (tmp_path / "0003").mkdir()
    (tmp_path / ".0004.tmp-x").mkdir()
    assert saved_learners(tmp_path) == [tmp_path / "0002"]


def test_a_missing_agent_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is no agent at .*: give the policy folder"):
        load_policy(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_a_truncated_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    save_policy(new_policy(), tmp_path / "policy")
    file = tmp_path / "policy" / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=r"restore|truncated") as error:
        load_policy(tmp_path / "policy")
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_one_sentence(tmp_path: Path) -> None:
    save_policy(new_policy(), tmp_path / "policy")
    manifest = tmp_path / "policy" / "policy.json"
    content = read_json(manifest)
    write_json(manifest, {**content, "network": {**content["network"], "hidden": 32}})
    with pytest.raises(CheckpointError, match="damaged") as error:
        load_policy(tmp_path / "policy")
    assert "\n" not in str(error.value)


def test_a_newer_version_says_upgrade(tmp_path: Path) -> None:
    save_policy(new_policy(), tmp_path / "policy")
    manifest = tmp_path / "policy" / "policy.json"
    write_json(manifest, {**read_json(manifest), "version": 99})
    with pytest.raises(CheckpointError, match="upgrade worldmodel"):
        load_policy(tmp_path / "policy")


def test_another_json_is_no_agent(tmp_path: Path) -> None:
    write_json(tmp_path / "policy.json", {"format": "something"})
    with pytest.raises(CheckpointError, match="does not describe an agent"):
        load_policy(tmp_path)
