"""Two processes that torchrun starts train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator, PartialState
from counting_data import HELD, counting
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_settings import settings

from worldmodel.data.collect import collect
from worldmodel.errors import WorldModelError
from worldmodel.noise import BatchNoise, seeded_generator
from worldmodel.training.processes import choose_precision, make_accelerator, on_main
from worldmodel.training.train import train

FAKES = Path(__file__).parents[1] / "fakes"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting(), policy=HELD, out=folder, episodes=12, workers=0)
    return str(folder)


@pytest.fixture(scope="module")
def shared(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What several_processes.py leaves."""
    out = tmp_path_factory.mktemp("several")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(FAKES)}
    script = [str(FAKES / "several_processes.py"), data, str(out)]
    done = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training on cpu in float32, 2 processes") == 4, "only the main process says so"
    return out


def scalars(run: Path, name: str) -> list[float]:
    log = EventAccumulator(str(run / "tensorboard"))
    log.Reload()
    return [event.value for event in log.Scalars(name)]


@pytest.mark.parametrize(("optimizer", "tolerance"), [("adamw", 1e-5), ("muon", 1e-3)])
def test_two_processes_get_the_losses_and_weights_of_one(
    data: str, shared: Path, tmp_path: Path, optimizer: str, tolerance: float
) -> None:
    """At the same batch, which they share: noise and clips are the same. Muon turns its
    matrices in bfloat16 (torch.optim.Muon), which makes more of what the order of a sum rounds off."""
    alone = train(data, str(tmp_path), **settings(batch_size=6, steps=10, optimizer=optimizer))
    run = shared / ("shared" if optimizer == "adamw" else "muon")
    for name in ("train/loss", "train/frame", "train/reward", "train/termination", "train/gradient_norm"):
        assert scalars(run, name) == pytest.approx(scalars(tmp_path, name), rel=tolerance), name
    assert scalars(run, "validation/frame") == pytest.approx(
        scalars(tmp_path, "validation/frame"), rel=tolerance
    )
    for file in ("training.safetensors", "network/diffusion_pytorch_model.safetensors"):
        expected, found = load_file(alone / file), load_file(run / "checkpoints" / alone.name / file)
        for name in expected:
            assert torch.allclose(expected[name], found[name], atol=tolerance), name


def test_all_processes_return_when_the_checkpoint_is_there(shared: Path) -> None:
    assert [(shared / f"reached-{rank}").read_text() for rank in range(2)] == ["00000010"] * 2


def test_the_others_wait_for_hours_for_what_the_main_process_does_alone(shared: Path) -> None:
    """NCCL gives up after ten minutes, less than a large dataset's check takes."""
    assert all(float((shared / f"patience-{rank}").read_text()) > 6 * 3600 for rank in range(2))


def test_a_stop_of_one_process_is_one_of_all(shared: Path) -> None:
    assert [(shared / f"stopped-{rank}").read_text() for rank in range(2)] == ["00000001"] * 2


def test_a_loss_that_is_not_finite_on_one_process_stops_all_before_the_optimiser(shared: Path) -> None:
    for rank in range(2):
        message = (shared / f"poisoned-{rank}").read_text()
        assert message.startswith("The loss is nan and its gradient nan at step 2;")
    saved = load_file(shared / "poisoned" / "checkpoints" / "00000002" / "training.safetensors")
    assert all(value.isfinite().all() for value in saved.values())


def test_clips_that_do_not_divide_are_refused(shared: Path) -> None:
    expected = "train.batch_size=5 clips do not divide among 2 processes: give a multiple of 2."
    assert [(shared / f"odd-{rank}").read_text() for rank in range(2)] == [expected] * 2


def test_what_only_the_main_process_can_see_stops_all(shared: Path) -> None:
    """Settings of the run folder are compared by the main process; the others must not wait for it for ever."""
    assert "train.batch_size=6, not 4" in (shared / "other-0").read_text()
    assert (shared / "other-1").read_text() == "Stopped because the main process was, which says why."


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_noise_of_all_processes_is_that_of_one(world: int) -> None:
    def drawn(rank: int, world: int) -> list[torch.Tensor]:
        draw = BatchNoise(seeded_generator(0, 1, 2, torch.device("cpu")), rank, world)
        return [draw.normal(6, 2), draw.uniform(5)]

    normal, uniform = drawn(0, 1)
    for rank in range(world):
        own = drawn(rank, world)
        assert own[0].equal(normal[rank::world]) and own[1].equal(uniform[rank::world])


def test_alone_the_error_of_an_action_is_its_own() -> None:
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    assert on_main(accelerator, lambda: 3) == 3
    with pytest.raises(WorldModelError, match="it broke"):
        on_main(accelerator, lambda: (_ for _ in ()).throw(WorldModelError("it broke")))


def test_a_process_may_train_on_one_device_and_then_on_another() -> None:
    """accelerate gave the first one again, without a word."""
    assert make_accelerator("cpu").device.type == "cpu"
    PartialState._shared_state["device"] = torch.device("meta")  # stands for a GPU
    assert make_accelerator("cpu").device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_trains_in_bfloat16_after_a_cpu_did(data: str, tmp_path: Path, device: str) -> None:
    train(data, str(tmp_path / "cpu"), **settings(steps=1))
    done = train(data, str(tmp_path / "gpu"), **settings(mixed_precision="auto") | {"device": device})
    saved = load_file(done / "training.safetensors")
    assert all(value.isfinite().all() for value in saved.values())
    kept = json.loads((tmp_path / "gpu" / "settings.json").read_text())
    assert kept["train"]["mixed_precision"] == "bf16"


def test_auto_takes_bfloat16_where_it_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    from worldmodel.training import processes

    for native, expected in ((True, "bf16"), (False, "no")):
        monkeypatch.setattr(processes, "native_bfloat16", lambda device, native=native: native)
        assert choose_precision("auto", torch.device("cpu")) == expected
        assert choose_precision("no", torch.device("cpu")) == "no"
        assert choose_precision("bf16", torch.device("cpu")) == "bf16", "emulated where it must be"
    with pytest.raises(WorldModelError, match=r"no bfloat16: give train\.mixed_precision=no"):
        choose_precision("bf16", torch.device("cuda"))
