"""Tests of foveate.predictions."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate.errors import SettingsError, SourceError
from foveate.predictions import Predictions, read_predictions, write_predictions

NAN = float("nan")


def some_predictions() -> Predictions:
    return Predictions(
        labels=("dotted", 'striped, "wide"'),
        paths=("a.jpg", "7", "c.jpg"),
        known=("dotted", None, "dotted"),
        probabilities=np.array([[0.25, 0.75], [0.9, 0.1], [NAN, NAN]], np.float32),
        errors=(None, None, "truncated: the image ends early"),
    )


def assert_same(left: Predictions, right: Predictions) -> None:
    assert left.labels == right.labels
    assert left.paths == right.paths
    assert left.known == right.known
    assert left.errors == right.errors
    np.testing.assert_array_equal(left.probabilities, right.probabilities)
    assert right.probabilities.dtype == np.float32


# Everything that UTF-8 carries: separators, quotes, newlines, NUL, emoji; no lone surrogates.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "NULL", "nan", "1e5", "a,b", '"', '""', "\r\n", "\n", "\r", " x ", "p:", "日本", "é"]
)


@st.composite
def predictions_strategy(draw: st.DrawFn) -> Predictions:
    labels = draw(st.lists(text, min_size=1, max_size=4, unique=True))
    n = draw(st.integers(0, 6))
    rows = st.lists(st.floats(0, 1, width=32), min_size=len(labels), max_size=len(labels))
    errors = draw(st.lists(st.none() | text, min_size=n, max_size=n))
    probabilities = np.array(
        [draw(rows) if error is None else [NAN] * len(labels) for error in errors], np.float32
    ).reshape(n, len(labels))
    return Predictions(
        labels=tuple(labels),
        paths=tuple(draw(st.lists(text, min_size=n, max_size=n))),
        known=tuple(draw(st.lists(st.none() | text, min_size=n, max_size=n))),
        probabilities=probabilities,
        errors=tuple(errors),
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(predictions=predictions_strategy())
def test_round_trip(tmp_path: Path, suffix: str, predictions: Predictions) -> None:
    path = tmp_path / f"p{suffix}"
    write_predictions(predictions, path)
    assert_same(predictions, read_predictions(path))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_columns_are_the_promised_ones(tmp_path: Path) -> None:
    write_predictions(some_predictions(), tmp_path / "p.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == [
        "path", "label", "predicted", "probability", "p:dotted", 'p:striped, "wide"', "error",
    ]  # fmt: skip
    assert table["predicted"].to_pylist() == ['striped, "wide"', "dotted", None]
    assert table["probability"].to_pylist() == [0.75, pytest.approx(0.9), None]
    assert table["p:dotted"].to_pylist() == [0.25, pytest.approx(0.9), None]
    assert table["error"].to_pylist() == [None, None, "truncated: the image ends early"]


def test_csv_is_read_by_the_standard_library(tmp_path: Path) -> None:
    write_predictions(some_predictions(), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["predicted"] == 'striped, "wide"'
    assert rows[0]['p:striped, "wide"'] == "0.75"
    assert rows[1]["label"] == ""
    assert rows[2]["probability"] == ""


def test_what_was_predicted() -> None:
    predictions = some_predictions()
    assert predictions.predicted == ('striped, "wide"', "dotted", None)
    assert predictions.top.tolist() == [1, 0, -1]
    np.testing.assert_allclose(predictions.probability, [0.75, 0.9, NAN], rtol=1e-6)
    assert predictions.read.tolist() == [True, True, False]


def test_ids_are_written_where_asked_for(tmp_path: Path) -> None:
    predictions = replace(some_predictions(), ids=("aa", "7", ""))
    for name in ("p.parquet", "p.csv"):
        write_predictions(predictions, tmp_path / name)
        assert read_predictions(tmp_path / name).ids is None
        write_predictions(predictions, tmp_path / name, with_ids=True)
        assert read_predictions(tmp_path / name).ids == ("aa", "7", "")
    assert predictions.take([2, 0]).ids == ("", "aa")
    assert some_predictions().take([0]).ids is None


def test_no_images_at_all() -> None:
    predictions = Predictions(("a", "b"), (), (), np.empty((0, 2), np.float32), ())
    assert predictions.predicted == ()
    assert predictions.probability.shape == (0,)


def test_a_file_name_that_is_not_unicode_is_escaped(tmp_path: Path) -> None:
    predictions = Predictions(
        ("a",), ("caf\udce9.jpg",), (None,), np.ones((1, 1), np.float32), (None,)
    )
    write_predictions(predictions, tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet").paths == ("caf\\xe9.jpg",)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.txt.*\.parquet or \.csv"):
        write_predictions(some_predictions(), tmp_path / "p.txt")
    with pytest.raises(SettingsError, match=r"\.parquet or \.csv"):
        read_predictions(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(some_predictions(), path)
    before = path.read_bytes()

    def half_a_write(table: pa.Table, file: object) -> None:
        file.write(b"PAR1")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(pyarrow.parquet, "write_table", half_a_write)
    with pytest.raises(OSError, match="disk full"):
        write_predictions(some_predictions(), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.parquet"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.parquet", b"not parquet", "cannot be read as predictions"),
        ("p.csv", b"", "cannot be read as predictions"),
        ("p.csv", b"path,label\na,b\n", "no column ‘predicted’"),
        ("p.csv", b"path,label,predicted,error\na,b,c,\n", "no column ‘p:<label>’"),
        ("p.csv", b"path,label,predicted,p:a,error\na,a,a,,\n", "lacks a probability"),
        ("p.csv", b"path,label,predicted,p:a,error\na,a,a,many,\n", "cannot be read"),
    ],
)
def test_what_is_not_a_table_of_predictions(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=complaint):
        read_predictions(tmp_path / name)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read as predictions"):
        read_predictions(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_was_trained_on_is_kept(tmp_path: Path, suffix: str) -> None:
    predictions = replace(some_predictions(), trained_on=(True, False, True))
    write_predictions(predictions, tmp_path / f"p{suffix}")
    found = read_predictions(tmp_path / f"p{suffix}")
    assert found.trained_on == predictions.trained_on
    assert found.take([1]).trained_on == (False,)
