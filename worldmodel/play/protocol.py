"""What travels over the socket: commands of the page, and frames as a small header and raw pictures.

A command is a JSON object whose "type" is a key of COMMANDS and whose other keys are that command's fields; a picture
to start from comes as a binary message. A frame is binary: the length of its header as four bytes (little endian), the
header as JSON, padding up to a multiple of four, then its pictures one after the other, uint8 [H,W,3] each.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from worldmodel.errors import WorldModelError, quoted
from worldmodel.frames import as_colours

MAX_MESSAGE = 4 << 20  # bytes: a picture to start from
MAX_TEXT = 64 << 10  # characters: everything else
MAX_PIXELS = 4096 * 4096
MOST_PASSES, FASTEST = 16, 16.0
LARGEST = 2**53  # whole numbers beyond are not the same in JavaScript
FORMATS = ("mp4", "gif", "minari", "minari-real")


class ProtocolError(WorldModelError):
    """A message that cannot be understood."""


@dataclass(frozen=True)
class Field:
    """fits: whether a value is one; expected: what to give instead; default: ... where it has to be given."""

    fits: Callable[[Any], bool]
    expected: str
    default: Any = ...


def _is_number(value: Any) -> bool:
    # Whole numbers of any length are JSON: comparing them never overflows, converting them does.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -LARGEST <= value <= LARGEST and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 0


FLAG = Field(lambda value: isinstance(value, bool), "give true or false")
NUMBER = Field(_is_number, "give finite numbers")
NUMBERS = Field(
    lambda value: isinstance(value, list) and len(value) <= 4096 and all(map(_is_number, value)),
    "give finite numbers",
)
WHOLE = Field(_is_whole, "give a whole number that is not negative")
WHOLE_OR_NULL = Field(lambda value: value is None or _is_whole(value), WHOLE.expected, None)
PASSES = Field(
    lambda value: _is_whole(value) and 1 <= value <= MOST_PASSES,
    f"give a whole number from 1 to {MOST_PASSES}",
)
SPEED = Field(
    lambda value: _is_number(value) and (value == 0 or 0.05 <= value <= FASTEST),
    f"give a number from 0.05 to {FASTEST:.0f}, or 0 for as fast as it can",
)
FORMAT = Field(lambda value: value in FORMATS, f"give one of {', '.join(FORMATS)}", "mp4")

# docs/play.md says what each does.
COMMANDS: Mapping[str, Mapping[str, Field]] = {
    "action": {"values": NUMBERS, "seq": replace(WHOLE, default=0), "edge": replace(FLAG, default=False)},
    "run": {"on": FLAG},
    "step": {},
    "seek": {"t": WHOLE},
    "branch": {},
    "switch": {"future": WHOLE},
    "drop": {"future": WHOLE},
    "passes": {"count": PASSES},
    "speed": {"factor": SPEED},
    "reset": {"seed": WHOLE_OR_NULL, "context": WHOLE_OR_NULL},
    "agent": {"on": FLAG},
    "record": {"on": FLAG, "format": FORMAT},
    "save": {"format": FORMAT},
    "ping": {"number": replace(NUMBER, default=0)},
}


@dataclass(frozen=True)
class Command:
    """kind: a key of COMMANDS, or "picture" (to begin from), with the file's bytes as `data`; arguments: its fields,
    all of them and checked."""

    kind: str
    arguments: Mapping[str, Any]


def parse(message: str | bytes, action_size: int) -> Command:
    """The command in a message. Raises ProtocolError, one sentence, for anything else."""
    if isinstance(message, bytes):
        return Command("picture", {"data": message})
    if len(message) > MAX_TEXT:
        raise ProtocolError(f"The message has {len(message)} characters: at most {MAX_TEXT} are read.")
    try:
        content = json.loads(message, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("The message is not JSON: send an object with a type.") from error
    if not isinstance(content, dict):
        raise ProtocolError("The message is not an object: send one with a type.")
    kind = content.pop("type", None)
    if not isinstance(kind, str) or kind not in COMMANDS:
        raise ProtocolError(f"There is no message of type {quoted(kind, 40)}: {', '.join(COMMANDS)}.")
    known = COMMANDS[kind]
    if unknown := sorted(set(content) - set(known)):
        raise ProtocolError(f"A message of type {kind} has no {quoted(unknown[0], 40)}.")
    for name, field in known.items():
        value = content.setdefault(name, field.default)
        if value is ...:
            raise ProtocolError(f"A message of type {kind} needs {name}.")
        if not field.fits(value):
            raise ProtocolError(
                f"{name} of a message of type {kind} is {quoted(value, 40)}: {field.expected}."
            )
    if kind == "action" and len(content["values"]) != action_size:
        raise ProtocolError(f"An action has {action_size} values here, not {len(content['values'])}.")
    return Command(kind, content)


def _reject_constant(text: str) -> Any:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise ValueError(text)


def read_picture(data: bytes, frame_shape: tuple[int, int, int]) -> np.ndarray:
    """The picture in a file (PNG, JPEG, GIF, WebP, ...) as a frame uint8 [H,W,C], cut to its shape and scaled to it.

    Raises WorldModelError where it is none, or larger than MAX_PIXELS.
    """
    height, width, channels = frame_shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
            if opened.width * opened.height > MAX_PIXELS:
                raise WorldModelError(
                    f"The picture has {opened.width}x{opened.height} pixels: give one of at most 4096x4096."
                )
            image = ImageOps.exif_transpose(opened).convert("RGB")  # a phone held upright says so there
            frame = np.array(ImageOps.fit(image, (width, height), Image.Resampling.BOX))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:  # fmt: skip
        raise WorldModelError("The file is no picture that can be read: give a PNG or JPEG.") from error
    return frame if channels == 3 else frame.mean(-1, keepdims=True).round().astype(np.uint8)


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
