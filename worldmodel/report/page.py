"""Self-contained HTML pages from the Jinja2 templates beside this file: pictures and films are embedded, nothing is
loaded. Text is escaped; what these functions return is HTML."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from worldmodel.report.wording import between, decimal, percent, rate, times


@dataclass(frozen=True)
class Section:
    """A heading and its content as HTML."""

    title: str
    content: str


@dataclass(frozen=True)
class Card:
    """A headline number and what it says, as plain text."""

    number: str
    meaning: str


@dataclass(frozen=True)
class Footage:
    """A looping video with a strip of its frames, for print and browsers without video; mp4 None: the strip alone."""

    mp4: bytes | None
    strip: bytes
    caption: str


def render(template: str, **values: Any) -> str:
    """A template with its values; whatever is SVG or HTML already must be a Markup."""
    return _TEMPLATES.get_template(template).render(**values)


def page(title: str, lead: str, cards: Sequence[Card], sections: Sequence[Section], foot: str) -> str:
    """The whole page. title: text; lead, foot: HTML."""
    content = [Section(section.title, Markup(section.content)) for section in sections]
    return render(
        "page.html", title=title, lead=Markup(lead), cards=cards, sections=content, foot=Markup(foot)
    )


def paragraph(*sentences: str, soft: bool = False) -> str:
    """Sentences as one paragraph; empty ones are left out."""
    return str(_piece("paragraph")(" ".join(sentence for sentence in sentences if sentence), soft))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table that scrolls sideways where the screen is narrow. What follows a line break in a cell is set small."""
    return str(_piece("table")(header, rows, caption))


def drawing(svg: str, caption: str) -> str:
    """An inline SVG with its caption."""
    return str(_piece("drawing")(Markup(svg), caption))


def film(mp4: bytes | None, strip: bytes, caption: str) -> str:
    """See Footage."""
    return str(_piece("film")(mp4, strip, caption))


def _piece(name: str) -> Any:
    return getattr(_TEMPLATES.get_template("pieces.html").module, name)


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


_TEMPLATES = Environment(
    loader=PackageLoader("worldmodel.report"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "at": lambda values, horizons: [values[h - 1] for h in horizons],
    "data": _data,
    "decimal": decimal,
    "interval": between,
    "json": partial(json.dumps, sort_keys=True),
    "percent": percent,
    "rate": rate,
    "times": times,
}
