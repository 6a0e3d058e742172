"""Bytes on disk → features."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import draw_folder
from foveate.catalog import FactStore, open_workspace, read_source
from foveate.errors import Reason
from foveate.features import FeatureCache, Featurizer, Rate, featurize
from foveate.image import Limits, Resize


class MeanColour:
    """A network whose features are the mean colour: quick, and easy to check."""

    runtime, precision, batch = "test", "float32", 4

    def __init__(self) -> None:
        self.images = 0
        self.stop_after: int | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        pass

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._lock:
            self.images += len(pixels)
            if self.stop_after is not None and self.images > self.stop_after:
                raise KeyboardInterrupt
        return pixels.mean(axis=(1, 2), dtype=np.float32)


Featurize = Callable[..., tuple[object, Rate, FeatureCache]]


@pytest.fixture
def network() -> MeanColour:
    return MeanColour()


@pytest.fixture
def run(network: MeanColour) -> Featurize:
    def call(folder: Path, **options: object) -> tuple[object, Rate, FeatureCache]:
        source = read_source(folder)
        workspace = open_workspace(source)
        cache = FeatureCache(workspace.features / "mean", 3)
        featurizer = Featurizer(network, Resize(64), cache)
        store = FactStore(workspace)
        catalog, rate = featurize(source, store, featurizer, limits=Limits(), **options)
        return catalog, rate, cache

    return call


def test_every_image_has_its_own_features(tmp_path: Path, run: Featurize) -> None:
    from PIL import Image

    folder = tmp_path / "a"
    folder.mkdir()
    for level in range(0, 250, 10):
        Image.new("RGB", (70, 80), (level, 255 - level, 7)).save(folder / f"{level:03}.png")
    catalog, rate, cache = run(tmp_path, workers=3)
    found = cache.load([row.facts.id for row in catalog.rows])
    assert [Path(row.path).stem for row in catalog.rows] == [f"{v:03}" for v in range(0, 250, 10)]
    np.testing.assert_allclose(found[:, 0], range(0, 250, 10), atol=0.5)
    assert rate.images == 25


def test_second_run_computes_nothing(patterns: Path, run: Featurize, network: MeanColour) -> None:
    first, *_ = run(patterns)
    computed = network.images
    second, rate, _ = run(patterns)
    assert network.images == computed == 36
    assert rate.images == 0
    assert rate.images_per_second is None
    assert second == first


def test_moved_and_relabelled_files_are_not_computed_again(
    tmp_path: Path, run: Featurize, network: MeanColour
) -> None:
    folder = draw_folder(tmp_path / "source", 4)
    run(folder)
    computed = network.images
    (folder / "dots" / "0.png").rename(folder / "stripes" / "moved.png")
    (folder / "checks").rename(folder / "squares")
    catalog, rate, cache = run(folder)
    assert network.images == computed
    assert rate.images == 5  # opened to see what they are
    assert "squares" in catalog.label_counts()
    assert all(row.facts.id in cache for row in catalog.rows)


def test_changed_file_is_computed_again(
    tmp_path: Path, run: Featurize, network: MeanColour
) -> None:
    folder = draw_folder(tmp_path / "source", 2)
    run(folder)
    computed = network.images
    path = folder / "dots" / "0.png"
    path.write_bytes((folder / "dots" / "1.png").read_bytes() + b"\0")
    run(folder)
    assert network.images == computed + 1


def test_bad_files_are_refused_and_counted(tmp_path: Path, run: Featurize) -> None:
    folder = draw_folder(tmp_path / "source", 3)
    (folder / "dots" / "empty.png").touch()
    (folder / "dots" / "text.jpg").write_text("not an image")
    cut = (folder / "dots" / "0.png").read_bytes()[:-200]
    (folder / "dots" / "cut.png").write_bytes(cut)
    catalog, *_ = run(folder)
    assert len(catalog.rows) == 12
    assert {Path(row.path).name: row.facts.reason for row in catalog.quarantine} == {
        "empty.png": Reason.EMPTY,
        "text.jpg": Reason.UNSUPPORTED,
        "cut.png": Reason.TRUNCATED,
    }
    assert len({row.facts.id for row in catalog.usable}) == 9


def test_stopped_run_goes_on_where_it_was(
    patterns: Path, run: Featurize, network: MeanColour
) -> None:
    network.stop_after = 20
    with pytest.raises(KeyboardInterrupt):
        run(patterns, workers=1)
    network.stop_after = None
    before = network.images
    catalog, rate, cache = run(patterns)
    assert 0 < rate.images < 36
    assert network.images - before == rate.images
    assert len(cache.load([row.facts.id for row in catalog.rows])) == 36


def test_progress_reaches_the_total(patterns: Path, run: Featurize) -> None:
    seen: list[tuple[int, int]] = []
    run(patterns, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_inspection_needs_no_network(patterns: Path) -> None:
    source = read_source(patterns)
    store = FactStore(open_workspace(source))
    catalog, _ = featurize(source, store, None, limits=Limits())
    assert len(catalog.usable) == 36
    assert all(row.facts.dhash for row in catalog.rows)
