"""The picture of a map: legible for few tiles and for many."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from foveate.aerial.legend import colours_of
from foveate.aerial.mapping.figure import draw_figure, length_text, painted, round_length
from foveate.aerial.mapping.lettering import fitting, length, write
from foveate.aerial.mapping.mapping import map_tiles
from foveate.aerial.mapping.tilemap import tile_map
from support.maps import LABELS, blurred, named, patches, placed_of

COLOURS = tuple(colours_of(LABELS))


@given(st.floats(0.01, 1e7))
def test_scale_bars_have_round_lengths(most: float) -> None:
    length = round_length(most)
    assert most / 2.5 - 1e-9 <= length <= most * (1 + 1e-6)
    assert f"{length:.3g}".strip("0.e+-")[0] in "125"


def test_lengths_as_text() -> None:
    assert [length_text(one) for one in (0.5, 200, 1000, 50_000, 2_000_000)] == [
        *("0.5 m", "200 m", "1 km", "50 km", "2,000 km")
    ]
    assert round_length(1000) == 1000
    assert round_length(999) == 500


def test_tiles_are_painted_in_their_colours() -> None:
    tiles = tile_map(placed_of([[0, 1], [2, -9]]))
    pixels = np.asarray(painted(tiles, COLOURS, 8))
    assert pixels.shape == (16, 16, 3)
    assert tuple(pixels[0, 0]) == COLOURS[0]
    assert tuple(pixels[7, 8]) == COLOURS[1]
    assert tuple(pixels[8, 7]) == COLOURS[2]
    assert tuple(pixels[15, 15]) not in COLOURS


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (4, 5), (800, 12), (3, 400), (120, 110)])
def test_before_and_after_of_any_shape(rows: int, cols: int) -> None:
    truth = patches(max(rows, cols))[:rows, :cols]
    mapped = map_tiles(placed_of(blurred(truth, 0.2), known=named(truth)))
    image = Image.open(io.BytesIO(draw_figure(mapped, "A county, 2018")))
    assert image.mode == "RGB"
    assert 600 < image.width < 2000
    assert 300 < image.height < 2200
    colours = {colour for _, colour in image.getcolors(1 << 24) or ()}
    there = set(np.unique(mapped.predicted.classes).tolist())
    assert {COLOURS[k] for k in there} <= colours
    assert np.asarray(image)[-1].min() == 255  # nothing runs into the border
    assert np.asarray(image)[:, -1].min() == 255


def test_the_two_sides_differ_where_smoothing_did() -> None:
    classes = np.zeros((9, 9), int)
    classes[4, 4] = 1
    mapped = map_tiles(placed_of(classes))
    pixels = np.asarray(Image.open(io.BytesIO(draw_figure(mapped, "one tile"))))
    found = np.argwhere((pixels == COLOURS[1]).all(axis=2))
    area = found[:, 1] < pixels.shape[1] / 2
    # The tile is on the left, the legend has one more square.
    assert area.sum() > 60 * 60
    assert (~area).sum() < 30 * 30


def test_many_labels_and_long_names() -> None:
    labels = tuple(f"a label with a name as long as labels come {number}" for number in range(40))
    classes = np.arange(1600).reshape(40, 40) % 40
    data = draw_figure(map_tiles(placed_of(classes, labels=labels)), "title " * 60)
    image = Image.open(io.BytesIO(data))
    assert np.asarray(image)[:, -1].min() == 255
    assert image.height < 2500


def test_letters() -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (400, 80), (255, 255, 255)))
    assert length(draw, "km²", 18) > length(draw, "km", 18)
    write(draw, (200, 10), "Ödland → 森林, 12 km²\nnext", 18, anchor="ma")
    assert length(draw, fitting(draw, "many words " * 30, 300, 18), 18) <= 300
    assert fitting(draw, "short", 300, 18) == "short"
    assert fitting(draw, "", 300, 18) == ""


def test_letters_where_no_other_font_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from foveate.aerial.mapping import lettering

    monkeypatch.setattr(lettering, "_OTHERS", ("there is no such font.ttf",))
    lettering._other.cache_clear()
    assert lettering._set("Ödland → 森", 18)[0] == "Odland ? ?"
    lettering._other.cache_clear()
