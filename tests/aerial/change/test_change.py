"""Tests of foveate.aerial.change and what belongs to it: pairing, labels, words and files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foveate.aerial.change.change import Changes, find_changes
from foveate.aerial.change.labels import parse_labels
from foveate.aerial.change.result import candidates_parquet, changes_json, from_to_csv
from foveate.aerial.change.words import remarks, sentences
from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import Grid
from foveate.errors import FoveateError, SettingsError, SourceError
from support.maps import GRID, LABELS, blurred, named, outline, patches, placed_of

DEVELOPED, CULTIVATED, UNDEVELOPED = range(3)


def changes_of(
    a: GeoreferencedPredictions, b: GeoreferencedPredictions, to: list[str] | None = None
) -> Changes:
    return find_changes(a, b, to_labels=to, draws=200)


def told(changes: Changes) -> str:
    return " ".join(remarks(changes))


def test_a_matrix_by_hand() -> None:
    a = placed_of([[0, 1, 2], [1, 1, 2]])
    b = placed_of([[0, 0, 2], [1, 0, 1]])
    changes = changes_of(a, b)
    assert changes.matrix.tolist() == [[1, 0, 0], [2, 1, 0], [0, 1, 1]]
    assert changes.changed.tiles == 3
    assert changes.changed.km2 == pytest.approx(3 * 0.224**2)
    assert changes.development.tiles == 2
    assert changes.to_labels == ("Developed",)  # and not ‘Undeveloped’
    assert changes.from_labels == ("Cultivated", "Undeveloped")


def test_only_common_tiles_are_compared() -> None:
    gap = -9
    a = placed_of([[0, 1, gap, -1, 0]], gap=gap)
    b = placed_of([[gap, 1, 1, 1, 1]], gap=gap)
    changes = changes_of(a, b)
    assert (len(changes), changes.only_a, changes.only_b, changes.refused) == (2, 1, 1, 1)
    assert changes.matrix.sum() == 2
    assert "1 tile is only in A, and not compared." in told(changes)
    assert "1 tile is left out: they could not be read" in told(changes)


def test_the_order_of_the_rows_does_not_matter() -> None:
    truth = patches(12)
    a, b = placed_of(blurred(truth, 0.2)), placed_of(blurred(truth, 0.2, seed=2))
    mixed = b.take(np.random.default_rng(0).permutation(len(b)))
    one, two = changes_of(a, b), changes_of(a, mixed)
    assert candidates_parquet(one) == candidates_parquet(two)
    assert from_to_csv(one) == from_to_csv(two)


def test_labels_in_another_order_are_the_same_labels() -> None:
    a, b = placed_of([[0, 1, 2, 2]]), placed_of([[0, 0, 2, 1]])
    turned = replace(
        b,
        predictions=replace(
            b.predictions,
            labels=LABELS[::-1],
            probabilities=b.predictions.probabilities[:, ::-1],
        ),
    )
    assert changes_of(a, turned).matrix.tolist() == changes_of(a, b).matrix.tolist()


def test_candidates_are_ranked_by_the_probability_of_both_ends() -> None:
    a, b = placed_of([[2, 2, 1, 2, 0]]), placed_of([[0, 0, 0, 2, 0]])
    # Developed, Cultivated, Undeveloped
    a.predictions.probabilities[:] = [
        [0.40, 0.10, 0.50],
        [0.02, 0.48, 0.50],  # wavers, but not about being developed
        [0.10, 0.90, 0.00],
        [0.30, 0.30, 0.40],
        [0.90, 0.05, 0.05],
    ]
    b.predictions.probabilities[:] = [
        [0.90, 0.05, 0.05],
        [0.90, 0.05, 0.05],
        [0.95, 0.05, 0.00],
        [0.30, 0.30, 0.40],
        [0.90, 0.05, 0.05],
    ]
    changes = changes_of(a, b)
    assert changes.candidates.tolist() == [1, 2, 0]
    np.testing.assert_allclose(changes.confidence, [0.98 * 0.9, 0.9 * 0.95, 0.6 * 0.9], rtol=1e-6)


def test_from_and_to_choose_the_candidates() -> None:
    a, b = placed_of([[2, 1, 1, 0]]), placed_of([[0, 0, 2, 1]])
    some = find_changes(a, b, from_labels=["cultivated"], to_labels=["Undeveloped,developed"])
    assert some.to_labels == ("Undeveloped", "Developed")
    assert sorted(some.candidates.tolist()) == [1, 2]
    assert some.development.tiles == 2


@pytest.mark.parametrize(
    ("labels", "to"),
    [
        (("Urban", "Forest", "Suburban field"), ("Urban",)),
        (("developed_land", "undeveloped_land"), ("developed_land",)),
        (("Built-up", "Non-built", "not developed"), ("Built-up",)),
        (("Developed, Low Intensity", "Developed, High Intensity", "Hay"), None),
    ],
)
def test_developed_land_is_found_by_its_name(
    labels: tuple[str, ...], to: tuple[str, ...] | None
) -> None:
    placed = placed_of([[0, 1]], labels=labels)
    assert changes_of(placed, placed).to_labels == (to or labels[:2])


def test_labels_may_have_commas() -> None:
    labels = ("Developed, Open Space", "Developed", "Open Space")
    assert parse_labels(["developed, open space"], labels) == ["Developed, Open Space"]
    assert parse_labels(["Open Space,Developed"], labels) == ["Open Space", "Developed"]
    assert parse_labels(["developed,Developed", "DEVELOPED"], labels) == ["Developed"]
    with pytest.raises(SettingsError, match=r"no label ‘Openspace’.*Open Space"):
        parse_labels(["Developed,Openspace"], labels)


@pytest.mark.parametrize(
    ("how", "error", "sentence"),
    [
        ({"to_labels": ["Road"]}, SettingsError, "no label ‘Road’"),
        (
            {"to_labels": ["Developed"], "from_labels": ["developed"]},
            SettingsError,
            "cannot be both",
        ),
        ({"to_labels": [",".join(LABELS)]}, SettingsError, "none can become it"),
    ],
)
def test_labels_that_make_no_sense(
    how: dict[str, list[str]], error: type[FoveateError], sentence: str
) -> None:
    placed = placed_of([[0, 1]])
    with pytest.raises(error, match=sentence):
        find_changes(placed, placed, **how)


def test_no_developed_land() -> None:
    placed = placed_of([[0, 1]], labels=("Forest", "Water"))
    with pytest.raises(SettingsError, match=r"Forest, Water.*--to LABELS"):
        changes_of(placed, placed)


def test_what_cannot_be_compared() -> None:
    a = placed_of([[0, 1]])
    with pytest.raises(SourceError, match=r"224 m cannot be compared with tiles of 112 m"):
        changes_of(a, placed_of([[0, 1]], grid=Grid(GRID.crs, 112, 1)))
    with pytest.raises(SourceError, match=r"zone 14N, that of B in .*zone 15N"):
        changes_of(a, placed_of([[0, 1]], grid=Grid("EPSG:26915", 224, 1)))
    with pytest.raises(SourceError, match="only A has ‘Cultivated’ and only B has ‘Hay’"):
        changes_of(a, placed_of([[0, 1]], labels=("Developed", "Hay", "Undeveloped")))
    with pytest.raises(SourceError, match="none is in both years"):
        changes_of(a.take([0]), a.take([1]))
    with pytest.raises(SourceError, match="none in both years could be read"):
        changes_of(placed_of([[-1]]), placed_of([[0]]))


def test_the_same_system_written_differently_is_the_same() -> None:
    from pyproj import CRS

    wkt = CRS.from_user_input(GRID.crs).to_wkt()
    b = placed_of([[1, 1]], grid=Grid(wkt, 224, 0.5))
    changes = changes_of(placed_of([[0, 1]]), b)
    assert changes.changed.tiles == 1
    assert "pixels of 1 m, those of B of 0.5 m" in told(changes)


def test_two_classifiers_and_two_years_are_told() -> None:
    a, b = placed_of([[0, 1]]), placed_of([[0, 1]])
    b = replace(b, predictions=replace(b.predictions, model="other"), years=(2012, 2012))
    changes = changes_of(a, b)
    assert changes.names == ("2018", "2012")
    assert "different classifiers" in told(changes)
    assert "backwards" in told(changes)
    assert changes_of(a, a).names == ("A", "B")


def measured(
    trained: np.ndarray | None = None,
) -> tuple[GeoreferencedPredictions, GeoreferencedPredictions]:
    """Two years of the same land with 10 % errors each, all labels known."""
    truth = patches(40)
    one, two = (
        placed_of(blurred(truth, 0.1, seed=seed), known=named(truth), trained=trained)
        for seed in (1, 2)
    )
    return one, two


def test_errors_are_measured_where_labels_are_known() -> None:
    a, b = measured(np.zeros((40, 40), bool))
    changes = changes_of(a, b)
    assert changes.expected.references == (1600, 1600)
    # Both right, or wrong in the same of two ways.
    by_hand = 1600 * (1 - 0.9**2 - 0.1**2 / 2)
    assert changes.changed.expected.value == pytest.approx(by_hand, rel=0.08)
    assert changes.changed.verdict == "within"
    assert "error explains them all" in sentences(changes)[0]
    assert "1,600 tiles of A and 1,600 tiles of B whose label is known" in told(changes)
    assert "trained_on" not in told(changes)


def test_tiles_trained_on_and_their_neighbours_are_not_measured() -> None:
    trained = np.zeros((40, 40), bool)
    trained[:10] = True
    a, b = measured(trained)
    b = replace(b, predictions=replace(b.predictions, trained_on=(False,) * len(b)))
    changes = changes_of(a, b)
    # The place was trained on in A, so its label in B says nothing either.
    assert changes.expected.references == (1600 - 11 * 40,) * 2
    assert changes.learned == 11 * 40
    assert "440 of the tiles that are compared were trained on" in told(changes)


def test_nobody_knows_what_was_trained_on() -> None:
    assert "do not say which tiles the classifier was trained on" in told(changes_of(*measured()))


def test_known_labels_of_tiles_that_only_one_year_has_count() -> None:
    a, b = measured()
    top = a.rows > a.rows.max() - 20
    changes = changes_of(a, b.take(np.flatnonzero(top)))
    assert changes.expected.references == (1600, 800)
    assert changes.only_a == 800


def test_growth_is_told_from_error() -> None:
    truth = patches(40)
    later = truth.copy()
    later[5:12, 5:25] = DEVELOPED
    a = placed_of(blurred(truth, 0.05), known=named(truth))
    b = placed_of(blurred(later, 0.05, seed=2), known=named(later))
    changes = changes_of(a, b)
    real = int(((later == DEVELOPED) & (truth != DEVELOPED)).sum())
    new = changes.development
    assert new.verdict == "above"
    assert new.tiles - new.expected.value == pytest.approx(real, rel=0.25)
    assert new.tiles - new.expected.high < real
    said = sentences(changes)[1]
    assert said.startswith(f"{new.tiles} tiles (")
    assert f"So about {new.tiles - new.expected.value:.0f} are real" in said


def test_nothing_seen_is_less_than_error_makes() -> None:
    a, _ = measured()
    changes = changes_of(a, a)
    assert changes.changed.verdict == "below"
    assert sentences(changes)[0].startswith("0 tiles (0.00 km²) of 1,600 are not called the same")
    assert "mislead the classifier in both years" in sentences(changes)[0]


@given(
    classes=hnp.arrays(
        np.int64,
        st.tuples(st.just(2), st.integers(1, 6), st.integers(1, 6)),
        elements=st.integers(-1, 2),
    )
)
def test_the_matrix_counts_each_common_tile_once(classes: np.ndarray) -> None:
    a, b = (placed_of(one) for one in classes)
    both = (classes >= 0).all(axis=0)
    if not both.any():
        with pytest.raises(SourceError):
            changes_of(a, b)
        return
    changes = changes_of(a, b)
    assert changes.matrix.sum() == both.sum() == len(changes)
    assert changes.changed.tiles == (classes[0] != classes[1])[both].sum()
    for i in range(3):
        for j in range(3):
            expected = ((classes[0] == i) & (classes[1] == j))[both].sum()
            assert changes.matrix[i, j] == expected
    assert (np.diff(changes.confidence) <= 0).all()
    assert len(changes.candidates) == changes.development.tiles
    assert sum(flow.tiles for flow in changes.flows()) == len(changes)
    json.dumps(changes_json(changes), allow_nan=False)


def test_from_to_as_a_table() -> None:
    changes = changes_of(placed_of([[0, 1, 2, 1]]), placed_of([[0, 0, 2, 0]]))
    rows = list(csv.DictReader(io.StringIO(from_to_csv(changes).decode())))
    assert len(rows) == 9
    row = next(r for r in rows if (r["from"], r["to"]) == ("Cultivated", "Developed"))
    assert row["tiles"] == "2"
    assert float(row["km2"]) == pytest.approx(2 * 0.224**2)
    assert float(row["expected_low"]) <= float(row["expected"]) <= float(row["expected_high"])


def test_candidates_as_geoparquet(tmp_path: Path) -> None:
    changes = changes_of(placed_of([[0, 1, 2], [1, 2, 2]]), placed_of([[0, 0, 2], [0, 0, 2]]))
    table = pq.read_table(pa.BufferReader(candidates_parquet(changes)))
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["columns"]["geometry"]["crs"]["id"]["code"] == 26914
    rows = table.to_pylist()
    assert [row["rank"] for row in rows] == [1, 2, 3]
    for row, number in zip(rows, changes.candidates, strict=True):
        key = changes.a.key(number)
        assert row["id"] == str(key)
        assert row["geometry"] == outline(GRID, key)
        assert (row["x"], row["y"]) == GRID.centre(key)
        assert (row["from"], row["to"]) == (
            changes.a.predictions.predicted[number],
            changes.b.predictions.predicted[number],
        )
        assert row["probability_from"] == pytest.approx(0.8)
    path = tmp_path / "candidates.parquet"
    path.write_bytes(candidates_parquet(changes))
    pyogrio = pytest.importorskip("pyogrio")
    if "Parquet" in pyogrio.list_drivers():
        assert pyogrio.read_info(path)["geometry_type"] == "Polygon"


def test_no_candidates_is_a_table_of_no_rows() -> None:
    same = placed_of([[0, 1]])
    table = pq.read_table(pa.BufferReader(candidates_parquet(changes_of(same, same))))
    assert table.num_rows == 0
    assert "from" in table.column_names
