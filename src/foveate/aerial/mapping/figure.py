"""A map as a picture: before and after smoothing side by side, with legend, scale and north."""

from __future__ import annotations

import io
from math import floor, log10
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.legend import Colour
from foveate.aerial.mapping.areas import km2_text
from foveate.aerial.mapping.lettering import INK, SOFT, fitting, write
from foveate.aerial.mapping.tilemap import TileMap

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from foveate.aerial.mapping.mapping import TilesMapped

_PAPER, _GAP = (255, 255, 255), (236, 238, 240)
_MARGIN = 40
_BETWEEN = 36
_PANEL = 760
"""Pixels of the longer side of one of the two maps, at most; at least half of that is used."""

_MOST_A_TILE = 96
_TITLE, _TEXT, _SMALL = 28, 18, 15
_ROW = 28
_COLUMN, _AREA = 450, 90
"""Pixels of a column of the legend, and of a number in it."""

_Entry = tuple[Colour, str, str, str]
"""Of the legend: colour, label, km² before, km² after."""

_BAR = 70
"""Pixels of height for scale and arrow."""


def draw_figure(mapped: TilesMapped, title: str) -> bytes:
    """The figure as PNG.

    Args:
        mapped: the map.
        title: drawn above it.
    """
    from PIL import Image, ImageDraw

    colours = mapped.colours[: len(mapped.labels)]
    scale = _scale(mapped.predicted.shape)
    panels = [painted(one, colours, scale) for one in (mapped.predicted, mapped.smoothed)]
    across, down = panels[0].size
    beside = across <= 1.6 * down
    width = 2 * _MARGIN + (2 * across + _BETWEEN if beside else across)
    width = max(width, 2 * _MARGIN + 2 * _COLUMN)
    columns = max((width - 2 * _MARGIN) // _COLUMN, 1)
    entries = _entries(mapped, colours)
    rows = -(-len(entries) // columns)
    top = _MARGIN + _TITLE + 44
    below = top + (down if beside else 2 * down + _BETWEEN + 10) + 20
    height = below + _BAR + 30 + rows * _ROW + 20 + 2 * 24 + _MARGIN
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    write(draw, (_MARGIN, _MARGIN - 6), fitting(draw, title, width - 2 * _MARGIN, _TITLE), _TITLE)
    names = ("as predicted", f"smoothed, {mapped.center_weight:g} votes for the centre tile")
    for number, (panel, name) in enumerate(zip(panels, names, strict=True)):
        x = _MARGIN + (number * (across + _BETWEEN) if beside else 0)
        y = top + (0 if beside else number * (down + _BETWEEN + 10))
        room = across if beside else width - 2 * _MARGIN
        write(draw, (x, y - 26), fitting(draw, name, room, _TEXT), _TEXT, SOFT)
        image.paste(panel, (x, y))
        draw.rectangle((x - 1, y - 1, x + across, y + down), outline=(160, 168, 176))
    _scale_bar(draw, (_MARGIN, below), mapped.predicted.grid.size / scale, across)
    _north(draw, (width - _MARGIN - 16, below))
    _legend(draw, entries, (_MARGIN, below + _BAR), columns)
    foot = below + _BAR + 30 + rows * _ROW + 12
    for number, line in enumerate(_said(mapped)):
        shown = fitting(draw, line, width - 2 * _MARGIN, _SMALL)
        write(draw, (_MARGIN, foot + 24 * number), shown, _SMALL, SOFT)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def painted(tiles: TileMap, colours: tuple[Colour, ...], scale: float) -> Image:
    """A map in colours.

    Args:
        tiles: the map.
        colours: of its K labels.
        scale: pixels a tile; below 1, the colours of the tiles in a pixel are mixed.
    """
    from PIL import Image

    palette = np.array([_GAP, *colours], np.uint8)
    pixels: NDArray[np.uint8] = palette[tiles.classes + 1]
    image = Image.fromarray(pixels)
    size = tuple(max(round(side * scale), 1) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BOX if scale < 1 else 0)


def round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50, … m that is no longer than `most`."""
    power = 10.0 ** floor(log10(most))
    # What is a power of ten must not fall short of itself.
    return next(step * power for step in (5, 2, 1) if step * power <= most * (1 + 1e-9))


def length_text(metres: float) -> str:
    """A length as people write it: `500 m`, `20 km`."""
    return f"{metres / 1000:,g} km" if metres >= 1000 else f"{metres:g} m"


def _scale(shape: tuple[int, int]) -> float:
    """Pixels a tile: a whole number, unless there are more tiles than pixels."""
    fitting = _PANEL / max(shape)
    return float(min(floor(fitting), _MOST_A_TILE)) if fitting >= 1 else fitting


def _entries(mapped: TilesMapped, colours: tuple[Colour, ...]) -> list[_Entry]:
    """The labels of the map, and what a gap looks like."""
    area = mapped.predicted.grid.area
    counts = zip(mapped.predicted.counts.tolist(), mapped.smoothed.counts.tolist(), strict=True)
    entries = [
        (colour, label, km2_text(before * area), km2_text(after * area))
        for colour, label, (before, after) in zip(colours, mapped.labels, counts, strict=True)
    ]
    rows, cols = mapped.predicted.shape
    if mapped.predicted.tiles < rows * cols:
        entries.append((_GAP, "no tile", "", ""))
    return entries


def _said(mapped: TilesMapped) -> list[str]:
    grid, tiles = mapped.predicted.grid, mapped.predicted.tiles
    refused = f", {mapped.refused:,} more could not be read" if mapped.refused else ""
    crs = grid.crs if len(grid.crs) < 40 else "a system of its own"
    lines = [
        f"n = {tiles:,} tiles of {grid.size:g} m a side{refused}; {crs}, "
        f"grid north is up; smoothing changed {mapped.changed:,} tiles"
    ]
    if mapped.before is not None and mapped.after is not None:
        lines.append(
            f"right on {_share(mapped.before.accuracy.value)} of {mapped.before.n:,} tiles of "
            f"known label as predicted, on {_share(mapped.after.accuracy.value)} when smoothed"
        )
    return lines


def _scale_bar(draw: ImageDraw, at: tuple[int, int], metres: float, room: int) -> None:
    """A bar of a round length; `metres` a pixel."""
    length = round_length(room * metres * 0.4)
    x, y = at[0], at[1] + 12
    end = x + round(length / metres)
    draw.rectangle((x, y, end, y + 7), outline=INK, fill=_PAPER)
    draw.rectangle((x, y, (x + end) // 2, y + 7), fill=INK)
    write(draw, (x, y + 12), "0", _SMALL, SOFT)
    write(draw, (end, y + 12), length_text(length), _SMALL, SOFT, anchor="ma")


def _north(draw: ImageDraw, at: tuple[int, int]) -> None:
    x, y = at
    draw.polygon([(x, y), (x - 9, y + 28), (x, y + 21), (x + 9, y + 28)], fill=INK)
    write(draw, (x, y + 30), "N", _TEXT, anchor="ma")


def _legend(draw: ImageDraw, entries: list[_Entry], at: tuple[int, int], columns: int) -> None:
    rows = -(-len(entries) // columns)
    for number, (colour, label, *areas) in enumerate(entries):
        column, row = divmod(number, rows)
        x, y = at[0] + column * _COLUMN, at[1] + 30 + row * _ROW
        ends = x + _COLUMN - 40 - _AREA, x + _COLUMN - 40
        if not row:
            for end, when in zip(ends, ("km² before", "after"), strict=True):
                write(draw, (end, at[1]), when, _SMALL, SOFT, anchor="ra")
        draw.rectangle((x, y, x + 20, y + 18), fill=colour, outline=(140, 148, 156))
        room = _COLUMN - 30 - 40 - 2 * _AREA
        write(draw, (x + 30, y - 1), fitting(draw, label, room, _TEXT), _TEXT)
        for end, area in zip(ends, areas, strict=True):
            write(draw, (end, y + 1), area, _SMALL, SOFT, anchor="ra")


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"
