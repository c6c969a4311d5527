"""Which world model an agent sees with: where it lies, and a checksum of its network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from worldmodel.errors import CheckpointError
from worldmodel.model.checkpoint import find_checkpoint, load_world_model, shipped_as
from worldmodel.model.world_model import WorldModel


@dataclass(frozen=True)
class WorldSource:
    """checkpoint: as find_checkpoint takes it; sha256: of the network's files, which say what its features mean."""

    checkpoint: str
    sha256: str

    @classmethod
    def of(cls, checkpoint: str) -> WorldSource:
        """The world model in `checkpoint`: a shipped one by its name, others by their whole path."""
        folder = find_checkpoint(checkpoint)
        return cls(shipped_as(folder) or str(folder.resolve()), _sha256(folder))

    def check(self, checkpoint: str) -> None:
        """Raise CheckpointError unless `checkpoint` holds this world model, wherever it lies."""
        if _sha256(find_checkpoint(checkpoint)) != self.sha256:
            raise CheckpointError(
                f"The agent sees features of another world model than {checkpoint} (their weights differ): it learned "
                f"in {self.checkpoint}; give that one, or train an agent in this one."
            )

    def load(self, device: str | torch.device = "cpu") -> WorldModel:
        """The world model. Raises CheckpointError where it is missing or another one."""
        return _load(self, str(device))


@lru_cache(maxsize=2)
def _load(source: WorldSource, device: str) -> WorldModel:
    """Kept, because collecting makes a policy for every episode."""
    try:
        find_checkpoint(source.checkpoint)
    except CheckpointError as error:
        raise CheckpointError(
            f"The agent sees features of a world model that is not at {source.checkpoint}: bring it back, or say where "
            "it is now with policy.world=."
        ) from error
    source.check(source.checkpoint)
    return load_world_model(source.checkpoint, device)


def _sha256(folder: Path) -> str:
    """Of the names and the content of all files of the network."""
    digest = hashlib.sha256()
    for path in sorted((folder / "network").iterdir()):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
