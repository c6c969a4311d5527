"""What a training run shows of held-out episodes, and the best checkpoint that it keeps by it."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from counting_data import HELD, counting
from tiny_world import CONTEXT, SIZE, tiny_world_model
from training_settings import settings

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.frames import as_colours
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.model.denoiser import Denoiser
from worldmodel.training.state import best_loss
from worldmodel.training.strips import Moments
from worldmodel.training.train import train
from worldmodel.training.trainer import Trainer
from worldmodel.training.validation import Validation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting(), policy=HELD, out=folder, episodes=12, workers=0)
    return str(folder)


def losses(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation finds these held-out losses, one after the other."""
    left = iter(values)
    monkeypatch.setattr(Validation, "metrics", lambda self: {"frame": next(left)})


def test_the_best_stays_while_later_ones_are_worse(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses([0.5, 0.3, 0.4, 0.35], monkeypatch)
    last = train(data, str(tmp_path), **settings(steps=8, validate_every=2))
    best = find_checkpoint(tmp_path / "best")
    assert (last.name, best.name) == ("00000008", "00000004")
    assert find_checkpoint(tmp_path) == last
    assert json.loads((best / "validation.json").read_text()) == {"frame": 0.3, "step": 4}
    assert best_loss(tmp_path) == 0.3
    first, second = (
        load_world_model(folder).network.state_dict() for folder in (tmp_path, tmp_path / "best")
    )
    assert any(not first[name].equal(second[name]) for name in first)
    assert not (best / "training.safetensors").exists(), "a world to dream with, not one to train on"


def test_a_resumed_run_remembers_the_best(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses([0.3, 0.4, 0.35], monkeypatch)
    arguments = settings(steps=6, validate_every=2)
    update = Trainer._update
    monkeypatch.setattr(Trainer, "_update", lambda self, batch, stop: update(self, batch, self.step == 2))
    train(data, str(tmp_path), **arguments)
    train(data, str(tmp_path), **arguments)
    assert find_checkpoint(tmp_path).name == "00000006"
    assert find_checkpoint(tmp_path / "best").name == "00000002"


def test_the_last_step_is_validated_too(data: str, tmp_path: Path) -> None:
    train(data, str(tmp_path), **settings(steps=5, validate_every=1000))
    assert find_checkpoint(tmp_path / "best").name == "00000005"


def test_a_damaged_best_is_named(data: str, tmp_path: Path) -> None:
    train(data, str(tmp_path), **settings(max_minutes=0.0, validate_every=1))
    file = find_checkpoint(tmp_path / "best") / "validation.json"
    file.write_text(file.read_text().replace("0", "1"))
    with pytest.raises(CheckpointError, match=r"the checksum of validation\.json differs"):
        train(data, str(tmp_path), **settings(max_minutes=0.0, validate_every=1))


def test_validation_sees_the_same_clips_and_noise_every_time(data: str, tmp_path: Path) -> None:
    found: list[dict[str, float]] = []
    metrics = Validation.metrics

    def twice(self: Validation) -> dict[str, float]:
        found.extend([metrics(self), metrics(self)])
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "metrics", twice)
        train(data, str(tmp_path), **settings(steps=1))
    assert found[0] == found[1] and set(found[0]) == {"loss", "frame", "reward", "termination", "error"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_a_whole_step(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handler, forward = signal.getsignal(number), Denoiser.forward

    def signalled(self, batch, draw):  # type: ignore[no-untyped-def]
        os.kill(os.getpid(), number)
        return forward(self, batch, draw)

    monkeypatch.setattr(Denoiser, "forward", signalled)
    with pytest.raises(KeyboardInterrupt):
        train(data, str(tmp_path), **settings())
    assert find_checkpoint(tmp_path).name == "00000001"
    assert signal.getsignal(number) == handler


def test_bfloat16_gives_every_weight_a_gradient_and_a_loss_in_float32(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    loss = Denoiser._loss

    def noted(self, prediction, *rest):  # type: ignore[no-untyped-def]
        value, metrics = loss(self, prediction, *rest)
        seen.append((prediction.frame.dtype, prediction.reward_logits.dtype, value.dtype))
        return value, metrics

    def without_gradient(self, *arguments):  # type: ignore[no-untyped-def]
        stopped = agree(self, *arguments)
        missing = [name for name, weight in self.network.named_parameters() if weight.grad is None]
        assert not missing
        return stopped

    agree = Trainer._agree
    monkeypatch.setattr(Denoiser, "_loss", noted)
    monkeypatch.setattr(Trainer, "_agree", without_gradient)
    arguments = settings(steps=2, mixed_precision="bf16")
    train(data, str(tmp_path), **arguments)
    assert set(seen) == {(torch.float32,) * 3}
    with pytest.raises(WorldModelError, match=r"train\.mixed_precision=bf16, not no"):
        train(data, str(tmp_path), **settings(steps=2))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_frames_of_any_number_of_channels_can_be_looked_at(channels: int) -> None:
    frames = np.arange(2 * 5 * 5 * channels, dtype=np.uint8).reshape(2, 5, 5, channels)
    shown = as_colours(frames)
    assert shown.shape == (2, 5, 5, 3) and (shown[..., 0] == frames[..., 0]).all()
    assert (shown[..., 2] == frames[..., 2 if channels > 2 else 0]).all()


def test_a_strip_shows_the_truth_above_the_dream(data: str) -> None:
    dataset = EpisodeDataset(data)
    moments = Moments.draw(dataset, dataset.split("train"), 2, seed=0)
    assert moments is not None
    longest = int(dataset.lengths[dataset.split("train")].max())
    assert moments.frames.shape[1:] == (min(2 + 16, longest + 1), *dataset.frame_shape)
    assert moments.actions.shape[1] == moments.frames.shape[1] - 1

    model = tiny_world_model()
    real = torch.randint(0, 256, (2, 6, SIZE, SIZE, 3), dtype=torch.uint8)
    picture = Moments(real, torch.zeros(2, 5, 2), CONTEXT).strip(model)
    tall, wide = SIZE + 2, 6 * SIZE + 2
    assert picture.shape == (4 * tall, wide, 3)
    truth, dream = picture[:SIZE], picture[tall : tall + SIZE]
    known = CONTEXT * SIZE
    assert (truth[:, :known] == dream[:, :known]).all() and (
        truth[:, known + 2 :] != dream[:, known + 2 :]
    ).any()
    assert (truth[:, :SIZE] == real[0, 0].numpy()).all() and (truth[:, -SIZE:] == real[0, -1].numpy()).all()


def test_episodes_too_short_to_dream_make_no_strip(data: str) -> None:
    dataset = EpisodeDataset(data)
    assert Moments.draw(dataset, dataset.split("train"), 100, seed=0) is None
