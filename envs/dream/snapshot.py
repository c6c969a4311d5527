"""A dream at one moment as a value: to go back to it, to branch from it, to keep it in a file."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from worldmodel.action_check import as_array
from worldmodel.errors import WorldModelError, quoted
from worldmodel.files import atomic_write_bytes
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Episodes
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel
from worldmodel.spaces import space_to_json

FORMAT = "worldmodel-dream-snapshot"
VERSION = 1
_EPISODES = "episodes."
_REMEDY = "take it anew"


# No eq: tensors have no truth value, and a tree of plans has snapshots as keys.
@dataclass(frozen=True, eq=False, repr=False)
class DreamSnapshot:
    """B dreams at one moment. Whoever holds one may step the environment on: nothing in it changes.

    state: all that the model knows of them, its memory included, on the device where they were dreamt; episodes: their
    seeds and counters, from which later automatic resets follow; fits: `fingerprint` of the world they are dreams of.
    Settings (passes, time limit, observation type) are the environment's and not part of it.
    """

    state: DreamState
    episodes: Episodes
    fits: str

    def __len__(self) -> int:
        return len(self.episodes)

    def __repr__(self) -> str:
        return f"DreamSnapshot(dreams={len(self)}, frame_shape={self.frame_shape}, fits={self.fits[:8]!r})"

    @property
    def frames(self) -> np.ndarray:
        """The current frames, uint8 [B,H,W,C]."""
        return float_to_frames(self.state.last).cpu().numpy()

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        channels, height, width = self.state.last.shape[1:]
        return height, width, channels

    def select(self, indices: Any) -> DreamSnapshot:
        """Copies of the dreams at `indices`: a whole number, or some of them, in any order, repeats allowed."""
        index = as_array("indices", indices)
        if index.dtype.kind not in "iu" or index.ndim > 1 or not index.size:
            raise WorldModelError(
                f"indices are {quoted(indices)}: give a whole number, or a list of at least one."
            )
        index = index.reshape(-1).astype(np.int64)
        if len(wrong := index[(index < 0) | (index >= len(self))]):
            raise WorldModelError(
                f"There is no dream {wrong[0]} in a snapshot of dreams 0 to {len(self) - 1}."
            )
        place = torch.from_numpy(index).to(self.state.time.device)
        return DreamSnapshot(self.state.select(place), self.episodes.select(place), self.fits)

    @classmethod
    def concatenate(cls, snapshots: Sequence[DreamSnapshot]) -> DreamSnapshot:
        """The dreams of all these snapshots of one world, in order, copied to where those of the first are."""
        listed = isinstance(snapshots, Sequence) and all(isinstance(item, cls) for item in snapshots)
        if not listed or len({snapshot.fits for snapshot in snapshots}) != 1:
            raise WorldModelError(
                "Snapshots are joined as a list, when there is at least one and all are of one world."
            )
        first = snapshots[0].state
        place, dtype = first.time.device, first.memory.keys.dtype
        episodes = [snapshot.episodes.to(place) for snapshot in snapshots]
        states = [snapshot.state.to(place, dtype) for snapshot in snapshots]
        return cls(DreamState.concatenate(states), Episodes.concatenate(episodes), snapshots[0].fits)

    def to_bytes(self) -> bytes:
        """The whole snapshot in the safetensors format; equal snapshots give equal bytes."""
        tensors = {_EPISODES + name: tensor for name, tensor in self.episodes.tensors().items()}
        tensors |= self.state.tensors()
        tensors = {
            name: tensor.cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        content = {
            "format": FORMAT,
            "version": VERSION,
            "dreams": len(self),
            "frame_shape": list(self.frame_shape),
            "fits": self.fits,
            "window": self.state.memory.window,
        }
        return save_tensors(tensors, {FORMAT: json.dumps({**content, "crc32": _crc32(content, tensors)})})

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, name: str = "The snapshot") -> DreamSnapshot:
        """What `to_bytes` gave, on the CPU. name: what errors call it. Raises WorldModelError when it is damaged, was
        written by a newer version, or is none."""
        data = bytes(data) if isinstance(data, bytearray | memoryview) else data
        content = _content(data, name)
        try:
            tensors = load_tensors(data)
            checked = {key: value for key, value in content.items() if key != "crc32"}
            if _crc32(checked, tensors) != content["crc32"]:
                raise WorldModelError(f"{name} is damaged (its checksum differs): {_REMEDY}.")
            tensors.setdefault(_EPISODES + "termination_probability", _unknown(tensors))
            episodes = Episodes(**{item.name: tensors[_EPISODES + item.name] for item in fields(Episodes)})
            return cls(DreamState.from_tensors(tensors, content["window"]), episodes, content["fits"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise WorldModelError(f"{name} is damaged ({_one_line(error)}): {_REMEDY}.") from error

    def save(self, path: str | Path) -> None:
        """Write `to_bytes` to a file, atomically."""
        atomic_write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> DreamSnapshot:
        """What `save` wrote; raises as `from_bytes`, and WorldModelError when it cannot be read."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise WorldModelError(f"The snapshot {path} cannot be read: {error.strerror}.") from error
        return cls.from_bytes(data, f"The snapshot {path}")

    def moved_to(self, model: WorldModel, fits: str) -> DreamSnapshot:
        """For `model` to go on from, on its device and in its number format; what is so already is shared.

        Raises WorldModelError when these are dreams of another world, or of other weights.
        """
        shape = model.world.frame_shape
        if self.frame_shape != shape:
            raise WorldModelError(
                f"The snapshot is of dreams of {_size(self.frame_shape)}, this world dreams {_size(shape)}: "
                "set it in the world it was taken from."
            )
        if self.fits != fits:
            raise WorldModelError(
                "The snapshot was taken in another world, or with other weights, whose memory means nothing to "
                "these: set it in the checkpoint it was taken from."
            )
        state = self.state.to(model.device, model.network.position.dtype)
        state.memory.window = model.dynamics.lookback
        return DreamSnapshot(state, self.episodes.to(model.device), self.fits)


def fingerprint(model: WorldModel) -> str:
    """Equal for models that can go on with one another's dreams: same spaces, architecture and weights (told by those
    of the heads, which keep their number format in any precision)."""
    network = model.network
    config = {name: value for name, value in network.config.items() if not name.startswith("_")}
    contract = {"actions": space_to_json(model.world.action_space), "frames": model.world.frame_shape}
    found = hashlib.sha256(json.dumps([contract, config], sort_keys=True).encode())
    for head in (network.reward, network.termination):
        for weight in head.parameters():
            found.update(weight.detach().float().cpu().numpy().tobytes())
    return found.hexdigest()


def _content(data: bytes, name: str) -> dict[str, Any]:
    """Our part of the safetensors header: an 8-byte length, then JSON."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        content = json.loads(header["__metadata__"][FORMAT])
        newer = content["version"] > VERSION
    except (ValueError, KeyError, TypeError) as error:
        raise WorldModelError(f"{name} is damaged, or is no snapshot of dreams: {_REMEDY}.") from error
    if newer:
        raise WorldModelError(
            f"{name} was written by a newer version (format {content['version']}, this one reads {VERSION}): "
            "upgrade worldmodel."
        )
    return content


def _unknown(tensors: Mapping[str, Tensor]) -> Tensor:
    """For snapshots that were written before this was kept."""
    return torch.full_like(tensors[_EPISODES + "uncertainty"], torch.nan)


def _crc32(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int:
    value = zlib.crc32(json.dumps(content, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
