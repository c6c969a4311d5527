"""Devices by name."""

import pytest
import torch

from worldmodel.device import chosen_device, usable_device
from worldmodel.errors import WorldModelError


def test_a_device_that_is_there() -> None:
    assert usable_device("cpu") == torch.device("cpu") == chosen_device("cpu")
    assert chosen_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["foo", "cuda:99", 3.5])
def test_one_that_is_not_is_refused_in_one_sentence(name: object) -> None:
    with pytest.raises(WorldModelError, match="cannot use here"):
        usable_device(name)


def test_the_gpus_that_are_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(WorldModelError, match="give 'cpu' or 'cuda:0' or 'cuda:1'"):
        usable_device("cuda:99")
