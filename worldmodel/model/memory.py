"""The dream's memory: a ring buffer of keys and values, so that step 10,000 costs the same as step 10."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Memory:
    """Keys and values of the last `slots` time steps at every layer, for B independent dreams.

    keys, values: [layers, B, N, heads, slots, head_dim] (N tokens a step; what attention over time reads together lies
    together, or every pass would copy all of it); times: int64 [B, slots], the step held in each slot, -1 where empty.
    A step's slot is its time modulo `slots`, so a write replaces the oldest step. Every denoising pass of a step writes
    the same slot: what the last pass leaves there is what later steps read.
    window: how many steps a query may read, its own included; at most `slots`.
    """

    keys: Tensor
    values: Tensor
    times: Tensor
    window: int

    @classmethod
    def empty(
        cls, batch: int, layers: int, slots: int, tokens: int, heads: int, head_dim: int, like: Tensor
    ) -> Memory:
        """A memory that holds nothing, on the device and in the dtype of `like`."""
        shape = (layers, batch, tokens, heads, slots, head_dim)
        times = torch.full((batch, slots), -1, dtype=torch.int64, device=like.device)
        return cls(like.new_zeros(shape), like.new_zeros(shape), times, slots)

    def claim(self, times: Tensor) -> None:
        """Mark the slots of these steps (int64 [B,T]) as theirs; the layers fill them with `write`."""
        self.times.scatter_(1, times % self.times.shape[1], times)

    def write(self, layer: int, times: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store key, value [B,T,N,heads,head_dim] of steps `times` [B,T]; returns all, [B,slots,N,heads,head_dim].

        Both are rounded to the memory's dtype: CUDA's autocast normalises keys in float32."""
        rows = torch.arange(len(times), device=times.device)[:, None]
        slots = times % self.times.shape[1]
        keys, values = (stored[layer].permute(0, 3, 1, 2, 4) for stored in (self.keys, self.values))
        keys.index_put_((rows, slots), key.to(keys.dtype))
        values.index_put_((rows, slots), value.to(values.dtype))
        return keys, values

    def visible(self, times: Tensor) -> Tensor:
        """bool [B,T,slots]: which slots a query at `times` [B,T] may read: its own and the window-1 before it."""
        return visible_steps(times, self.times, self.window)

    def select(self, index: Tensor) -> Memory:
        """The memories of these members (int64 [K], repeats allowed), copied: how a dream is branched."""
        return Memory(self.keys[:, index], self.values[:, index], self.times[index], self.window)

    def assign(self, index: Tensor, other: Memory) -> None:
        """Overwrite members `index` [K] with the K members of `other`: how one dream is reset beside the others."""
        self.keys[:, index] = other.keys
        self.values[:, index] = other.values
        self.times[index] = other.times

    def to(self, device: torch.device, dtype: torch.dtype) -> Memory:
        """The same memory on `device`, its keys and values in `dtype`."""
        keys, values = (stored.to(device, dtype) for stored in (self.keys, self.values))
        return Memory(keys, values, self.times.to(device), self.window)

    @classmethod
    def concatenate(cls, parts: Sequence[Memory]) -> Memory:
        """The members of all parts, in order, looking back as far as those of the first."""
        keys, values = (
            torch.cat([getattr(part, name) for part in parts], dim=1) for name in ("keys", "values")
        )
        return cls(keys, values, torch.cat([part.times for part in parts]), parts[0].window)


def visible_steps(query_times: Tensor, key_times: Tensor, window: int) -> Tensor:
    """Causal window over time: bool [B,T,S], true where 0 <= query time - key time < window and the key exists."""
    age = query_times[:, :, None] - key_times[:, None, :]
    return (age >= 0) & (age < window) & (key_times >= 0)[:, None, :]
