"""How a real environment is named, made, and written down."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import gymnasium as gym

from worldmodel.errors import EnvError

RENDERERS = ("auto", "raycast", "gl", "native")


@dataclass(frozen=True)
class EnvConfig:
    """Any Gymnasium environment, seen as pixels.

    id: Gymnasium id, also `module:id`; size: frames are uint8 [size, size, 3]; action_repeat: inner steps per step;
    renderer: "raycast" (MuJoCo without OpenGL), "gl", "native" (the env's own render) or "auto"; kwargs: for the inner
    env's constructor.
    """

    id: str
    size: int = 32
    action_repeat: int = 1
    renderer: str = "auto"
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.renderer not in RENDERERS:
            raise EnvError(f"env.renderer is {self.renderer!r}, expected one of {', '.join(RENDERERS)}.")
        for name in ("size", "action_repeat"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise EnvError(f"env.{name} is {value!r}, expected a whole number of at least 1.")
        object.__setattr__(self, "kwargs", dict(self.kwargs))

    def make(self) -> gym.Env:
        """The environment, with uint8 [size, size, 3] observations. Raises EnvError saying why it cannot be made."""
        module, _, name = self.id.rpartition(":")
        try:
            if module:
                importlib.import_module(module)  # registers the id
            return gym.make(
                "worldmodel/Pixels-v0",
                env_id=name,
                size=self.size,
                action_repeat=self.action_repeat,
                renderer=self.renderer,
                env_kwargs=dict(self.kwargs),
            )
        except gym.error.UnregisteredEnv as error:
            raise EnvError(f"There is no environment {self.id!r}{_suggestion(self.id)}.") from error
        except (gym.error.Error, ImportError, TypeError, ValueError) as error:
            raise EnvError(f"The environment {self.id!r} cannot be made: {_one_line(error)}") from error

    def to_json(self) -> dict[str, Any]:
        """Plain dict; `from_json` inverts it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EnvConfig:
        """From a mapping such as the `env:` part of a YAML. Raises EnvError for an unknown or missing field."""
        known = [item.name for item in fields(cls)]
        unknown = sorted(set(content) - set(known))
        if unknown:
            raise EnvError(f"env.{unknown[0]} is not an option; the options are {', '.join(known)}.")
        if not content.get("id"):
            raise EnvError("env.id is missing: name a Gymnasium environment, such as worldmodel/Push-v0.")
        return cls(**content)


def _suggestion(env_id: str) -> str:
    close = difflib.get_close_matches(env_id.split(":")[-1], gym.registry, n=3, cutoff=0.5)
    if close:
        return f"; close matches: {', '.join(close)}"
    return "; if it is in a module of yours, name it as module:id"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
