import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from counting_data import HELD, counting
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_settings import settings

from worldmodel.data.collect import collect
from worldmodel.errors import CheckpointError, DatasetError, WorldModelError
from worldmodel.model.checkpoint import load_world_model
from worldmodel.training.config import TrainingConfig
from worldmodel.training.train import train
from worldmodel.training.trainer import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting(), policy=HELD, out=folder, episodes=12, workers=0)
    return str(folder)


def weights(folder):
    return load_file(Path(folder) / "training.safetensors") | load_file(
        Path(folder) / "network" / "diffusion_pytorch_model.safetensors"
    )


def files_of(folder):
    """Path -> content."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_stopped_and_resumed_run_gives_the_weights_of_the_unbroken_one(
    data, tmp_path, monkeypatch, precision
):
    """Bit for bit: clips and their order, noise, optimiser, averaged weights, learning rate and the best so far."""
    update, seen = Trainer._update, []

    def noted(self, batch, stopping):
        metrics, stopped = update(self, batch, stopping)
        seen.append(
            (self.step, batch.frames.clone(), metrics["learning_rate"].item(), metrics["loss"].item())
        )
        return metrics, stopped

    def stop_at_step_3(self, batch, stopping):
        if self.step == 3:
            raise KeyboardInterrupt
        return update(self, batch, stopping)

    arguments = settings(mixed_precision=precision, validate_every=2)
    monkeypatch.setattr(Trainer, "_update", noted)
    whole = train(data, str(tmp_path / "whole"), **arguments)
    unbroken, seen = seen[3:], []
    monkeypatch.setattr(Trainer, "_update", stop_at_step_3)
    with pytest.raises(KeyboardInterrupt):
        train(data, str(tmp_path / "broken"), **arguments)
    monkeypatch.setattr(Trainer, "_update", noted)
    resumed = train(data, str(tmp_path / "broken"), **arguments)
    assert resumed.name == whole.name == "00000006"
    expected, found = weights(whole), weights(resumed)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    assert [(step, *rest) for step, _, *rest in unbroken] == [(step, *rest) for step, _, *rest in seen]
    assert all(before[1].equal(after[1]) for before, after in zip(unbroken, seen, strict=True))
    assert files_of(tmp_path / "whole" / "best") == files_of(tmp_path / "broken" / "best")


def test_a_finished_run_is_not_repeated(data, tmp_path, monkeypatch):
    first = train(data, str(tmp_path), **settings())
    monkeypatch.setattr(Trainer, "run", lambda *a: pytest.fail("trained again"))
    assert train(data, str(tmp_path), **settings()) == first


def test_a_run_killed_at_any_moment_leaves_a_whole_checkpoint_and_goes_on(data, tmp_path):
    arguments = settings(steps=100_000, checkpoint_minutes=0.001, validate_every=5)
    code = f"from worldmodel.training.train import train; train({data!r}, {str(tmp_path)!r}, **{arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 120
        first = ("best/000*", "checkpoints/000*")  # either may be written before the other
        while not all(map(list, map(tmp_path.glob, first))) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(np.random.default_rng().uniform(0, 0.3))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    reached = int(load_and_name(tmp_path))
    load_world_model(tmp_path / "best")
    ended = train(data, str(tmp_path), **arguments | settings(steps=100_000, max_minutes=0.001))
    assert int(ended.name) > reached
    assert not list(tmp_path.glob("*/.*")), "what the kill left half-written is cleared away"
    assert len(list(tmp_path.glob("*/0*"))) == 2, "the last and the best"


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


@pytest.mark.parametrize(
    ("device", "reason"),
    [("cuda:7", "torch cannot use"), ("tpu", "torch cannot use"), ("meta", "training cannot")],
)
def test_a_device_that_is_not_there_is_refused(data, tmp_path, device, reason):
    with pytest.raises(WorldModelError, match=f"^device is '{device}', wh[a-z]+ {reason}[^.]*: give 'cpu'"):
        train(data, str(tmp_path), **settings() | {"device": device})


def test_a_truncated_training_state_is_named(data, tmp_path):
    folder = train(data, str(tmp_path), **settings())
    state = folder / "training.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=str(folder)):
        train(data, str(tmp_path), **settings())


def test_training_learns_and_logs_it(data, tmp_path):
    train(data, str(tmp_path), **settings(steps=200, batch_size=8, learning_rate=5e-3, validate_every=100))
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    losses = [event.value for event in log.Scalars("train/reward")]  # the reward tells the action
    assert len(losses) == 20
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert [event.step for event in log.Scalars("validation/error")] == [100, 200]
    pictures = log.Images("validation/true_above_dreamt")
    assert [picture.step for picture in pictures] == [100, 200]
    for name in ("gradient_norm", "learning_rate", "frames_per_second"):
        assert all(event.value > 0 for event in log.Scalars(f"train/{name}"))
    rates = [event.value for event in log.Scalars("train/learning_rate")]
    assert rates[5] == pytest.approx(5e-3) and rates[-1] < rates[5] / 50


def test_a_run_may_start_from_the_weights_of_another(data, tmp_path):
    first = train(data=data, out=tmp_path / "first", **settings(steps=6))
    fresh = settings(steps=1, learning_rate=1e-9)
    second = train(data=data, out=tmp_path / "second", weights=str(tmp_path / "first"), **fresh)
    learned = load_world_model(first).network.state_dict()
    for name, value in load_world_model(second).network.state_dict().items():
        torch.testing.assert_close(value, learned[name], rtol=0, atol=1e-6)


def test_a_run_goes_on_without_the_weights_it_started_from(data, tmp_path):
    train(data=data, out=tmp_path / "first", **settings(steps=1))
    whole = {"weights": str(tmp_path / "first"), "data": data, "out": tmp_path / "second"}
    train(**whole, **settings(steps=2, max_minutes=0))
    shutil.rmtree(tmp_path / "first")
    assert train(**whole, **settings(steps=2)).name == "00000002"


def test_weights_of_another_network_are_refused(data, tmp_path):
    train(data=data, out=tmp_path / "first", **settings(steps=1))
    wider = settings(steps=1)
    wider["model"] = {**wider["model"], "width": 32}
    with pytest.raises(WorldModelError, match="not the one that this run"):
        train(data=data, out=tmp_path / "second", weights=str(tmp_path / "first"), **wider)
    assert not (tmp_path / "second").exists()


def test_learning_rate_warms_up_holds_and_decays_to_zero():
    config = TrainingConfig(steps=100, batch_size=1, clip_length=1, warmup_steps=10, decay_share=0.4)
    factors = [config.learning_rate_factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:60] == pytest.approx([1.0] * 51)
    assert factors[80] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.05
