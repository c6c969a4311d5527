"""The numbers of a report as plain JSON."""

from __future__ import annotations

import math
import sys
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from worldmodel.machine import Machine


def written(kind: str, machine: Machine) -> dict[str, Any]:
    """What every JSON of a report begins with."""
    return {
        "format": kind,
        "version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["worldmodel", *sys.argv[1:]]),
        "machine": plain(machine),
    }


def plain(value: Any) -> Any:
    """As JSON holds it: dataclasses become objects, arrays and tuples lists, NaN and infinities null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = fields_of(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def fields_of(value: Any, *but: str) -> dict[str, Any]:
    """The fields of a dataclass by name, but some."""
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name not in but}
