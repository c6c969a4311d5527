"""What a run folder was started with, so that going on with something else is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from worldmodel.errors import WorldModelError
from worldmodel.files import read_json, write_json


def keep_settings(
    path: Path,
    settings: Mapping[str, Any],
    may_change: Set[str] = frozenset(),
    earlier: Mapping[str, Any] | None = None,
) -> None:
    """Write a new run's settings to `path`, or raise WorldModelError when it was started with others.

    may_change: dotted names that may differ between the calls of one run; earlier: last part of a name -> what runs
    went by that were started before there was such a setting.
    """
    if not path.exists():
        write_json(path, settings)
        return
    before, now = flat(read_json(path)), flat(settings)
    for key in sorted({*before, *now} - may_change):
        then = before.get(key, (earlier or {}).get(key.rpartition(".")[2]))
        if then != now.get(key):
            shown = before.get(key, "unset" if then is None else then)
            raise WorldModelError(
                f"{path.parent} was started with {key}={shown}, not {now.get(key, 'unset')}: give that again, or "
                "choose another out=."
            )


def flat(content: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as one: {"a": {"b": 1}} -> {"a.b": 1}."""
    if not isinstance(content, Mapping) or not content:
        return {name: list(content) if isinstance(content, tuple) else content}
    prefix = f"{name}." if name else ""
    return {key: value for part in content for key, value in flat(content[part], f"{prefix}{part}").items()}
