"""Tests of notebooks/land_use.ipynb: it is clean as committed, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "land_use.ipynb"

# What Jupyter's own parts say about each other, on their way between versions.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:nbclient"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq"),
]


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(folder: Path, **parameters: object) -> str:
    """Run all cells in a folder, with other parameters; what they put out, as text."""
    notebook = read()
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    cell.source += "\n" + "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    outputs = [out for c in notebook.cells for out in c.get("outputs", [])]
    assert not [out for out in outputs if out.get("name") == "stderr"]
    parts = []
    for out in outputs:
        data = out.get("data", {})
        parts.append(
            out.get("text") or data.get("text/html") or ("PICTURE" * ("image/png" in data))
        )
    return "\n".join(parts)


def test_it_is_committed_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < 100_000
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, cell.id, "exec")
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.mark.slow
def test_it_makes_a_map_and_finds_what_changed(tmp_path: Path) -> None:
    said = execute(tmp_path)
    right = re.search(r"([\d.]+)% of (\d+) test tiles in other blocks are right", said)
    assert right is not None
    assert float(right[1]) > 85
    assert int(right[2]) > 150
    shares = re.findall(r"(as predicted|smoothed): ([\d.]+)%", said)
    assert [name for name, _ in shares] == ["as predicted", "smoothed"]
    assert all(80 < float(share) < 99.9 for _, share in shares)
    in_group = re.search(r"([\d.]+)% of \d+ tiles are in the right group", said)
    assert in_group is not None
    assert float(in_group[1]) > 88
    assert said.count("PICTURE") == 5  # two years, map, groups, smoothing
    assert said.count("data:image/jpeg") == 24
    assert "not called the same in 2012 and 2018" in said

    # The town grew, and most of what is called new development is where it did.
    real = re.search(r"(\d+) of all (\d+) candidates are real, (\d+) of the first 12", said)
    assert real is not None
    assert int(real[1]) > 0.6 * int(real[2])
    assert int(real[3]) >= 9
    out = tmp_path / "land_use"
    assert pq.read_table(out / "change" / "candidates.parquet").num_rows == int(real[2])
    for name in ("map/classes.tif", "map/map.html", "map/tiles.parquet", "change/change.html"):
        assert (out / name).stat().st_size > 1000

    # Given predictions are analysed as they are.
    again = execute(
        tmp_path,
        OUT="again",
        PREDICTIONS=[str(out / f"predictions_{year}.parquet") for year in "ab"],
        CANDIDATES=2,
    )
    assert "nothing is trained" in again
    assert again.count("data:image/jpeg") == 4
    assert "candidates are real" not in again
    assert re.findall(r"smoothed: .*right", again) == re.findall(r"smoothed: .*right", said)
    assert not (tmp_path / "again" / "land_use.onnx").exists()
