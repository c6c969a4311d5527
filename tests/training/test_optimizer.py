"""Muon does what torch's own does, many matrices at a time; its state survives a checkpoint."""

import pytest
import torch
from torch import nn

from worldmodel.training.optimizer import Muon, MuonAdamW, orthogonalised


def test_muon_steps_as_torchs_own_does_on_matrices() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in ((8, 12), (8, 12), (12, 8))]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    first = Muon(ours, [], lr=0.01, weight_decay=0.1)
    second = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        first.step()
        second.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-3)  # one step of 0.01 moves them by 0.02 and more


def test_query_key_and_value_are_matrices_of_their_own_and_convolutions_are_flattened() -> None:
    torch.manual_seed(0)
    whole, convolution = nn.Parameter(torch.zeros(12, 4)), nn.Parameter(torch.zeros(4, 2, 3, 3))
    convolution.data = convolution.data.to(memory_format=torch.channels_last)
    whole.grad, convolution.grad = torch.randn(12, 4), torch.randn(4, 2, 3, 3)
    whole.grad[:4] *= 100  # does not drown the others
    Muon([convolution], [whole], lr=1.0, weight_decay=0.0).step()
    for part in (*whole.detach().chunk(3), convolution.detach().flatten(1)):
        values = torch.linalg.svdvals(part) / (0.2 * max(part.shape) ** 0.5)
        assert values.min() > 0.5 and values.max() < 1.4


def test_orthogonalised_keeps_the_singular_vectors() -> None:
    u, _, v = torch.linalg.svd(
        torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0)), full_matrices=False
    )
    found = orthogonalised(u @ torch.diag_embed(torch.linspace(0.3, 1, 6).expand(2, 6)) @ v)
    assert (found - u @ v).abs().max() < 0.35


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_restored_moments_give_the_same_next_step_also_for_channels_last_weights(kind: str) -> None:
    """AdamW's fused kernel walks through memory: moments loaded row by row went to other weights than their own."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.layers = nn.ModuleList([nn.Conv2d(4, 4, 3)])

    def step(network: nn.Module, optimizer: MuonAdamW, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for weight in network.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator).to(
                memory_format=torch.channels_last if weight.ndim == 4 else torch.contiguous_format
            )
        optimizer.step()

    one, other = (Network().to(memory_format=torch.channels_last) for _ in range(2))
    first = MuonAdamW(one, 0.01, 0.01, kind)
    for seed in range(3):
        step(one, first, seed)
    other.load_state_dict(one.state_dict())
    second = MuonAdamW(other, 0.01, 0.01, kind)
    second.restore({name: value.clone() for name, value in first.tensors().items()})
    step(one, first, 9)
    step(other, second, 9)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
