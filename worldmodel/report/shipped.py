"""`worldmodel zoo`: the worlds that come with the package."""

from __future__ import annotations

from worldmodel import zoo as shelf
from worldmodel.files import read_json
from worldmodel.report.card import CARD

_HEADER = ["name", "environment", "frames", "PSNR at 8 (copy)", "MB"]


def zoo() -> None:
    """Print a line for each: what it shows, and how close to reality its eighth imagined frame is, in dB, beside a copy
    of the last real frame."""
    names = shelf.names()
    if not names:
        print("No world comes with this installation.")
        return
    table = [_HEADER, *(_row(name) for name in names)]
    widths = [max(len(row[k]) for row in table) for k in range(len(_HEADER))]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f'\ngymnasium.make("worldmodel/Dream-v0", checkpoint="{names[0]}"); the cards are in {shelf.SHELF}')


def _row(name: str) -> list[str]:
    card = read_json(shelf.folder(name) / CARD)
    height, width, _ = card["frame_shape"]
    psnr = "-" if card["figures"] is None else _at_8(card["figures"]["psnr"])
    return [name, card["env"]["id"], f"{width}x{height}", psnr, f"{card['megabytes']:.1f}"]


def _at_8(psnr: dict[str, dict[str, float]]) -> str:
    dream, copied = (psnr[row].get("8") for row in ("dream", "copy"))
    return "-" if dream is None or copied is None else f"{dream:.1f} ({copied:.1f})"
