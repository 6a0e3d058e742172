"""`foveate tiles change` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from foveate.aerial.address import TileAddress
from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.index import Tile, write_index
from foveate.cli import run
from foveate.predictions import Predictions, write_predictions

GRID = Grid("EPSG:26914", 224.0, 1.0)
LABELS = ("Developed", "Cultivated", "Undeveloped")
SIDE = 12


def classes(seed: int) -> np.ndarray:
    """(SIDE², ) labels with errors."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([1, 2, 2], SIDE * SIDE // 3)
    return np.where(rng.random(truth.shape) < 0.1, rng.integers(0, 3, truth.shape), truth)


def keys() -> list[TileKey]:
    return [TileKey(100 + n // SIDE, 50 + n % SIDE) for n in range(SIDE * SIDE)]


def write(path: Path, paths: list[str], top: np.ndarray, model: str = "m") -> str:
    probabilities = np.full((len(paths), 3), 0.05, np.float32)
    probabilities[np.arange(len(paths)), top] = 0.9
    none = (None,) * len(paths)
    write_predictions(
        Predictions(LABELS, tuple(paths), none, probabilities, none, model=model), path
    )
    return str(path)


def addresses(year: int) -> list[str]:
    return [str(TileAddress(f"/naip/naip_{year}0716.tif", key, GRID)) for key in keys()]


@pytest.fixture
def years(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Predictions of two years."""
    monkeypatch.chdir(tmp_path)
    return (
        write(tmp_path / "a.parquet", addresses(2012), classes(1)),
        write(tmp_path / "b.csv", addresses(2018), classes(2)),
    )


def test_what_a_person_reads(years: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tiles", "change", *years, "--out", "out"]) == 0
    out, err = capsys.readouterr()
    changed = int((classes(1) != classes(2)).sum())
    assert f"{changed} tiles (" in out
    assert "not called the same in 2012 and 2018" in out
    assert "Cultivated → Undeveloped" in out
    assert "by error alone" in out
    first = out.splitlines()[0]
    assert first.split() == ["2012", "↓", "2018", "→", *LABELS, "all", "of", "2012"]
    assert "Note: " in err
    for name in ("change.html", "candidates.parquet", "from_to.csv"):
        assert (Path("out") / name).is_file()
        assert name in out


def test_json_is_one_object(years: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tiles", "change", *years, "--out", "out", "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert found["tiles"] == SIDE**2
    assert found["changed"]["tiles"] == (classes(1) != classes(2)).sum()
    assert sum(sum(row) for row in found["matrix"]) == SIDE**2
    low, high = found["changed"]["expected_ci95"]
    assert low <= found["changed"]["expected"] <= high
    assert found["changed"]["km2"] == pytest.approx(found["changed"]["tiles"] * 0.224**2)
    assert pq.read_table(found["files"]["candidates"]).num_rows == found["candidates"]
    assert found["development"]["to"] == ["Developed"]


def test_two_years_of_one_file(
    years: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = write(
        tmp_path / "both.parquet",
        addresses(2012) + addresses(2018),
        np.concatenate([classes(1), classes(2)]),
    )
    found = []
    for pair in ([*years], [both, both, "--year-a", "2012", "--year-b", "2018"]):
        assert run(["tiles", "change", *pair, "--out", "out", "--json", "--quiet"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]


def test_tiles_that_are_files_need_their_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for name, seed in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        files = [str(folder / f"{key}.png") for key in keys()]
        tiles = [Tile(f"{key}.png", key) for key in keys()]
        write_index(str(folder / "tiles.parquet"), GRID, tiles)
        paths.append(write(tmp_path / f"{name}.parquet", files, classes(seed)))
    out = ["--out", str(tmp_path / "out"), "--quiet"]
    indices = [str(tmp_path / name / "tiles.parquet") for name in ("one", "two")]
    given = ["--index-a", indices[0], "--index-b", indices[1]]
    assert run(["tiles", "change", *paths, *out, *given]) == 0
    capsys.readouterr()
    assert run(["tiles", "change", *paths, *out, *given[:2]]) == 1
    assert "--index-b FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.parquet", "a.parquet"], "A and B are the same predictions"),
        (["a.parquet", "gone.parquet"], "‘gone.parquet’ cannot be read"),
        (["a.parquet", "b.csv", "--year-b", "1999"], "no tile of 1999. Its years: 2018"),
        (["a.parquet", "b.csv", "--to", "Road"], "There is no label ‘Road’"),
        (["a.parquet", "b.csv", "--from", "Developed"], "cannot be both"),
        (["both.parquet", "b.csv"], "with --year-a"),
    ],
)
def test_wrong_input_gets_a_sentence(
    years: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    top = np.concatenate([classes(1), classes(2)])
    write(tmp_path / "both.parquet", addresses(2012) + addresses(2018), top)
    assert run(["tiles", "change", *arguments, "--out", "out"]) == 1
    out, err = capsys.readouterr()
    assert sentence in err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert out == ""
    assert not Path("out").exists()


def test_two_classifiers_are_told(
    years: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "c.parquet", addresses(2018), classes(2), model="another")
    assert run(["tiles", "change", years[0], other, "--out", "out", "--candidates", "0"]) == 0
    assert "different classifiers" in capsys.readouterr().err
