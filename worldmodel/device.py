"""The torch device that a name stands for, checked before anything long begins."""

from __future__ import annotations

from typing import Any

import torch

from worldmodel.errors import WorldModelError


def usable_device(name: Any) -> torch.device:
    """The device `name`. Raises WorldModelError when torch cannot use it here."""
    try:
        place = torch.device(name)
        torch.empty(1, device=place)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        there = ["'cpu'", *(f"'cuda:{index}'" for index in range(torch.cuda.device_count()))]
        raise WorldModelError(
            f"device is {str(name)!r}, which torch cannot use here: give {' or '.join(there)}."
        ) from error
    return place


def chosen_device(name: str | None) -> torch.device:
    """The device `name`; None for a GPU where there is one, else the CPU."""
    return usable_device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
