"""What the reward and termination losses make of a step's importance."""

import math

import pytest
import torch
from tiny_world import SIZE, tiny_network

from worldmodel.episode import Batch
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.network import Prediction

CLIPS, STEPS = 3, 4


def batch(importance: torch.Tensor, terminated: torch.Tensor) -> Batch:
    return Batch(
        frames=torch.zeros(CLIPS, STEPS + 1, SIZE, SIZE, 3, dtype=torch.uint8),
        actions=torch.zeros(CLIPS, STEPS, 2),
        rewards=terminated.float(),
        terminated=terminated,
        valid=importance > 0,
        at_start=torch.ones(CLIPS, dtype=torch.bool),
        importance=importance,
    )


def test_the_best_constant_is_the_share_of_ends_in_the_data() -> None:
    """A head that cannot tell when an end comes must say how often: here 0.5 of 10.5 transitions, however shown."""
    denoiser = Denoiser(tiny_network(termination_odds=7.0), NoiseConfig())
    terminated = torch.zeros(CLIPS, STEPS, dtype=torch.bool)
    terminated[0, 2] = True
    importance = torch.ones(CLIPS, STEPS)
    importance[0, 2], importance[0, 3] = 0.5, 0.0
    share = 0.5 / 10.5
    logit = torch.tensor(math.log(7.0 * share / (1 - share)), requires_grad=True)
    target = torch.zeros(CLIPS, STEPS, 3, SIZE, SIZE)
    prediction = Prediction(
        target, torch.zeros(CLIPS, STEPS, 41), logit.expand(CLIPS, STEPS), torch.zeros(CLIPS, STEPS, 1)
    )
    loss, _ = denoiser._loss(prediction, target, torch.ones(CLIPS, STEPS), batch(importance, terminated))
    loss.backward()
    assert logit.grad is not None and abs(logit.grad.item()) < 1e-6
    assert denoiser.termination_probability(logit).item() == pytest.approx(share)


def test_importance_concerns_the_heads_alone() -> None:
    denoiser = Denoiser(tiny_network(), NoiseConfig())
    generator = torch.Generator().manual_seed(0)
    frame = torch.rand(CLIPS, STEPS, 3, SIZE, SIZE, generator=generator)
    logits = torch.randn(CLIPS, STEPS, 41, generator=generator)
    prediction = Prediction(frame, logits, logits[..., 0], logits)
    ones, none = torch.ones(CLIPS, STEPS), torch.zeros(CLIPS, STEPS, dtype=torch.bool)
    found = [
        denoiser._loss(prediction, torch.zeros_like(frame), ones, batch(ones * weight, none))[1]
        for weight in (1.0, 2.0)
    ]
    assert found[0]["frame"] == found[1]["frame"]
    for name in ("reward", "termination"):
        assert found[1][name].item() == pytest.approx(2 * found[0][name].item())
