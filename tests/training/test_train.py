import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from counting_data import HELD, counting
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from worldmodel.data.collect import collect
from worldmodel.errors import CheckpointError, DatasetError, WorldModelError
from worldmodel.model.checkpoint import load_world_model
from worldmodel.training.config import TrainingConfig
from worldmodel.training.train import train
from worldmodel.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs"
TRAINING = {
    "steps": 6,
    "batch_size": 2,
    "clip_length": 3,
    "warmup_steps": 2,
    "validate_every": 4,
    "checkpoint_minutes": 1000.0,
    "mixed_precision": "no",
}


def settings(**training):
    model = yaml.safe_load((CONFIGS / "model" / "debug.yaml").read_text())
    noise = yaml.safe_load((CONFIGS / "noise" / "default.yaml").read_text())
    return {
        "model": model,
        "noise": noise,
        "train": TRAINING | training,
        "num_contexts": 4,
        "num_context_frames": 2,
        "device": "cpu",
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting(), policy=HELD, out=folder, episodes=12, workers=0)
    return str(folder)


def weights(folder):
    return load_file(Path(folder) / "training.safetensors") | load_file(
        Path(folder) / "network" / "diffusion_pytorch_model.safetensors"
    )


def test_a_stopped_and_resumed_run_gives_the_weights_of_the_unbroken_one(data, tmp_path, monkeypatch):
    """Bit for bit: data order, noise, optimiser, averaged weights and learning rate are all restored."""
    whole = train(data, str(tmp_path / "whole"), **settings())
    update = Trainer._update

    def stop_at_step_3(self, batch, stopping):
        if self.step == 3:
            raise KeyboardInterrupt
        return update(self, batch, stopping)

    monkeypatch.setattr(Trainer, "_update", stop_at_step_3)
    with pytest.raises(KeyboardInterrupt):
        train(data, str(tmp_path / "broken"), **settings())
    monkeypatch.setattr(Trainer, "_update", update)
    resumed = train(data, str(tmp_path / "broken"), **settings())
    assert resumed.name == whole.name == "00000006"
    expected, found = weights(whole), weights(resumed)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def test_a_finished_run_is_not_repeated(data, tmp_path, monkeypatch):
    first = train(data, str(tmp_path), **settings())
    monkeypatch.setattr(Trainer, "run", lambda *a: pytest.fail("trained again"))
    assert train(data, str(tmp_path), **settings()) == first


def test_a_run_killed_at_any_moment_leaves_a_whole_checkpoint_and_goes_on(data, tmp_path):
    arguments = settings(steps=100_000, checkpoint_minutes=0.001)
    code = f"from worldmodel.training.train import train; train({data!r}, {str(tmp_path)!r}, **{arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("checkpoints/000*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(np.random.default_rng().uniform(0, 0.3))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    reached = int(load_and_name(tmp_path))
    ended = train(data, str(tmp_path), **settings(steps=100_000, max_minutes=0.001, checkpoint_minutes=0.001))
    assert int(ended.name) > reached
    assert not list(tmp_path.glob("checkpoints/.*")), "what the kill left half-written is cleared away"


def load_and_name(run):
    load_world_model(run)
    return max(path.name for path in (run / "checkpoints").glob("[0-9]*"))


def test_max_minutes_ends_cleanly_with_a_checkpoint_to_go_on_from(data, tmp_path):
    assert train(data, str(tmp_path), **settings(max_minutes=0.0)).name == "00000001"
    assert train(data, str(tmp_path), **settings()).name == "00000006"


def test_other_settings_on_resume_are_refused_by_name(data, tmp_path):
    train(data, str(tmp_path), **settings())
    with pytest.raises(WorldModelError, match=r"train\.batch_size=2, not 4"):
        train(data, str(tmp_path), **settings(batch_size=4))


def test_a_loss_that_is_not_finite_stops_before_the_optimiser_and_keeps_the_weights(
    data, tmp_path, monkeypatch
):
    from worldmodel.model.denoiser import Denoiser

    forward = Denoiser.forward
    calls = []

    def poisoned(self, batch, draw):
        loss, metrics = forward(self, batch, draw)
        calls.append(1)
        return (loss * torch.nan if len(calls) == 3 else loss), metrics

    monkeypatch.setattr(Denoiser, "forward", poisoned)
    with pytest.raises(WorldModelError, match="The loss is nan and its gradient nan at step 2"):
        train(data, str(tmp_path), **settings())
    saved = weights(tmp_path / "checkpoints" / "00000002")
    assert all(value.isfinite().all() for value in saved.values())


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(data, tmp_path, monkeypatch):
    """A finite loss can have an infinite gradient; a step with it once destroyed the weights, and the checkpoint."""
    clip = Accelerator.clip_grad_norm_
    calls = []

    def poisoned(self, parameters, limit):
        parameters = list(parameters)
        calls.append(1)
        if len(calls) == 3:
            next(p for p in parameters if p.grad is not None).grad.fill_(torch.inf)
        return clip(self, parameters, limit)

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", poisoned)
    with pytest.raises(WorldModelError, match=r"lower train\.learning_rate"):
        train(data, str(tmp_path), **settings())
    saved = weights(tmp_path / "checkpoints" / "00000002")
    assert all(value.isfinite().all() for value in saved.values())
    assert train(data, str(tmp_path), **settings(learning_rate=1e-4)).name == "00000006", (
        "as the message advises"
    )


def test_an_interrupt_halfway_through_an_update_is_not_saved_as_a_step(data, tmp_path, monkeypatch):
    """The optimiser had stepped but the average had not: saved as the step before, it was applied twice on resume."""
    whole = train(data, str(tmp_path / "whole"), **settings())
    average = EMAModel.step
    calls = []

    def interrupted(self, parameters):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        average(self, parameters)

    monkeypatch.setattr(EMAModel, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(data, str(tmp_path / "broken"), **settings(checkpoint_minutes=0.0))
    monkeypatch.setattr(EMAModel, "step", average)
    resumed = train(data, str(tmp_path / "broken"), **settings())
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_settings_that_failed_do_not_bind_the_next_call(data, tmp_path):
    with pytest.raises(DatasetError, match="use shorter clips"):
        train(data, str(tmp_path), **settings(clip_length=10_000))
    with pytest.raises(WorldModelError, match=r"train\.seed is -1"):
        train(data, str(tmp_path), **settings(seed=-1))
    assert train(data, str(tmp_path), **settings()).name == "00000006"


def test_a_run_does_not_go_on_with_another_dataset(data, tmp_path):
    train(data, str(tmp_path / "run"), **settings(max_minutes=0.0))
    collect(env=counting(), policy=HELD, out=tmp_path / "other", episodes=13, workers=0)
    with pytest.raises(WorldModelError, match=r"data\.episodes=12, not 13"):
        train(str(tmp_path / "other"), str(tmp_path / "run"), **settings())


@pytest.mark.parametrize("device", ["cuda:7", "tpu"])
def test_a_device_that_is_not_there_is_refused(data, tmp_path, device):
    with pytest.raises(WorldModelError, match=f"device={device} is not available here"):
        train(data, str(tmp_path), **settings() | {"device": device})


def test_a_truncated_training_state_is_named(data, tmp_path):
    folder = train(data, str(tmp_path), **settings())
    state = folder / "training.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=str(folder)):
        train(data, str(tmp_path), **settings())


def test_training_learns_and_logs_it(data, tmp_path):
    train(data, str(tmp_path), **settings(steps=300, batch_size=8, learning_rate=5e-3, validate_every=100))
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    losses = [
        event.value for event in log.Scalars("train/reward")
    ]  # the counting world's reward tells the action
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert [event.step for event in log.Scalars("validation/error")] == [100, 200, 300]


def test_learning_rate_warms_up_holds_and_decays_to_zero():
    config = TrainingConfig(steps=100, batch_size=1, clip_length=1, warmup_steps=10, decay_share=0.4)
    factors = [config.learning_rate_factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:60] == pytest.approx([1.0] * 51)
    assert factors[80] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.05
