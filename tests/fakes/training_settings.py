"""Arguments of `train` for a run of a few steps of the smallest network."""

from importlib.resources import files
from typing import Any

import yaml

CONFIGS = files("worldmodel.configs")
TRAIN = {
    "steps": 6,
    "batch_size": 2,
    "clip_length": 3,
    "warmup_steps": 2,
    "validate_every": 4,
    "checkpoint_minutes": 1000.0,
    "mixed_precision": "no",
}


def settings(**train: Any) -> dict[str, Any]:
    """All but data and out; keywords change TRAIN."""
    return {
        "model": yaml.safe_load((CONFIGS / "model" / "debug.yaml").read_text()),
        "noise": yaml.safe_load((CONFIGS / "noise" / "default.yaml").read_text()),
        "train": TRAIN | train,
        "num_contexts": 4,
        "num_context_frames": 2,
        "device": "cpu",
    }
