"""Cutting and scoring rasters on a real cluster gives what doing so here gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import foveate as fv
from foveate.aerial.cutting import Cut, cut
from foveate.aerial.georeferenced import read_georeferenced
from foveate.aerial.mapping import map_tiles
from foveate.errors import ClusterError, SettingsError
from foveate.spark.jobs import bulk
from foveate.workflow.scoring import score_source
from support.rasters import noise, write_raster
from support.spark_cluster import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture
def imagery(tmp_path: Path) -> str:
    """Three rasters that overlap, one of them with gaps, of two years."""
    folder = tmp_path / "in"
    gaps = noise(4, 128, seed=3)
    gaps[:, :40, :40] = 0
    write_raster(folder / "a_20180701.tif", noise(4, 128))
    write_raster(folder / "b_20180702.tif", gaps, left=500_064, nodata=0)
    write_raster(folder / "c_20200701.tif", noise(4, 128, seed=4))
    return str(folder)


@pytest.fixture
def landcover(tmp_path: Path) -> str:
    codes = np.random.default_rng(0).choice([21, 41, 82], (8, 16)).astype(np.uint8)
    return write_raster(tmp_path / "landcover.tif", codes, pixel=24)


def run(imagery: str, out: Path, **values: Any) -> Cut:
    return cut(imagery, out=str(out), **{"size": 32.0, "balanced": True, "ndvi": True} | values)


def test_the_same_tiles_as_here(
    session: object, cluster: Cluster, imagery: str, landcover: str, tmp_path: Path
) -> None:
    here = run(imagery, tmp_path / "here", labels=landcover)
    news: list[tuple[str, int, int]] = []
    there = run(
        imagery,
        tmp_path / "there",
        labels=landcover,
        target=cluster.target(),
        progress=lambda *said: news.append(said),
    )
    assert there.left_out["overlap"] > 0, "else this proves little"
    assert (there.labels, there.left_out, there.years) == (here.labels, here.left_out, here.years)
    assert there.written == there.tiles
    index = [pq.read_table(one.index).drop(["geometry"]) for one in (here, there)]
    assert index[0].equals(index[1])
    files = [
        sorted(p.relative_to(f) for p in f.rglob("*.png")) for f in map(Path, (here.out, there.out))
    ]
    assert files[0] == files[1]
    assert all(
        (Path(here.out) / one).read_bytes() == (Path(there.out) / one).read_bytes()
        for one in files[0]
    )
    assert ("cut", there.tiles, there.tiles) in news

    again = run(imagery, tmp_path / "there", labels=landcover, target=cluster.target())
    assert again.written == 0, "what is there is not cut again"

    alone = run(imagery, tmp_path / "there.parquet", labels=landcover, target=cluster.target())
    assert alone.labels == here.labels


def test_what_goes_wrong_on_a_worker_is_said_in_a_sentence(
    session: object, cluster: Cluster, imagery: str, tmp_path: Path
) -> None:
    codes = write_raster(tmp_path / "codes.tif", np.full((8, 8), 77, np.uint8), pixel=32)
    with pytest.raises(SettingsError, match="has the code 77"):
        run(imagery, tmp_path / "out", labels=codes, target=cluster.target())
    broken = Path(imagery) / "d_20180703.tif"
    write_raster(broken, noise(3, 512), compress="deflate", nodata=0)
    broken.write_bytes(broken.read_bytes()[:100_000])
    with pytest.raises(ClusterError, match=r"^A tile cannot be cut: .*d_20180703") as caught:
        run(imagery, tmp_path / "out", balanced=False, ndvi=False, target=cluster.target())
    assert "\n" not in str(caught.value)


def test_tiles_are_scored_and_mapped_straight_from_their_rasters(
    session: object, cluster: Cluster, patterns: Path, tmp_path: Path
) -> None:
    classifier = fv.train(patterns, resolution=64).classifier
    folder = tmp_path / "rasters"
    for number in range(3):
        write_raster(
            folder / f"{number}.tif", noise(3, 128, seed=number), left=500_032 + 96 * number
        )
    index = cut(str(folder), out=str(tmp_path / "tiles.parquet"), size=32.0).index
    local = score_source(classifier, index).predictions
    there = bulk.score(classifier, index, target=cluster.target(), out=tmp_path / "parts")
    assert there.images == len(local.paths) > 20
    assert there.refused == 0
    found = read_georeferenced(str(tmp_path / "parts"))
    assert sorted(found.predictions.paths) == sorted(local.paths)
    order = [local.paths.index(path) for path in found.predictions.paths]
    np.testing.assert_allclose(
        found.predictions.probabilities, local.probabilities[order], atol=1e-6
    )
    assert found.predictions.trained_on == (False,) * len(order)
    assert map_tiles(found).predicted.tiles == len(order)
    again = bulk.score(classifier, index, target=cluster.target(), out=tmp_path / "parts")
    assert again.computed == 0, "what was done is found again"
