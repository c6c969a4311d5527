"""How much memory a measurement took."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5)


class PeakMemory:
    """The most memory in use from its creation on. `meaning` says which memory, and how it was found."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            self.meaning = "peak of tensors on the GPU"
            torch.cuda.reset_peak_memory_stats(device)
        elif _linux_resets_its_peak():
            self.meaning = "peak resident memory of the process"
        else:
            self.meaning = "resident memory of the process afterwards"

    def bytes(self) -> int:
        """So far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self.meaning.startswith("peak"):
            return _linux_peak()
        return resident_bytes()


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return psutil.Process().memory_info().rss


def _linux_resets_its_peak() -> bool:
    """Reset the kernel's record of this process's peak; False where there is none or it may not be reset."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _linux_peak() -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
