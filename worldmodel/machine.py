"""What something was measured or trained on and with."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

import worldmodel

_PACKAGES = ("torch", "diffusers", "gymnasium", "mujoco", "numpy", "safetensors")


@dataclass(frozen=True)
class Machine:
    """Processor model, cores this process may use, torch threads, accelerator, system and package versions."""

    processor: str
    cores: int
    torch_threads: int
    accelerator: str | None
    system: str
    versions: dict[str, str]

    def summary(self) -> str:
        """In a few words."""
        cores = f"{self.cores} core{'s' if self.cores != 1 else ''}"
        return f"{self.processor}, {cores}" + (f", {self.accelerator}" if self.accelerator else "")


def this_machine() -> Machine:
    """Look it up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return Machine(
        processor=_processor(),
        cores=cores,
        torch_threads=torch.get_num_threads(),
        accelerator=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        system=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version(), "worldmodel": worldmodel.__version__, **packages},
    )


def _processor() -> str:
    """The model's name; on Linux only /proc tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
