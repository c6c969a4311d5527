"""One training run on one or several processes: what device they use, and what they decide together."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import InitProcessGroupKwargs

from worldmodel.device import usable_device
from worldmodel.errors import WorldModelError
from worldmodel.model.precision import native_bfloat16

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=1)  # for what the main process does alone; NCCL's own is ten minutes


def make_accelerator(device: str | None) -> Accelerator:
    """This process's place in the run: alone, or one of those that `torchrun` or `accelerate launch` started.

    The number format is ours to choose (see choose_precision), so accelerate's own setting is not read. Raises
    WorldModelError when the device is not there, or is one that accelerate does not take here.
    """
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device not in (None, str(place)):  # to ask for "cuda" would put every process on the first GPU
        place = usable_device(device)
    if device or place.type == "cuda":
        _forget_another(place.type)
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    on_cpu = device is not None and place.type == "cpu"
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[waiting])
    _leave_at_exit()
    taken = accelerator.device.type
    if device and taken != place.type:
        raise WorldModelError(f"device is {device!r}, where training cannot run: give {taken!r}.")
    if place.type == "cuda" and place.index is not None:
        if accelerator.num_processes > 1:
            raise WorldModelError(
                f"device is {device!r}, but each of several processes takes its own: give 'cuda'."
            )
        torch.cuda.set_device(place)  # which accelerate's "cuda" then means
    return accelerator


@cache
def _leave_at_exit() -> None:
    """A process of several that ends without leaving the group may be aborted by gloo's threads ("terminate called
    without an active exception"): on a busy machine every other one was."""

    def leave() -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    atexit.register(leave)


def _forget_another(device: str) -> None:
    """accelerate keeps a process's first device for good, whatever is asked for later; ours may train on a CPU, then on
    a GPU."""
    if PartialState._shared_state:
        state = PartialState()
        if state.num_processes == 1 and state.device.type != device:
            AcceleratorState._reset_state(reset_partial_state=True)


def choose_precision(choice: str, device: torch.device) -> str:
    """ "no" or "bf16" for train.mixed_precision "auto", "no" or "bf16" on this device.

    Raises WorldModelError for bf16 on a GPU without it; a CPU without such instructions computes it all the same,
    several times slower, so there "auto" means "no".
    """
    native = native_bfloat16(device)
    if choice == "bf16" and not native and device.type != "cpu":
        raise WorldModelError(
            f"This {device.type} device has no bfloat16: give train.mixed_precision=no, or auto."
        )
    return ("bf16" if native else "no") if choice == "auto" else choice


def on_main(accelerator: Accelerator, action: Callable[[], T]) -> T | None:
    """Run `action` on the main process alone, while the others wait; returns its result there, None on the others.

    When it fails, all processes fail: the main one with its error, the others with a WorldModelError.
    """
    result, failure = None, None
    if accelerator.is_main_process:
        try:
            result = action()
        except Exception as error:
            failure = error
    failures = accelerator.reduce(torch.tensor(float(failure is not None), device=accelerator.device), "sum")
    if failure is not None:
        raise failure
    if failures.item():
        raise WorldModelError("Stopped because the main process was, which says why.")
    return result
