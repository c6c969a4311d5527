"""The model presets are as large as they say."""

from pathlib import Path

import pytest
import torch
import yaml

from worldmodel.episode import Batch
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.noise import BatchNoise

PRESETS = Path(__file__).parents[2] / "configs" / "model"
ACTIONS = 6


def network(preset: str, size: int) -> SpacetimeNetwork:
    settings = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text(encoding="utf-8"))
    return SpacetimeNetwork(frame_shape=(size, size, 3), action_dim=ACTIONS, **settings)


@pytest.mark.parametrize(
    ("preset", "size", "millions"),
    [
        ("tiny", 32, (0.4, 1.0)),
        ("small", 64, (1.0, 3.0)),
        ("base", 64, (28, 32)),
        ("base", 128, (28, 32)),
        ("large", 128, (145, 160)),
    ],
)
def test_parameters(preset: str, size: int, millions: tuple[float, float]) -> None:
    """Counted on the meta device, where nothing is allocated."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in network(preset, size).parameters())
    assert millions[0] <= parameters / 1e6 <= millions[1]


@pytest.mark.slow
def test_base_learns() -> None:
    """Forward and backward of one clip: finite, and what starts at zero learns."""
    denoiser = Denoiser(network("base", 64), NoiseConfig())
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        frames=torch.randint(0, 256, (1, 3, 64, 64, 3), dtype=torch.uint8, generator=generator),
        actions=torch.rand((1, 2, ACTIONS), generator=generator),
        rewards=torch.zeros(1, 2),
        terminated=torch.zeros(1, 2, dtype=torch.bool),
        at_start=torch.ones(1, dtype=torch.bool),
        valid=torch.ones(1, 2, dtype=torch.bool),
        importance=torch.ones(1, 2),
    )
    loss, _ = denoiser(batch, BatchNoise(generator))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in denoiser.parameters())
    assert denoiser.network.decoder.out.weight.grad.abs().sum() > 0
