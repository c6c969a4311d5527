"""What a benchmark says follows from what it measures, and what it counts is what is computed."""

from __future__ import annotations

import pytest
import torch
from tiny_world import tiny_world_model
from torch.nn import functional as F

from worldmodel.benchmark.benchmark import Benchmark, BenchmarkConfig, run_benchmark
from worldmodel.benchmark.dream import Speed, begin, double_until_flat, measure_speed, stepper
from worldmodel.benchmark.flat import measure_flatness, state_bytes
from worldmodel.benchmark.flops import count_flops
from worldmodel.benchmark.memory import PeakMemory
from worldmodel.benchmark.parts import REST, by_part, time_parts
from worldmodel.benchmark.peak import measure_peak
from worldmodel.benchmark.timing import MIN_STEPS, torch_threads
from worldmodel.benchmark.training import measure_training
from worldmodel.benchmark.untrained import untrained_world
from worldmodel.errors import EnvError, WorldModelError
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return tiny_world_model()


@pytest.fixture(scope="module")
def result(model: WorldModel) -> Benchmark:
    config = BenchmarkConfig((1, 2), (1,), parts_batch=2, training_batch=2, training_clip=3, seconds=0.01)
    return run_benchmark(model, config)


@pytest.mark.parametrize("mask", [None, torch.ones(16, 64, dtype=torch.bool)])
def test_fused_attention_on_a_cpu_is_counted(model: WorldModel, mask: torch.Tensor | None) -> None:
    """torch's own counter counts it as free."""
    query, key = torch.randn(2, 3, 16, 32), torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        counts = count_flops(
            lambda: F.scaled_dot_product_attention(query, key, key, attn_mask=mask), model.network
        )
    assert counts["total"] == 2 * 2 * (2 * 3) * 16 * 64 * 32


def test_convolutions_and_products_are_counted(model: WorldModel) -> None:
    convolution, linear = torch.nn.Conv2d(8, 16, 3, padding=1), torch.nn.Linear(8, 16)
    assert count_flops(lambda: convolution(torch.randn(1, 8, 10, 10)), model.network)["total"] == (
        2 * 8 * 16 * 9 * 100
    )
    assert count_flops(lambda: linear(torch.randn(5, 8)), model.network)["total"] == 2 * 5 * 8 * 16


def test_parts_add_up_and_double_with_the_passes(model: WorldModel) -> None:
    state, action = begin(model, 1), torch.zeros(1, 2)
    one, two = (
        count_flops(lambda p=passes: model.step(state, action, p), model.network)  # type: ignore[misc]
        for passes in (1, 2)
    )
    assert sum(count for part, count in two.items() if part != "total") == two["total"]
    assert two[REST] == 0, "all matrix products are in the network"
    for part in ("conditioning", "encoder", "transformer: attention", "transformer: mlp", "decoder", "heads"):
        assert two[part] == 2 * one[part] > 0


def test_times_by_part_add_up(model: WorldModel) -> None:
    seconds = time_parts(stepper(model, 2), model.network, 0.01)
    assert sum(s for part, s in seconds.items() if part != "total") == pytest.approx(seconds["total"])
    assert all(spent > 0 for spent in seconds.values())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.network.modules())


def test_a_module_nobody_expects_is_a_part_of_its_own(model: WorldModel) -> None:
    assert by_part(model.network, {"decoder": 2.0, "layers.0": 5.0, "layers.0.mlp": 3.0}, 10.0) == {
        "transformer: mlp": 3.0,
        "transformer: norms and modulation": 2.0,
        "decoder": 2.0,
        REST: 3.0,
    }


def test_everything_is_measured(result: Benchmark) -> None:
    assert [speed.batch for speed in result.speeds] == [1, 2]
    for speed in result.speeds:
        assert 0 < speed.latency_p50_ms <= speed.latency_p95_ms and speed.steps >= MIN_STEPS
        assert speed.peak_bytes > 10 * 2**20
        done = speed.frames_per_second * result.gflop_per_frame
        assert result.share(speed, "float32") == pytest.approx(
            done / result.peak("float32", 1).gflop_per_second
        )
    assert result.training is not None and result.training.frames_per_second > 0
    assert result.flatness is None
    layer = result.env_layer
    assert layer.batch == 2 and layer.env_ms > 0
    assert layer.overhead == pytest.approx(layer.layer_ms / layer.model_ms)
    assert result.real_frames_per_second is not None and result.real_ratio is not None
    assert result.real_ratio == pytest.approx(result.real_frames_per_second / result.best.frames_per_second)


def test_a_dreams_state_does_not_grow(model: WorldModel) -> None:
    state, action = begin(model, 2), torch.zeros(2, 2)
    before, shapes = state_bytes(state), [state.memory.keys.shape, state.recent.shape]
    for _ in range(300):
        model.step(state, action)
    assert (state_bytes(state), [state.memory.keys.shape, state.recent.shape]) == (before, shapes)


@pytest.mark.slow
def test_step_ten_thousand_costs_what_step_ten_costs(model: WorldModel) -> None:
    flat = measure_flatness(model, 10_000)
    assert flat.ratio == pytest.approx(1, abs=0.1)
    assert flat.state_bytes[0] == flat.state_bytes[1]
    assert flat.grown_bytes < 2**22


def test_flatness_compares_an_early_dream_with_a_late_one(model: WorldModel) -> None:
    flat = measure_flatness(model, 40)
    assert flat.early_ms > 0 and flat.late_ms > 0 and flat.state_bytes[0] == flat.state_bytes[1]
    with pytest.raises(WorldModelError, match="give at least 20"):
        measure_flatness(model, 12)


def test_training_leaves_the_model_as_it_was(model: WorldModel) -> None:
    before = [parameter.clone() for parameter in model.network.parameters()]
    rate = measure_training(model, 2, 3, 0.01)
    assert rate.frames_per_second == pytest.approx(6 / rate.seconds_per_step) and rate.steps >= 3
    assert all(map(torch.equal, before, model.network.parameters()))


def speed(batch: int, rate: float) -> Speed:
    return Speed(batch, 1, 20, 1.0, 1.0, rate)


def test_batches_double_until_throughput_stops_growing() -> None:
    rates = {1: 10.0, 2: 19.0, 4: 19.5, 8: 35.0, 16: 35.5, 32: 34.0, 64: 99.0}
    found = double_until_flat(lambda batch: speed(batch, rates[batch]))
    assert [item.batch for item in found] == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    "failure", [torch.OutOfMemoryError("full"), RuntimeError("invalid configuration\n...")]
)
def test_batches_double_until_one_fails(failure: RuntimeError, capsys: pytest.CaptureFixture[str]) -> None:
    """A batch that a kernel refused ended the whole benchmark."""

    def measure(batch: int) -> Speed:
        if batch > 4:
            raise failure
        return speed(batch, 10.0 * batch)

    assert [item.batch for item in double_until_flat(measure)] == [1, 2, 4]
    assert capsys.readouterr().err == f"8 dreams at once failed: {str(failure).splitlines()[0]}\n"
    with pytest.raises(type(failure)):
        double_until_flat(measure, first=8)


def test_peak_memory_sees_what_was_freed_again() -> None:
    memory = PeakMemory(CPU)
    if not memory.meaning.startswith("peak"):
        pytest.skip("this system keeps no peak that can be reset")
    before = memory.bytes()
    torch.ones(
        256 * 2**20, dtype=torch.uint8
    )  # far more than what other tests leave behind may free meanwhile
    assert memory.bytes() >= before + 128 * 2**20
    assert PeakMemory(CPU).bytes() < before + 128 * 2**20


def test_the_peak_of_a_matrix_product_is_not_less_than_a_dream_reaches(model: WorldModel) -> None:
    peak = measure_peak(CPU, torch.float32, 1, 0.05)
    reached = measure_speed(model, 2, 1, 0.01).frames_per_second
    total = count_flops(stepper(model, 1), model.network)["total"]
    assert peak.gflop_per_second > reached * total / 1e9
    assert (peak.dtype, peak.threads) == ("float32", 1)


def test_threads_come_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no"), torch_threads(1):
        raise RuntimeError("no")
    assert torch.get_num_threads() == before


def test_an_untrained_world_dreams_the_environment_it_would_learn() -> None:
    model = untrained_world(
        EnvConfig("CartPole-v1", 8), {"channels": [8], "width": 16, "depth": 1, "heads": 2}, {}
    )
    frames = model.step(begin(model, 2), torch.zeros(2, model.world.codec.size)).frame
    assert frames.shape == (2, 3, 8, 8)
    with pytest.raises(EnvError, match="Gone-v0"):
        untrained_world(EnvConfig("Gone-v0", 8), {}, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batches": [0]}, r"batches is \[0\]"),
        ({"threads": [-1]}, r"threads is \[-1\]"),
        ({"parts_batch": 0}, "parts_batch is 0"),
        ({"flat_steps": -1}, "flat_steps is -1"),
        ({"seconds": 0}, "seconds is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(WorldModelError, match=message):
        BenchmarkConfig(**settings)


@pytest.mark.gpu
def test_a_gpu_is_measured_up_to_its_best_batch() -> None:
    model = tiny_world_model().to("cuda", "bfloat16")
    result = run_benchmark(model, BenchmarkConfig(training_batch=2, seconds=0.05))
    assert len(result.speeds) > 3 and result.device.startswith("cuda")
    assert result.peak("bfloat16", torch.get_num_threads()).gflop_per_second > 1e4
