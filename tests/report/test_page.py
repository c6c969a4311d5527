"""The page stands alone, is well-formed, and shows text as text."""

from html.parser import HTMLParser

import numpy as np

from worldmodel.report.page import Card, Section, drawing, film, page, paragraph, table
from worldmodel.report.plots import Bar, Line, bar_plot, line_plot
from worldmodel.report.video import encode_png

VOID = {"meta", "img", "br", "path", "use", "rect"}


class Structure(HTMLParser):
    """Collects open tags, ids and every address that is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "poster"):
                self.loaded.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def structure(html: str) -> Structure:
    """Parsed; fails where tags do not nest."""
    parsed = Structure()
    parsed.feed(html)
    assert not parsed.open
    return parsed


def plot(name: str) -> str:
    return line_plot(
        name, [Line("a", [1, 2], [1, 2], "#112233"), Line("b", [1, 2], [2, 1], "#332211")], "x", "y"
    )


def whole_page() -> str:
    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    content = (
        paragraph("One.", "", "Two.") + table(["a", "b"], [["1", "2"]], "caption") + film(b"mp4", png, "film")
    )
    sections = [
        Section("First", content),
        Section("Plots", drawing(plot("one"), "c") + drawing(plot("two"), "d")),
    ]
    return page("Title", paragraph("Lead."), [Card("1 dB", "more")], sections, paragraph("Foot.", soft=True))


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    parsed = structure(whole_page())
    assert parsed.loaded and all(address.startswith(("data:", "#")) for address in parsed.loaded)
    assert "http" not in whole_page().replace("http://www.w3.org", "")


def test_ids_of_several_plots_do_not_collide() -> None:
    """Browsers take the first element with an id: the second plot would be drawn with the first one's clip paths."""
    ids = structure(whole_page()).ids
    assert ids and len(ids) == len(set(ids))


def test_references_inside_a_plot_are_to_its_own_ids() -> None:
    parsed = structure(plot("one"))
    assert {address[1:] for address in parsed.loaded} <= set(parsed.ids)


def test_text_is_escaped() -> None:
    nasty = "<script>1 & 2</script>"
    html = page(
        nasty, paragraph(nasty), [Card(nasty, nasty)], [Section(nasty, table([nasty], [[nasty]]))], ""
    )
    assert "<script>" not in html and "&lt;script&gt;1 &amp; 2" in html


def test_plots_take_the_pages_ink_and_are_the_same_again() -> None:
    bars = [Bar("first", -3.0, -4.0, -2.0, "#112233"), Bar("second", 1.0, 0.5, 1.5, "#332211")]
    for svg, again in (
        (plot("p"), plot("p")),
        (bar_plot("q", bars, "return"), bar_plot("q", bars, "return")),
    ):
        assert svg.startswith("<svg") and "currentColor" in svg and "#010203" not in svg
        assert svg == again
    assert "first" in bar_plot("q", bars, "return") and ">x<" in plot("p")


def test_without_a_video_the_strip_is_shown_at_once() -> None:
    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    assert "<video" not in film(None, png, "caption") and "data:image/png" in film(None, png, "caption")
    assert film(b"x", png, "caption").index("<video") < film(b"x", png, "caption").index("data:image/png")


def test_names_in_plots_are_text() -> None:
    """With two dollar signs a name would be read as a formula, which need not be one."""
    lines = [Line(name, [0, 1], [0.0, 1.0], "#ff0000", "-") for name in ("$x_$ <b>", "other")]
    drawn = line_plot("a", lines, "step", "value")
    assert "$x_$ &lt;b&gt;" in drawn
