"""The verb `featurize`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from foveate.settings import Settings
from foveate.workflow.featurize import featurize


def test_features_are_in_the_table_and_at_hand(patterns: Path, tmp_path: Path) -> None:
    done = featurize(patterns, Settings(resolution=64), out=tmp_path / "f.parquet", limit=10)
    assert (done.result.files, done.result.out) == (10, str(tmp_path / "f.parquet"))
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.num_rows == 10
    assert done.prepared is not None
    ids = [row.facts.id for row in done.prepared.catalog.usable]
    assert sorted(table.column("id").to_pylist()) == sorted(ids)


def test_a_cluster_needs_a_place_for_them(patterns: Path) -> None:
    with pytest.raises(ValueError, match="name `out`"):
        featurize(patterns, engine="spark")
