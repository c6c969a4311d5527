"""What the data tests share."""

import hashlib
from pathlib import Path
from typing import Any

from counting_env import SIZE

HELD = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 3}


def counting(**kwargs: Any) -> dict[str, Any]:
    """The `env` argument of collect for the counting environment."""
    return {"id": "counting_env:Counting-v0", "size": SIZE, "kwargs": kwargs}


def content_hash(folder: Path) -> dict[str, str]:
    """Path -> hash of every visible file of a dataset."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
