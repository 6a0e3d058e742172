"""From predictions to a map that says how good it is, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.aerial.grid import TileKey, parse_key
from foveate.aerial.legend import Legend
from foveate.aerial.legend_table import find_legend
from foveate.aerial.mapping.as_json import map_json
from foveate.aerial.mapping.mapping import TilesMapped, map_tiles
from foveate.aerial.mapping.writing import write_map
from foveate.errors import SettingsError, SourceError
from foveate.evaluation import evaluate
from support.maps import GRID, LABELS, LEFT, TOP, blurred, named, outline, patches, placed_of
from support.rasters import key_at, write_raster


def some_map(
    side: int = 30, *, wrong: float = 0.2, trained: NDArray[np.bool_] | None = None
) -> TilesMapped:
    truth = patches(side)
    return map_tiles(placed_of(blurred(truth, wrong), known=named(truth), trained=trained))


def test_accuracy_before_is_that_of_the_evaluation() -> None:
    truth = patches(30)
    placed = placed_of(blurred(truth, 0.2), known=named(truth))
    mapped = map_tiles(placed)
    evaluation = evaluate(placed.predictions)
    assert mapped.before is not None
    assert mapped.before.n == evaluation.n == 900
    assert mapped.before.accuracy == evaluation.accuracy
    assert (mapped.before.confusion == evaluation.confusion).all()
    for label, one in evaluation.per_class.items():
        assert mapped.before.per_class[label].accuracy == one.accuracy
        assert mapped.before.per_class[label].precision == one.precision


def test_smoothing_is_compared_tile_by_tile() -> None:
    mapped = some_map()
    assert mapped.before is not None
    assert mapped.after is not None
    assert mapped.comparison is not None
    difference = mapped.after.accuracy.value - mapped.before.accuracy.value
    assert mapped.comparison.difference.value == pytest.approx(difference)
    assert mapped.comparison.distinguishable
    assert difference > 0.1
    assert "better than the map as predicted" in mapped.sentence
    assert "image" not in mapped.sentence
    assert mapped.changed == (mapped.predicted.classes != mapped.smoothed.classes).sum()


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**20))
def test_what_was_trained_on_and_what_lies_beside_it_is_not_measured(
    rows: int, cols: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = rows + 1, cols + 1
    classes = rng.integers(0, 3, shape)
    trained = rng.random(shape) < 0.1
    known = named(np.where(rng.random(shape) < 0.2, -1, rng.integers(0, 3, shape)))
    mapped = map_tiles(placed_of(classes, known=known, trained=trained))
    measured = beside = unknown = 0
    for row, col in np.ndindex(shape):
        around = trained[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
        if trained[row, col]:
            continue
        beside += bool(around.any())
        unknown += not around.any() and known[row, col] is None
        measured += not around.any() and known[row, col] is not None
    excluded = mapped.reference.excluded
    assert (mapped.before.n if mapped.before else 0) == measured
    assert (excluded.trained_on, excluded.beside_trained, excluded.unlabelled) == (
        trained.sum(),
        beside,
        unknown,
    )
    assert excluded.tiles + measured == classes.size
    if measured and mapped.areas[0].area.known:
        assert mapped.areas[0].area.n == measured


def test_tiles_that_were_learned_by_heart_do_not_make_the_map_look_better() -> None:
    truth = patches(60)
    trained = np.zeros(truth.shape, bool)
    trained[:, :30] = True
    said = np.where(trained, truth, blurred(truth, 0.3))
    everything = map_tiles(placed_of(said, known=named(truth))).before
    honest = map_tiles(placed_of(said, known=named(truth), trained=trained)).before
    assert everything is not None
    assert honest is not None
    assert everything.accuracy.value > 0.82
    assert 0.65 < honest.accuracy.value < 0.75
    assert honest.n == 60 * 29


def test_nobody_knows_what_was_trained_on() -> None:
    mapped = some_map()
    assert not mapped.reference.excluded.trained_known
    assert any("do not say which tiles the classifier was trained on" in n for n in mapped.notes)
    assert map_json(mapped)["excluded"] == {
        "trained_on": None,
        "beside_trained": None,
        "unlabelled": 0,
        "other_labels": {},
    }
    known = some_map(trained=np.zeros((30, 30), bool))
    assert known.reference.excluded.trained_known
    assert not any("do not say" in note for note in known.notes)


def test_a_label_that_the_classifier_does_not_have_is_an_area_of_its_own() -> None:
    """Tiles of water are mistakes of the map, whatever it says; the areas know of them."""
    truth = patches(40, 4)
    known = named(truth, (*LABELS, "Water"))
    known[np.random.default_rng(0).random(truth.shape) < 0.5] = None
    mapped = map_tiles(placed_of(truth % 3, known=known), center_weight=8)
    assert mapped.reference.labels == (*LABELS, "Water")
    water = int((known == "Water").sum())
    assert mapped.reference.excluded.other_labels == {"Water": water}
    assert mapped.before is not None
    assert mapped.before.accuracy.value == 1
    for label in range(4):
        one = mapped.areas[label].area
        assert one.low <= (truth == label).sum() * GRID.area <= one.high
    assert list(map_json(mapped)["other_labels"]) == ["Water"]


def test_smoothing_that_swallows_a_rare_label_is_said() -> None:
    truth = np.zeros((40, 40), int)
    truth[::4, ::4] = 1
    mapped = map_tiles(placed_of(truth, known=named(truth)))
    assert any("swallows rare labels" in note for note in mapped.notes)
    assert not any("swallows" in note for note in some_map().notes)


def test_without_a_known_label_nothing_is_measured() -> None:
    mapped = map_tiles(placed_of(patches(9)))
    assert mapped.before is mapped.after is mapped.comparison is None
    assert not mapped.reference.known
    assert "--landcover" in mapped.notes[0]
    told = map_json(mapped)
    assert told["before"] is told["difference"] is told["reference"] is None
    assert mapped.sentence == ""


def test_when_nothing_is_left_to_measure() -> None:
    trained = np.zeros((9, 9), bool)
    trained[1::3, 1::3] = True
    mapped = some_map(9, trained=trained)
    assert mapped.before is None
    assert "No tile is left to measure" in mapped.notes[0]
    others = map_tiles(placed_of([[0, 1]], known=np.array([["x", None]], object)))
    assert "No tile has a known label that the classifier has" in others.notes[0]


def test_a_mapped_label_without_a_measured_tile() -> None:
    truth = patches(12)
    known = named(truth)
    known[truth == 2] = None
    mapped = map_tiles(placed_of(truth, known=known), center_weight=8)
    assert not mapped.areas[0].area.known
    assert any("mapped as ‘Undeveloped’" in note for note in mapped.notes)
    assert mapped.before is not None


CODES = Legend("codes", {1: "developed", 2: "Cultivated", 3: "Undeveloped", 4: ""})


def landcover(path: Path, truth: NDArray[np.int64], *, water: bool = False) -> str:
    """Pixels of 56 m, sixteen a tile."""
    codes = np.repeat(np.repeat(truth + 1, 4, 0), 4, 1).astype(np.uint8)
    if water:
        codes[:8] = 4
    size = GRID.size
    return write_raster(
        path, codes, left=LEFT * size, top=(TOP + 1) * size, pixel=size / 4, crs=GRID.crs, nodata=0
    )


def test_against_land_cover(tmp_path: Path) -> None:
    """It counts instead of the known labels; lower case is the same label."""
    truth = patches(20)
    placed = placed_of(blurred(truth, 0.2), known=named((truth + 1) % 3))
    path = landcover(tmp_path / "lc.tif", truth, water=True)
    mapped = map_tiles(placed, landcover=path, legend=CODES)
    assert mapped.before is not None
    assert mapped.before.n == 20 * 18
    assert 0.7 < mapped.before.accuracy.value < 0.9
    assert mapped.reference.excluded.unlabelled == 40
    assert mapped.reference.labels == LABELS
    assert str(path) in mapped.reference.source


def test_land_cover_that_does_not_fit(tmp_path: Path) -> None:
    truth = patches(6)
    placed = placed_of(truth)
    path = landcover(tmp_path / "lc.tif", truth)
    with pytest.raises(SourceError, match="Choose the --legend"):
        map_tiles(placed, landcover=path, legend=Legend("l", {1: "a", 2: "b", 3: "c"}))
    with pytest.raises(SettingsError, match="does not know"):
        map_tiles(placed, landcover=path, legend=Legend("l", {1: "Developed", 2: "b"}))
    size = GRID.size
    away = write_raster(
        tmp_path / "away.tif", np.ones((4, 4), np.uint8), left=0, top=size, crs=GRID.crs
    )
    with pytest.raises(SourceError, match="Do they overlap"):
        map_tiles(placed, landcover=away, legend=CODES)


def test_every_form_says_the_same(tmp_path: Path) -> None:
    truth = patches(25)
    said = blurred(truth, 0.2)
    said[0, :4] = [-1, -9, -9, -1]
    known = named(truth)
    known[5:8] = None
    trained = np.zeros(truth.shape, bool)
    trained[20:] = True
    mapped = map_tiles(placed_of(said, known=known, trained=trained))
    files = write_map(mapped, str(tmp_path / "map"), "A county")
    assert set(files) == {*("classes", "classes_smoothed", "confidence", "tiles", "figure", "page")}
    assert mapped.refused == 2
    rows = pq.read_table(files["tiles"]).to_pylist()
    assert len(rows) == mapped.predicted.tiles == 25 * 25 - 4
    with (
        rasterio.open(files["classes"]) as first,
        rasterio.open(files["classes_smoothed"]) as second,
        rasterio.open(files["confidence"]) as third,
    ):
        for row in rows:
            key = parse_key(row["id"])
            centre = [GRID.centre(key)]
            assert row["predicted"] == LABELS[next(first.sample(centre))[0] - 1]
            assert row["smoothed"] == LABELS[next(second.sample(centre))[0] - 1]
            assert row["probability"] == next(third.sample(centre))[0]
            down, across = TOP - key.row, key.col - LEFT
            assert row["label"] == known[down, across]
            assert row["trained_on"] == trained[down, across]
            assert row["geometry"] == outline(GRID, key)
    assert shapely.from_wkb(rows[0]["geometry"]).bounds == GRID.bounds(parse_key(rows[0]["id"]))
    geo = json.loads(pq.read_schema(files["tiles"]).metadata[b"geo"])
    assert geo["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 26914}
    assert (tmp_path / "map" / "classes.tif.aux.xml").exists()


def test_json_is_plain_and_adds_up() -> None:
    mapped = some_map(trained=np.eye(30, dtype=bool))
    told = json.loads(json.dumps(map_json(mapped)))
    assert sum(one["tiles"] for one in told["labels"].values()) == told["tiles"] == 900
    total = 900 * GRID.area
    for name in ("km2", "smoothed_km2", "adjusted_km2"):
        assert sum(one[name] for one in told["labels"].values()) == pytest.approx(total)
    for one in told["labels"].values():
        low, high = one["adjusted_km2_ci95"]
        assert low < one["adjusted_km2"] < high
        assert one["accuracy_ci95"][0] <= one["accuracy"] <= one["accuracy_ci95"][1]
    assert told["difference"] == pytest.approx(
        told["after"]["accuracy"] - told["before"]["accuracy"]
    )
    assert np.sum(told["before"]["confusion"]) == told["before"]["n"]
    assert told["excluded"]["trained_on"] == 30
    assert told["grid"]["rows"] == told["grid"]["cols"] == 30


def test_the_land_of_a_state(shared_data: Path) -> None:
    """Real land cover in another system than the grid's."""
    raster = shared_data / "geo" / "nlcd" / "rhode_island_nlcd.tif"
    if not raster.exists():
        pytest.skip("../shared/data/geo is not here")
    legend = find_legend("nlcd-groups")
    with rasterio.open(raster) as opened:
        bounds = opened.bounds
    from rasterio.warp import transform

    middle = transform(
        opened.crs,
        "EPSG:26919",
        [(bounds.left + bounds.right) / 2],
        [(bounds.top + bounds.bottom) / 2],
    )
    grid = type(GRID)("EPSG:26919", 224, 1)
    start = key_at(grid, middle[0][0], middle[1][0])
    labels = tuple(legend.names)
    placed = placed_of(np.full((20, 20), labels.index("Forest")), labels=labels, grid=grid)
    moved = type(placed)(
        placed.predictions,
        grid,
        placed.rows - TOP + start.row,
        placed.cols - LEFT + start.col,
        placed.years,
    )
    mapped = map_tiles(moved, landcover=str(raster), legend=legend)
    assert mapped.predicted.key(0, 0) == TileKey(start.row, start.col)
    assert mapped.before is not None
    # It is mostly forest; all tiles say so, and smoothing has nothing to change.
    assert mapped.before.accuracy.value > 0.4
    assert mapped.before.accuracy == mapped.after.accuracy
    assert mapped.before.per_class["Forest"].accuracy.value == 1
    assert mapped.before.n + mapped.reference.excluded.unlabelled == 400
