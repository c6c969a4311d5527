"""What a step costs: counted, timed, and never left without a reason."""

from dataclasses import replace

import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.benchmark.timing import MIN_STEPS
from worldmodel.evaluation.pixels.cost import BATCHES, count_gflop, measure_cost
from worldmodel.model.world_model import WorldModel
from worldmodel.real_env import EnvConfig


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return tiny_world_model()


def test_a_step_counts_its_passes() -> None:
    model = tiny_world_model()
    assert model.num_inference_steps == 2
    two = count_gflop(model)
    model.dynamics.num_inference_steps = 1
    assert two == pytest.approx(2 * count_gflop(model)) and two > 0


def test_speeds_are_measured_for_every_batch_and_threads_come_back(model: WorldModel) -> None:
    before = torch.get_num_threads()
    cost = measure_cost(model, seconds=0.01)
    assert torch.get_num_threads() == before
    assert cost.threads == sorted({1, before})
    for batch in BATCHES:
        speed = cost.speed(batch, 1)
        assert 0 < speed.latency_p50_ms <= speed.latency_p95_ms and speed.steps >= MIN_STEPS
        assert speed.frames_per_second <= batch * 1e3 / speed.latency_p50_ms * 1.5
    assert cost.parameters == sum(p.numel() for p in model.network.parameters())
    assert cost.real_frames_per_second is not None and cost.real_frames_per_second > 0


def test_an_environment_that_is_not_there_is_a_reason_not_a_number() -> None:
    model = tiny_world_model()
    model.world = replace(model.world, env=EnvConfig("Gone-v0", size=8))
    cost = measure_cost(model, seconds=0.01)
    assert cost.real_frames_per_second is None and "Gone-v0" in cost.real_reason
