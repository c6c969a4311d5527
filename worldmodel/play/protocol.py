"""What travels over the socket: commands of the page as dataclasses, and frames as a small header and raw pictures.

A command is a JSON object whose "type" is a key of COMMANDS and whose other keys are that class's fields; a picture to
start from comes as a binary message. A frame is binary: the length of its header as four bytes (little endian), the
header as JSON, padding up to a multiple of four, then its pictures one after the other, uint8 [H,W,3] each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np

from worldmodel.errors import WorldModelError, quoted
from worldmodel.frames import as_colours

MAX_MESSAGE = 4 << 20  # bytes: a picture to start from
MAX_TEXT = 64 << 10  # bytes: everything else
MOST_PASSES, FASTEST = 16, 16.0
LARGEST = 2**53  # whole numbers beyond are not the same in JavaScript
FORMATS = ("mp4", "gif", "minari", "minari-real")


class ProtocolError(WorldModelError):
    """A message that cannot be understood."""


@dataclass(frozen=True)
class Action:
    """What the keys say. values: the action as ActionCodec encodes it [D]; seq: comes back with the first frame made
    under it; edge: a key went down or up, so that the next frame is owed at once."""

    values: tuple[float, ...]
    seq: int = 0
    edge: bool = False


@dataclass(frozen=True)
class Run:
    """Go on, or pause. on: also past the end of the episode."""

    on: bool


@dataclass(frozen=True)
class Step:
    """One frame, and stay paused."""


@dataclass(frozen=True)
class Seek:
    """Show the moment t of this future; the next step goes on from there."""

    t: int


@dataclass(frozen=True)
class Branch:
    """Keep this future and begin another from the moment that is shown."""


@dataclass(frozen=True)
class Switch:
    """Drive another future."""

    future: int


@dataclass(frozen=True)
class Drop:
    """Forget a future."""

    future: int


@dataclass(frozen=True)
class Passes:
    """num_inference_steps from now on."""

    count: int


@dataclass(frozen=True)
class Speed:
    """Times the world's frame rate; 0: as fast as it can."""

    factor: float


@dataclass(frozen=True)
class Reset:
    """Begin anew: from a seed (None: another one), or from one of the checkpoint's recorded starts."""

    seed: int | None = None
    context: int | None = None


@dataclass(frozen=True)
class Agent:
    """Let the agent drive, or take over."""

    on: bool


@dataclass(frozen=True)
class Record:
    """From this moment on; off: up to this moment, as a file of this format."""

    on: bool
    format: str = "mp4"


@dataclass(frozen=True)
class Save:
    """The whole future that is shown, as a file of this format."""

    format: str = "mp4"


@dataclass(frozen=True)
class Ping:
    """Answered with the same number."""

    number: float = 0.0


@dataclass(frozen=True)
class Picture:
    """Begin from this picture; data: a PNG, JPEG, ... file."""

    data: bytes


Command = (
    Action
    | Run
    | Step
    | Seek
    | Branch
    | Switch
    | Drop
    | Passes
    | Speed
    | Reset
    | Agent
    | Record
    | Save
    | Ping
)
COMMANDS: Mapping[str, type[Any]] = {
    item.__name__.lower(): item
    for item in (
        Action, Run, Step, Seek, Branch, Switch, Drop, Passes, Speed, Reset, Agent, Record, Save, Ping
    )
}  # fmt: skip


def parse(message: str | bytes, action_size: int) -> Command | Picture:
    """The command in a message. Raises ProtocolError, one sentence, for anything else."""
    if isinstance(message, bytes):
        return Picture(message)
    if len(message) > MAX_TEXT:
        raise ProtocolError(f"The message has {len(message)} characters: at most {MAX_TEXT} are read.")
    try:
        content = json.loads(message, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("The message is not JSON: send an object with a type.") from error
    if not isinstance(content, dict):
        raise ProtocolError("The message is not an object: send one with a type.")
    kind = content.pop("type", None)
    if not isinstance(kind, str) or kind not in COMMANDS:
        raise ProtocolError(f"There is no message of type {quoted(kind, 40)}: {', '.join(COMMANDS)}.")
    return _made(kind, content, action_size)


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _made(kind: str, content: dict[str, Any], action_size: int) -> Command:
    target = COMMANDS[kind]
    known = {item.name: item for item in fields(target)}
    if unknown := sorted(set(content) - set(known)):
        raise ProtocolError(f"A message of type {kind} has no {quoted(unknown[0], 40)}.")
    for name, item in known.items():
        if name not in content and item.default is MISSING:
            raise ProtocolError(f"A message of type {kind} needs {name}.")
    checked = {name: _checked(kind, name, str(known[name].type), value) for name, value in content.items()}
    command = target(**checked)
    if isinstance(command, Action) and len(command.values) != action_size:
        raise ProtocolError(f"An action has {action_size} values here, not {len(command.values)}.")
    return command


def _checked(kind: str, name: str, wanted: str, value: Any) -> Any:
    if value is None and wanted.endswith("| None"):
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Whole numbers of any length are JSON: comparing them never overflows, converting them does.
    finite = number and -LARGEST <= value <= LARGEST and math.isfinite(value)
    match wanted.removesuffix(" | None"):
        case "bool" if isinstance(value, bool):
            return value
        case "int" if finite and isinstance(value, int) and value >= 0:
            if name != "count" or 1 <= value <= MOST_PASSES:
                return value
        case "float" if finite:
            if name != "factor" or value == 0 or 0.05 <= value <= FASTEST:
                return float(value)
        case "str" if isinstance(value, str) and value in FORMATS:
            return value
        case "tuple[float, ...]" if isinstance(value, list) and len(value) <= 4096:
            return tuple(_checked(kind, name, "float", item) for item in value)
    raise ProtocolError(
        f"{name} of a message of type {kind} is {quoted(value, 40)}: {_expected(name, wanted)}."
    )


def _expected(name: str, wanted: str) -> str:
    special = {
        "count": f"give a whole number from 1 to {MOST_PASSES}",
        "factor": f"give a number from 0.05 to {FASTEST:.0f}, or 0 for as fast as it can",
        "format": f"give one of {', '.join(FORMATS)}",
    }
    kinds = {"bool": "give true or false", "int": "give a whole number that is not negative"}
    return special.get(name) or kinds.get(wanted.removesuffix(" | None"), "give finite numbers")


def encode(content: Mapping[str, Any]) -> str:
    """A message to the page."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def encode_frame(header: Mapping[str, Any], pictures: Sequence[np.ndarray]) -> bytes:
    """A frame with its pictures, uint8 [H,W,C] each."""
    text = encode(header).encode()
    text += b" " * (-len(text) % 4)
    shown = [np.ascontiguousarray(as_colours(picture)).tobytes() for picture in pictures]
    return b"".join([len(text).to_bytes(4, "little"), text, *shown])


def decode_frame(message: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Inverse of `encode_frame`, for clients in Python."""
    start = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:start])
    height, width = header["size"]
    pixels = np.frombuffer(message, np.uint8, offset=start).reshape(-1, height, width, 3)
    return header, list(pixels)
