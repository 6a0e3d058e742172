"""What changed, written for every reader: tables, a page, and plain values for JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foveate import files
from foveate.aerial.change.change import Changes, Flow
from foveate.aerial.change.words import remarks, sentences
from foveate.aerial.index import geo_metadata, squares
from foveate.evaluation.intervals import LEVEL

if TYPE_CHECKING:
    from foveate.progress import Progress

MOST_SHOWN = 400
"""Candidates of new development that the page shows, unless told otherwise."""

FILES = {"from_to": "from_to.csv", "candidates": "candidates.parquet", "page": "change.html"}
"""What it is written as, by kind."""


def write_changes(
    changes: Changes,
    folder: str,
    *,
    title: str = "",
    shown: int = MOST_SHOWN,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Write what changed to a local folder or URL.

    Args:
        changes: as `find_changes` gives it.
        folder: where the files go; it is made.
        title: of the page.
        shown: candidates that the page shows at most.
        progress: is told how many candidates have been drawn.

    Returns:
        Path by kind: `from_to` (CSV, a row for each pair of labels), `candidates` (GeoParquet, a
        row for each candidate of new development, the most certain first) and `page` (HTML).

    Raises:
        OSError: something cannot be written.
    """
    from foveate.aerial.change.page import change_page

    contents = {
        "from_to": from_to_csv(changes),
        "candidates": candidates_parquet(changes),
        "page": change_page(changes, title, shown=shown, progress=progress),
    }
    paths = {kind: files.join(folder, name) for kind, name in FILES.items()}
    for kind, data in contents.items():
        files.write_anywhere(paths[kind], data)
    return paths


def from_to_csv(changes: Changes) -> bytes:
    """A CSV file: tiles and km² of each pair of labels, those expected from error alone as well."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["from", "to", "tiles", "km2", "expected", "expected_low", "expected_high"])
    for flow in changes.flows():
        expected = flow.expected
        ends = [f"{value:.2f}" for value in (expected.value, expected.low, expected.high)]
        writer.writerow([flow.start, flow.end, flow.tiles, f"{flow.km2:.6g}", *ends])
    return text.getvalue().encode()


def candidates_parquet(changes: Changes) -> bytes:
    """A GeoParquet file with a row for each candidate of new development.

    Its columns: `rank` from 1, `id` of the tile, `from` and `to`, `confidence` (see `Changes`),
    `probability_from` and `probability_to` (of these two labels alone), `path_a`, `path_b`, the
    centre `x` and `y`, and `geometry`.
    """
    a, b, rows = changes.a, changes.b, changes.candidates
    labels = np.array(changes.labels, object)
    top_a, top_b = a.predictions.top[rows], b.predictions.top[rows]
    paths = [
        pa.array([files.printable(year.predictions.paths[row]) for row in rows], pa.string())
        for year in (a, b)
    ]
    size = a.grid.size
    columns = {
        "rank": np.arange(1, len(rows) + 1),
        "id": pa.array([str(a.key(row)) for row in rows], pa.string()),
        "from": pa.array(labels[top_a], pa.string()),
        "to": pa.array(labels[top_b], pa.string()),
        "confidence": changes.confidence,
        "probability_from": a.predictions.probabilities[rows, top_a],
        "probability_to": b.predictions.probabilities[rows, top_b],
        "path_a": paths[0],
        "path_b": paths[1],
        "x": (a.cols[rows] + 0.5) * size,
        "y": (a.rows[rows] + 0.5) * size,
        "geometry": squares(a.grid, a.rows[rows], a.cols[rows]),
    }
    geo = {b"geo": json.dumps(geo_metadata(a.grid)).encode()}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(geo), buffer, compression="zstd")
    return buffer.getvalue()


def changes_json(changes: Changes) -> dict[str, object]:
    """What `foveate tiles change --json` says, but for the files."""
    expected = changes.expected
    grid = changes.a.grid
    return {
        "a": changes.names[0],
        "b": changes.names[1],
        "tiles": len(changes),
        "km2": len(changes) * grid.area,
        "only_a": changes.only_a,
        "only_b": changes.only_b,
        "refused": changes.refused,
        "grid": {"crs": grid.crs, "size": grid.size},
        "labels": list(changes.labels),
        "changed": _flow_json(changes.changed),
        "development": {
            "from": list(changes.from_labels),
            "to": list(changes.to_labels),
            **_flow_json(changes.development),
        },
        "matrix": changes.matrix.tolist(),
        "flows": [
            {"from": flow.start, "to": flow.end, **_flow_json(flow)} for flow in changes.flows()
        ],
        "candidates": len(changes.candidates),
        "errors_from": {
            name: {"method": "known labels" if measured else "probabilities", "tiles": count}
            for name, measured, count in zip(
                ("a", "b"), expected.measured, expected.references, strict=True
            )
        },
        "trained_on_or_beside": changes.learned,
        "interval_level": LEVEL,
        "sentences": list(sentences(changes)),
        "remarks": list(remarks(changes)),
    }


def _flow_json(flow: Flow) -> dict[str, object]:
    return {
        "tiles": flow.tiles,
        "km2": flow.km2,
        "expected": flow.expected.value,
        "expected_ci95": [flow.expected.low, flow.expected.high],
        "verdict": flow.verdict,
    }
