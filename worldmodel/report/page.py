"""The report page: one HTML file that needs nothing else, light and dark, on a screen or a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --soft: #5b6572; --paper: #fdfdfc; --card: #f2f2ef; --line: #d9d9d4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e9; --soft: #98a1ad; --paper: #16181c; --card: #1f2227; --line: #363b43; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 54rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0; max-width: 44rem; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.card { background: var(--card); border-radius: .5rem; padding: .75rem .9rem; }
.card b { display: block; font-size: 1.35rem; line-height: 1.3; }
.card span { color: var(--soft); font-size: .875rem; }
figure { margin: 1.25rem 0; }
figure svg { width: 100%; max-width: 36rem; height: auto; display: block; color: var(--ink); }
figure video, figure img { max-width: 100%; height: auto; display: block; border-radius: .4rem; background: #17191d; }
figcaption { margin-top: .35rem; }
details { margin: .35rem 0; } summary { cursor: pointer; color: var(--soft); font-size: .875rem; }
.scroll { overflow-x: auto; margin: 1rem 0 .35rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
@media (max-width: 40rem) {
  table { font-size: .8rem; } th, td { padding: .3rem .4rem; }
  th:first-child, td:first-child { white-space: normal; }
}
code { font-size: .85em; background: var(--card); padding: .1em .3em; border-radius: .25rem; overflow-wrap: anywhere; }
"""


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


def page(title: str, lead: str, cards: Sequence[Card], sections: Sequence[Section], foot: str) -> str:
    """The whole page. title: text; lead, foot: HTML."""
    numbers = "".join(
        f"<div class=card><b>{escape(c.number)}</b><span>{escape(c.meaning)}</span></div>" for c in cards
    )
    body = "".join(f"<section><h2>{escape(s.title)}</h2>\n{s.content}</section>\n" for s in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{lead}
<div class="cards">{numbers}</div>
{body}
<footer>{foot}</footer>
</body>
</html>
"""
