"""Tests of foveate.aerial.change.page and of the pictures in it."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.aerial.address import TileAddress, View
from foveate.aerial.change import page as page_module
from foveate.aerial.change.change import Changes, find_changes
from foveate.aerial.change.page import change_page
from foveate.aerial.change.result import write_changes
from foveate.aerial.change.surroundings import SIDE, Surroundings
from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import Grid, TileKey
from support.maps import blurred, named, patches, placed_of, predictions_of
from support.rasters import LEFT, TOP, UTM, key_at, write_raster

HOSTILE = "Developed <script>alert('x')</script>\"&"
TILE = 40
WIDE, PIXELS = Grid(UTM, 40, 1), 3 * TILE
KEY = key_at(WIDE, LEFT + 1, TOP - 1)
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that elements nest, and collects text, tags and attributes."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u202f", " ").split())


def placed_at(
    paths: dict[TileKey, str], label: int = 0, grid: Grid = WIDE
) -> GeoreferencedPredictions:
    rows, cols = (np.array([getattr(key, part) for key in paths]) for part in ("row", "col"))
    predictions = predictions_of(list(paths.values()), [label] * len(paths))
    return GeoreferencedPredictions(predictions, grid, rows, cols, (None,) * len(paths))


def around(key: TileKey) -> list[TileKey]:
    """From the upper left to the lower right."""
    return [TileKey(key.row - r, key.col + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]


def drawn(seed: int = 0) -> np.ndarray:
    """(3, 3 tiles, 3 tiles) smooth, so that no resampling can change it much."""
    y, x = np.mgrid[:PIXELS, :PIXELS] / PIXELS
    return (np.stack([x, y, 1 - x]) * 200 + 20 + seed).astype(np.uint8)


def address(path: str, key: TileKey, view: View | None = None) -> str:
    return str(TileAddress(path, key, WIDE, view or View()))


def test_a_tile_lies_in_the_middle_of_its_surroundings(tmp_path: Path) -> None:
    values = drawn()
    key = TileKey(KEY.row - 1, KEY.col + 1)
    path = write_raster(tmp_path / "naip.tif", values)
    shown = Surroundings(placed_at({key: address(path, key)})).pixels(0)
    np.testing.assert_array_equal(shown, values.transpose(1, 2, 0))


def test_what_one_raster_lacks_its_neighbours_have(tmp_path: Path) -> None:
    values = drawn()
    key = TileKey(KEY.row - 1, KEY.col + 1)
    west = write_raster(tmp_path / "west.tif", values[:, :, : 2 * TILE])
    east = write_raster(tmp_path / "east.tif", values[:, :, 2 * TILE :], left=LEFT + 2 * TILE)
    paths = {one: address(east if one.col > key.col else west, one) for one in around(key)}
    shown = Surroundings(placed_at(paths)).pixels(4)
    np.testing.assert_array_equal(shown, values.transpose(1, 2, 0))
    alone = Surroundings(placed_at({key: paths[key]})).pixels(0)
    np.testing.assert_array_equal(alone[:, : 2 * TILE], shown[:, : 2 * TILE])
    assert (alone[:, 2 * TILE :] == 225).all()


def test_tiles_that_are_files_are_pasted_together(tmp_path: Path) -> None:
    values = drawn().transpose(1, 2, 0)
    key = TileKey(5, 7)
    paths = {}
    for number, one in enumerate(around(key)):
        y, x = (part * TILE for part in divmod(number, 3))
        path = tmp_path / f"{one}.png"
        Image.fromarray(values[y : y + TILE, x : x + TILE]).save(path)
        paths[one] = str(path)
    shown = Surroundings(placed_at(paths)).pixels(4)
    np.testing.assert_array_equal(shown, values)
    Path(paths[TileKey(6, 6)]).unlink()  # a neighbour has gone
    holed = Surroundings(placed_at(paths)).pixels(4)
    assert (holed[:TILE, :TILE] == 225).all()
    np.testing.assert_array_equal(holed[TILE:], values[TILE:])


def test_bands_and_stretch_are_those_of_the_tile(tmp_path: Path) -> None:
    values = (np.ones((4, PIXELS, PIXELS)) * np.array([1, 2, 3, 4])[:, None, None] * 1000).astype(
        np.uint16
    )
    path = write_raster(tmp_path / "deep.tif", values)
    view = View((4, 1, 2), (1000, 4000))
    shown = Surroundings(placed_at({KEY: address(path, KEY, view)})).pixels(0)
    assert shown[TILE + 1, TILE + 1].tolist() == [255, 0, 85]


def test_large_tiles_are_drawn_small(tmp_path: Path) -> None:
    grid = Grid(UTM, 240, 1)
    path = write_raster(tmp_path / "large.tif", np.full((3, 720, 720), 90, np.uint8))
    key = key_at(grid, LEFT + 1, TOP - 1)
    one = placed_at({key: str(TileAddress(path, key, grid))}, grid=grid)
    assert Surroundings(one).pixels(0).shape == (3 * SIDE, 3 * SIDE, 3)


def test_what_has_gone_is_no_picture(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for path in (address(str(tmp_path / "gone.tif"), KEY), str(tmp_path / "gone.png"), str(broken)):
        assert Surroundings(placed_at({KEY: path})).picture(0) is None


def growth(tmp_path: Path) -> Changes:
    """A raster of 3 × 3 tiles that became developed but for one."""
    years = []
    for year, label in ((2012, 2), (2018, 0)):
        path = write_raster(tmp_path / f"naip_{year}0716.tif", drawn(year - 2012))
        keys = around(TileKey(KEY.row - 1, KEY.col + 1))
        one = placed_at({key: address(path, key) for key in keys}, label)
        one.predictions.probabilities[0] = [0, 1, 0]
        years.append(
            GeoreferencedPredictions(one.predictions, WIDE, one.rows, one.cols, (year,) * len(keys))
        )
    return find_changes(*years, draws=200)


def pictures(page: Page) -> list[np.ndarray]:
    urls = [value or "" for name, value in page.attributes if name == "src"]
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))) for url in urls
    ]


def test_the_page_shows_both_years_of_each_candidate(tmp_path: Path) -> None:
    changes = growth(tmp_path)
    page = Page(change_page(changes, shown=400))
    first, *shown = pictures(page)
    assert len(shown) == 2 * 8
    for number, row in enumerate(changes.candidates):
        for year, one in enumerate((changes.a, changes.b)):
            pixels = Surroundings(one).pixels(int(row)).astype(int)
            assert np.abs(shown[2 * number + year].astype(int) - pixels).mean() < 4  # JPEG
    assert first.shape == (3, 3, 4)  # the map: red where it became developed
    assert (first.reshape(9, 4) == [235, 0, 0, 255]).all(axis=1).sum() == 8
    assert "8 of 9 tiles seem to have changed" in page.text
    assert "2012 to 2018" in page.text


def test_the_page_loads_and_runs_nothing(tmp_path: Path) -> None:
    page = change_page(growth(tmp_path), shown=400)
    found = Page(page)
    assert "script" not in found.tags
    assert b"default-src 'none'" in page
    links = [value for name, value in found.attributes if name in ("src", "href")]
    assert all((value or "").startswith("data:image/") for value in links)
    assert not any(name.startswith("on") for name, _ in found.attributes)


def test_hostile_labels_are_text() -> None:
    labels = (HOSTILE, "b</td>", "{{ 7 * 7 }}")
    a, b = placed_of([[1, 2, 1]], labels=labels), placed_of([[0, 0, 1]], labels=labels)
    html = change_page(find_changes(a, b, draws=200), "<b>title", shown=5)
    page = Page(html)
    assert b"<script" not in html
    assert HOSTILE in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "<b>title" in page.text
    assert "cannot be shown" in page.text  # their raster is not there


def test_the_page_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = growth(tmp_path)
    fewer = Page(change_page(changes, shown=3))
    assert len(pictures(fewer)) == 1 + 2 * 3
    assert "3 of 8 are shown" in fewer.text
    monkeypatch.setattr(page_module, "MOST_BYTES", 10_000)
    monkeypatch.setattr(page_module, "MOST_ROWS", 4)
    short = Page(change_page(changes, shown=400))
    assert 1 < len(pictures(short)) < 1 + 2 * 8
    assert "The first 4; candidates.parquet has them all." in short.text


def test_numbers_of_the_page_are_those_of_the_changes() -> None:
    truth = patches(30)
    a = placed_of(blurred(truth, 0.1), known=named(truth))
    b = placed_of(blurred(truth, 0.15, seed=2), known=named(truth))
    changes = find_changes(a, b, draws=200)
    text = Page(change_page(changes, shown=0)).text
    for flow in changes.flows():
        assert f"{flow.tiles:,} " in text
        if flow.start != flow.end:
            assert flow.told.partition(" (")[0] in text
    assert changes.changed.told in text
    assert "900 tiles" in text


@pytest.mark.parametrize("count", [1, 17])
def test_one_tile_and_many_labels(count: int) -> None:
    labels = ("developed", *(f"label {n}" for n in range(count)))
    one = placed_of([[0]], labels=labels)
    page = Page(change_page(find_changes(one, one, draws=200), shown=4))
    assert "0 of 1 tile" in page.text
    assert ("framed: more than error" in page.text.lower()) == (count == 1)


def test_files_are_written(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    paths = write_changes(
        growth(tmp_path),
        str(tmp_path / "new" / "folder"),
        progress=lambda stage, done, total, note="": told.append((stage, done, total)),
    )
    assert sorted(Path(path).name for path in paths.values()) == [
        "candidates.parquet",
        "change.html",
        "from_to.csv",
    ]
    assert all(Path(path).stat().st_size > 100 for path in paths.values())
    assert told[-1][1:] == (8, 8)
