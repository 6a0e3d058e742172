"""Text on figures, in the font that Pillow brings, or in one that has the letters."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from foveate.aerial.legend import Colour
from foveate.evaluation.svg import shortened

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

INK, SOFT = (27, 33, 38), (91, 101, 110)

_OWN = frozenset(map(chr, range(32, 127))) | frozenset("©«°±´·»‘’“”…‹›⁄™")
"""What Pillow's own font has: little more than ASCII."""

_OTHERS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf", "Helvetica.ttc")
"""Fonts of operating systems, which have letters with accents and other alphabets."""


def write(
    draw: ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: Colour = INK,
    *,
    anchor: str = "la",
) -> None:
    """Write a line; `²` is a raised 2, which Pillow's font does not have.

    Args:
        draw: where.
        at: x and y of the anchor.
        text: any; letters that no font here has lose their accents, or become `?`.
        size: pixels.
        colour: of the letters.
        anchor: `la` for the left end, `ma` for the middle, `ra` for the right end.
    """
    x = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * length(draw, text, size)
    for number, part in enumerate(text.split("²")):
        if number:
            small = _font(round(size * 0.65))
            draw.text((x, at[1] + size * 0.02), "2", fill=colour, font=small)
            x += draw.textlength("2", small)
        shown, font = _set(part, size)
        draw.text((x, at[1]), shown, fill=colour, font=font)
        x += draw.textlength(shown, font)


def length(draw: ImageDraw, text: str, size: int) -> float:
    """Pixels that a line takes."""
    raised = draw.textlength("2", _font(round(size * 0.65))) * text.count("²")
    parts = (_set(part, size) for part in text.split("²"))
    return raised + sum(draw.textlength(shown, font) for shown, font in parts)


def fitting(draw: ImageDraw, text: str, room: float, size: int) -> str:
    """The text, cut so that it fits into so many pixels."""
    letters = len(text)
    while letters > 1 and length(draw, shortened(text, letters), size) > room:
        letters -= 1
    return shortened(text, letters)


def _set(text: str, size: int) -> tuple[str, FreeTypeFont]:
    """A text without `²` as it can be shown, and the font for it."""
    text = " ".join(text.splitlines())
    if set(text) <= _OWN:
        return text, _font(size)
    other = _other(size)
    if other is not None:
        return text, other
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if c in _OWN else "?" for c in plain), _font(size)


@lru_cache(maxsize=64)
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - the other kind has no size
    return font


@lru_cache(maxsize=64)
def _other(size: int) -> FreeTypeFont | None:
    from PIL import ImageFont

    for name in _OTHERS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
