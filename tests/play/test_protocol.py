"""What travels over the socket: every message is a command or one sentence."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldmodel.play import protocol
from worldmodel.play.protocol import ProtocolError, decode_frame, encode_frame, parse

GOOD = {
    '{"type":"action","values":[0.5,-1],"seq":3,"edge":true}': {"values": [0.5, -1], "seq": 3, "edge": True},
    '{"type":"run","on":false}': {"on": False},
    '{"type":"step"}': {},
    '{"type":"seek","t":12}': {"t": 12},
    '{"type":"branch"}': {},
    '{"type":"switch","future":1}': {"future": 1},
    '{"type":"drop","future":0}': {"future": 0},
    '{"type":"passes","count":4}': {"count": 4},
    '{"type":"speed","factor":0}': {"factor": 0},
    '{"type":"reset"}': {"seed": None, "context": None},
    '{"type":"reset","seed":5}': {"seed": 5, "context": None},
    '{"type":"reset","seed":null,"context":3}': {"seed": None, "context": 3},
    '{"type":"agent","on":true}': {"on": True},
    '{"type":"record","on":true}': {"on": True, "format": "mp4"},
    '{"type":"save","format":"gif"}': {"format": "gif"},
    '{"type":"ping","number":1.5}': {"number": 1.5},
}
BAD = {
    "": "not JSON",
    "{": "not JSON",
    "[" * 20000: "not JSON",
    "[1]": "not an object",
    "null": "not an object",
    '"run"': "not an object",
    "{}": "no message of type None",
    '{"type":1}': "no message of type 1",
    '{"type":"explode"}': "no message of type 'explode'",
    '{"type":"run"}': "needs on",
    '{"type":"run","on":1}': "give true or false",
    '{"type":"run","on":true,"fast":1}': "has no 'fast'",
    '{"type":"action","values":[1]}': "2 values here, not 1",
    '{"type":"action","values":[1,NaN]}': "not JSON",
    '{"type":"action","values":[1,1e999]}': "finite numbers",
    '{"type":"action","values":[1,true]}': "finite numbers",
    '{"type":"action","values":"ab"}': "finite numbers",
    '{"type":"action","values":[0,0],"seq":-1}': "not negative",
    '{"type":"seek","t":1.5}': "whole number",
    '{"type":"seek","t":' + "9" * 400 + "}": "whole number",
    '{"type":"passes","count":0}': "from 1 to 16",
    '{"type":"passes","count":17}': "from 1 to 16",
    '{"type":"speed","factor":-1}': "0.05 to 16",
    '{"type":"speed","factor":1e300}': "0.05 to 16",
    '{"type":"reset","seed":-3}': "not negative",
    '{"type":"save","format":"exe"}': "mp4, gif",
    '{"type":"ping","number":"' + "x" * 70000 + '"}': "at most",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_message_is_its_command(text: str) -> None:
    command = parse(text, 2)
    assert (command.kind, command.arguments) == (json.loads(text)["type"], GOOD[text])


def test_every_command_is_tried_here() -> None:
    assert {json.loads(text)["type"] for text in GOOD} == set(protocol.COMMANDS)


@pytest.mark.parametrize("text", BAD, ids=[text[:40] for text in BAD])
def test_a_bad_message_is_one_short_sentence(text: str) -> None:
    with pytest.raises(ProtocolError, match=BAD[text]) as error:
        parse(text, 2)
    words = str(error.value)
    assert words.endswith(".") and "\n" not in words and len(words) < 300


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["values", "seq", "edge", "on", "t", "future", "count", "factor", "seed", "format", "x"]
)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60) | st.builds(
    lambda kind, rest: json.dumps({**rest, "type": kind}),
    st.sampled_from(sorted(protocol.COMMANDS)) | st.text(max_size=5),
    st.dictionaries(KEYS, VALUES, max_size=3),
))  # fmt: skip
def test_anything_at_all_is_a_command_or_a_sentence(text: str) -> None:
    try:
        parse(text, 2)
    except ProtocolError as error:
        assert str(error).endswith(".")


def test_a_frame_comes_out_as_it_went_in() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (5, 7, 3), np.uint8) for _ in range(3)]
    header = {"type": "frame", "size": [5, 7], "word": "ä"}
    message = encode_frame(header, pictures)
    found, shown = decode_frame(message)
    assert found == header and all(np.array_equal(a, b) for a, b in zip(shown, pictures, strict=True))
    assert int.from_bytes(message[:4], "little") % 4 == 0, "pixels begin at a multiple of four"


def test_grey_frames_are_sent_in_three_colours() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    _, (shown,) = decode_frame(encode_frame({"size": [2, 3]}, [grey]))
    assert np.array_equal(shown, grey.repeat(3, -1))
