"""Probabilities over encoded actions (see ActionCodec) of every action space."""

# B batch, D size of an encoded action

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.spaces import ActionLayout

_LOG_STD_RANGE = (-3.0, 0.5)  # in halves of the action range


@dataclass(frozen=True)
class ActionParts:
    """Where the parts of an encoded action lie, on the device: boxes, bits int64 indices into D; one_hots slices."""

    boxes: Tensor
    bits: Tensor
    one_hots: tuple[slice, ...]


@dataclass(frozen=True)
class ActionDistribution:
    """Independent parts: Gaussians over Box numbers, a categorical per one-hot run, a Bernoulli per bit.

    parameters [B,D]: means, logits, logits; log_std [D], used where a number is a Box's. Samples of bounded numbers may
    leave [-1, 1]: worlds clamp them (`clamp_action`), while
    probabilities are those of the unclamped sample.
    """

    parameters: Tensor
    log_std: Tensor
    parts: ActionParts

    def sample(self, generator: torch.Generator) -> Tensor:
        """[B,D]; randomness comes from `generator` alone."""
        boxes, bits = self.parts.boxes, self.parts.bits
        action = torch.zeros_like(self.parameters)
        shape, device = self.parameters.shape, self.parameters.device
        if boxes.numel():
            noise = torch.randn((shape[0], len(boxes)), generator=generator, device=device)
            action[:, boxes] = self.parameters[:, boxes] + noise * self.log_std[boxes].exp()
        if bits.numel():
            chance = torch.rand((shape[0], len(bits)), generator=generator, device=device)
            action[:, bits] = (chance < self.parameters[:, bits].sigmoid()).to(action.dtype)
        for run in self.parts.one_hots:
            logits = self.parameters[:, run]
            # torch.multinomial, without the checks for which it waits for a GPU
            waits = torch.empty_like(logits).exponential_(generator=generator)
            choice = (logits.softmax(-1) / waits).argmax(-1)
            action[:, run] = F.one_hot(choice, logits.shape[1]).to(action.dtype)
        return action

    def mode(self) -> Tensor:
        """The likeliest action [B,D]."""
        action = self.parameters.clone()
        bits = self.parts.bits
        action[:, bits] = (action[:, bits] > 0).to(action.dtype)
        for run in self.parts.one_hots:
            logits = self.parameters[:, run]
            action[:, run] = F.one_hot(logits.argmax(-1), logits.shape[1]).to(action.dtype)
        return action

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-probability (of Box numbers: log-density) [B] of encoded actions [B,D]."""
        boxes, bits = self.parts.boxes, self.parts.bits
        log_std = self.log_std[boxes]
        distance = (action[:, boxes] - self.parameters[:, boxes]) * (-log_std).exp()
        total = -(0.5 * distance.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)
        total = total - F.binary_cross_entropy_with_logits(
            self.parameters[:, bits], action[:, bits], reduction="none"
        ).sum(-1)
        for run in self.parts.one_hots:
            total = total + (F.log_softmax(self.parameters[:, run], dim=-1) * action[:, run]).sum(-1)
        return total

    def entropy(self) -> Tensor:
        """[B], in nats; differential for Box numbers, so it can be negative."""
        boxes, bits = self.parts.boxes, self.parts.bits
        total = (
            (self.log_std[boxes] + 0.5 * math.log(2 * math.pi * math.e)).sum().expand(len(self.parameters))
        )
        logits = self.parameters[:, bits]
        total = total + (F.softplus(logits) - logits * logits.sigmoid()).sum(-1)
        for run in self.parts.one_hots:
            log = F.log_softmax(self.parameters[:, run], dim=-1)
            total = total - (log.exp() * log).sum(-1)
        return total

    def row(self, k: int) -> ActionDistribution:
        """The k-th of the B distributions, as a batch of one."""
        return replace(self, parameters=self.parameters[k : k + 1])


def clamp_action(action: Tensor, layout: ActionLayout) -> Tensor:
    """Encoded actions [B,D] with bounded numbers clamped to [-1, 1], as decoding clips them: what a dream is given."""
    if not layout.bounded.any():
        return action
    if layout.bounded.all():  # no copy to the device
        return action.clamp(-1.0, 1.0)
    bounded = torch.from_numpy(layout.bounded).to(action.device)
    return torch.where(bounded, action.clamp(-1.0, 1.0), action)


class ActionHead(nn.Module):
    """Features [B,F] -> ActionDistribution; the spread of Box numbers is learned, the same in every state."""

    boxes: Tensor
    bits: Tensor

    def __init__(self, features: int, layout: ActionLayout, init_std: float) -> None:
        super().__init__()
        self.one_hots = layout.one_hots
        rest = ~layout.boxes
        for run in layout.one_hots:
            rest[run] = False
        self.register_buffer("boxes", torch.from_numpy(layout.boxes.nonzero()[0]), persistent=False)
        self.register_buffer("bits", torch.from_numpy(rest.nonzero()[0]), persistent=False)
        self.linear = nn.Linear(features, len(layout.boxes))
        nn.init.orthogonal_(self.linear.weight, gain=0.01)  # start unbiased: mean 0, all choices alike
        nn.init.zeros_(self.linear.bias)
        self.log_std = nn.Parameter(torch.full((len(layout.boxes),), math.log(init_std)))

    def forward(self, features: Tensor) -> ActionDistribution:
        parts = ActionParts(self.boxes, self.bits, self.one_hots)
        return ActionDistribution(self.linear(features), self.log_std.clamp(*_LOG_STD_RANGE), parts)
