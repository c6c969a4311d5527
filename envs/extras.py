"""Games that come in packages of their own."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from worldmodel.errors import EnvError

# Gymnasium ids that begin so -> our environment that plays them, and what its constructor calls the id.
ADAPTERS = {"ALE/": ("worldmodel/Atari-v0", "game"), "Vizdoom": ("worldmodel/Doom-v0", "scenario")}


def import_extra(module: str, package: str, extra: str, user: str) -> ModuleType:
    """The module, or an EnvError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvError(f"{user} needs the package {package}: pip install 'worldmodel[{extra}]'.") from error


def adapted(env_id: str, kwargs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id and arguments of our environment for a game's id; any other id as it is."""
    for prefix, (ours, argument) in ADAPTERS.items():
        if env_id.startswith(prefix):
            return ours, {argument: env_id, **kwargs}
    return env_id, kwargs
