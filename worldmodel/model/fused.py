"""Steps of the network with a backward pass written by hand: autograd's own would read and write several times more."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_EPSILON = torch.finfo(torch.float32).eps  # F.rms_norm's own choice


class _MultiplyAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.shape = x.shape
        return torch.addcmul(x, a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        return (
            grad.sum_to_size(ctx.shape),
            (grad * b).sum_to_size(a.shape) if ctx.needs_input_grad[1] else None,
            (grad * a).sum_to_size(b.shape) if ctx.needs_input_grad[2] else None,
        )


def multiply_add(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x + a * b, broadcast."""
    return _MultiplyAdd.apply(x, a, b)


def modulate(hidden: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive layer norm's last step (AdaLN; Peebles and Xie, 2023): hidden * (1 + scale) + shift."""
    return multiply_add(shift, hidden, 1 + scale)


class _NormalisedHeads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        norm = torch.linalg.vector_norm(parts[:2], dim=-1, keepdim=True)
        norm = norm.to(torch.promote_types(norm.dtype, torch.float32))
        inverse = (norm.square() / parts.shape[-1] + _EPSILON).rsqrt().to(parts.dtype)
        query, key = parts.new_empty(parts.shape[1:]), parts.new_empty(parts.shape[1:])
        torch.mul(parts[0], inverse[0], out=query)
        torch.mul(parts[1], inverse[1], out=key)
        ctx.save_for_backward(query, key, inverse)
        ctx.strides = parts.stride()
        return query, key, parts[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        *units, inverse = ctx.saved_tensors
        result = inverse.new_empty_strided((3, *units[0].shape), ctx.strides)
        for part, unit, scale, grad in zip(result[:2], units, inverse, grads[:2], strict=True):
            grad = grad.contiguous()
            along = (grad * unit).mean(-1, keepdim=True)
            torch.mul(torch.addcmul(grad, unit, along, value=-1), scale, out=part)
        result[2].copy_(grads[2])
        return result


def normalised_heads(parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value [3,...,head_dim] apart, query and key divided by their root mean square (as F.rms_norm).

    On a CPU, where F.rms_norm is six passes forward and twice as many backward, both are contiguous."""
    if parts.is_cuda:
        query, key = F.rms_norm(parts[:2], parts.shape[-1:]).to(parts.dtype)
        return query, key, parts[2]
    return _NormalisedHeads.apply(parts)
