"""Pieces of HTML. Text arguments are plain text and are escaped here; results are HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape


def paragraph(*sentences: str, soft: bool = False) -> str:
    """Sentences as one paragraph; empty ones are left out."""
    text = escape(" ".join(sentence for sentence in sentences if sentence))
    return f"<p{' class=soft' if soft else ''}>{text}</p>\n" if text else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table that scrolls sideways where the screen is narrow. What follows a line break in a cell is set small."""
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    rows_of_cells = f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>"
    return f"<div class=scroll><table>{rows_of_cells}</table></div>\n{paragraph(caption, soft=True)}"


def _cell(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{escape(first)}<br><small>{escape(rest)}</small>" if rest else escape(first)


def drawing(svg: str, caption: str) -> str:
    """An inline SVG with its caption."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"


def film(mp4: bytes | None, strip: bytes, caption: str) -> str:
    """A looping video with a strip of its frames, for print and browsers without video; without mp4 the strip alone."""
    still = f'<img alt="{escape(caption)}" src="{_data("image/png", strip)}">'
    if mp4 is None:
        return f"<figure>{still}<figcaption>{escape(caption)}</figcaption></figure>\n"
    pause, source = "this.paused ? this.play() : this.pause()", _data("video/mp4", mp4)
    moving = f'<video autoplay loop muted playsinline onclick="{pause}" src="{source}">{still}</video>'
    frames = f"<details><summary>single frames</summary>{still}</details>"
    return f"<figure>{moving}<figcaption>{escape(caption)}</figcaption>{frames}</figure>\n"


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
