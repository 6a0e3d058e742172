"""Scoring and featurizing on a real cluster: the same answers, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import foveate as fv
from conftest import LABELS, draw_folder
from foveate.classifier import Classifier
from foveate.errors import ClusterError, SettingsError, SourceError
from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.spark.jobs import bulk, plan
from foveate.workflow.scoring import score_source
from support.spark_cluster import Cluster

pytestmark = pytest.mark.slow

COPIES = 40
TILES = len(LABELS) * 12 * COPIES
SETTINGS = Settings(resolution=64)


@pytest.fixture(scope="module")
def classifier(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fv.train(patterns, resolution=64).classifier


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Forty images, one of them broken, one with a name that needs care."""
    folder = draw_folder(tmp_path / "images", count=13)
    (folder / "dots" / "ü #1 %20.png").write_bytes((folder / "dots" / "0.png").read_bytes())
    (folder / "dots" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many names for few images: enough work to kill somebody in its middle."""
    folder = tmp_path_factory.mktemp("tiles")
    drawn = draw_folder(tmp_path_factory.mktemp("drawn"), count=12)
    for path in drawn.rglob("*.png"):
        for copy in range(COPIES):
            os.link(path, folder / f"{path.parent.name}-{path.stem}-{copy}.png")
    return folder


def test_the_same_answers_as_locally(
    session: object, cluster: Cluster, classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    local = score_source(classifier, images).predictions
    out = tmp_path / "out"
    there = bulk.score(classifier, images, target=cluster.target(), out=out)
    found = read_predictions(out)
    order = [found.paths.index(path) for path in local.paths]
    assert found.take(order).predicted == local.predicted
    assert found.take(order).known == local.known
    assert found.take(order).errors == local.errors
    np.testing.assert_allclose(
        found.probabilities[order], local.probabilities, atol=1e-3, equal_nan=True
    )
    assert found.model == local.model == classifier.id
    assert (there.files, there.refused, there.computed) == (41, 1, 41)
    assert sum(there.predicted.values()) == 40

    again = bulk.score(classifier, images, target=cluster.target(), out=out)
    assert again.computed == 0
    assert again.predicted == there.predicted
    assert again.confidence == pytest.approx(there.confidence)

    single = tmp_path / "single.csv"
    bulk.score(classifier, images, target=cluster.target(), out=single, sample=0.5)
    some = read_predictions(single)
    assert 5 < len(some.paths) < 36
    assert set(some.paths) < set(local.paths)
    assert some.paths == score_source(classifier, images, sample=0.5).predictions.paths
    assert not Path(f"{single}.parts").exists()

    with pytest.raises(SettingsError, match="another classifier, source, sample or other"):
        bulk.featurize(images, SETTINGS, target=cluster.target(), out=out)
    features = tmp_path / "features.parquet"
    done = bulk.featurize(images, SETTINGS, target=cluster.target(), out=features)
    table = pq.read_table(features)
    here = fv.featurize(images, resolution=64)
    where = {path: row for row, path in enumerate(here.paths)}
    rows = [where[path] for path in table["path"].to_pylist()]
    values = np.stack(table["features"].to_numpy())
    np.testing.assert_allclose(values, here.values[rows], rtol=1e-3, atol=1e-4)
    assert (done.files, done.refused, table.num_rows) == (41, 1, 40)


def test_a_folder_that_has_grown(
    session: object,
    cluster: Cluster,
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "LEAST_BYTES", 10 * plan.BYTES_OF_SMALL_FILE)
    images, out = draw_folder(tmp_path / "images", count=20), tmp_path / "out"
    bulk.score(classifier, images, target=cluster.target(), out=out)
    draw_folder(images, count=2, first=20)
    (images / "stripes" / "0.png").unlink()
    (out / "_SUCCESS").unlink()
    with pytest.raises(SourceError, match="not complete"):
        read_predictions(out)
    there = bulk.score(classifier, images, target=cluster.target(), out=out)
    found = read_predictions(out)
    assert sorted(found.paths) == sorted(map(str, images.rglob("*.png")))
    assert there.files == 65
    assert 6 <= there.computed < 30


def test_a_result_is_left_alone(
    session: object, cluster: Cluster, classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    target, out = cluster.target(), tmp_path / "out"
    first = bulk.score(classifier, images, target=target, out=out)
    (out / "README.md").write_text("mine")
    (out / "part-0123456789abcdef.parquet").write_bytes(b"of a worker that was thought dead")
    assert len(read_predictions(out).paths) == first.files
    for changed in ({"sample": 0.5}, {"limit": 7}):
        with pytest.raises(SettingsError, match="another classifier, source, sample"):
            bulk.score(classifier, images, target=target, out=out, **changed)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="another classifier, source, sample"):
        bulk.score(classifier, images / "dots", target=target, out=out)
    bulk.score(classifier, images, target=target, out=out)
    assert (out / "README.md").read_text() == "mine"
    assert not (out / "part-0123456789abcdef.parquet").exists()


def test_what_could_not_be_read_is_tried_again(
    session: object, cluster: Cluster, classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    table, out = tmp_path / "table.csv", tmp_path / "out"
    paths = sorted(images.rglob("*.png"))
    table.write_text("path\n" + "".join(f"{path}\n" for path in paths))
    away = paths[3]
    entries = bulk.read_source

    def listed_then_gone(source: object) -> object:
        found = entries(source)  # type: ignore[arg-type]
        away.rename(tmp_path / "away.png")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "read_source", listed_then_gone)
        first = bulk.score(classifier, table, target=cluster.target(), out=out)
    assert first.refused == 2
    (tmp_path / "away.png").rename(away)
    again = bulk.score(classifier, table, target=cluster.target(), out=out)
    assert again.refused == 1
    assert again.computed > 0


def test_what_cannot_be_done(
    session: object, cluster: Cluster, classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    target = cluster.target()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        bulk.score(classifier, images, target=target, out=tmp_path / "mine")
    with pytest.raises(SettingsError, match="or a folder"):
        bulk.score(classifier, images, target=target, out=tmp_path / "out.json")
    with pytest.raises(SettingsError, match="lies among the images"):
        bulk.score(classifier, images, target=target, out=images / "out")
    with pytest.raises(SourceError, match="There is no folder"):
        bulk.score(classifier, tmp_path / "none", target=target, out=tmp_path / "out")
    target = target.model_copy(
        update={"storage_options": {"memory": {"account_name": "env:NOT_SET_ANYWHERE"}}}
    )
    with pytest.raises(SettingsError, match="NOT_SET_ANYWHERE"):
        bulk.score(classifier, images, target=target, out=tmp_path / "out")
    with pytest.raises(ClusterError, match="does not see ‘memory://"):
        # Every process has a `memory://` of its own, as machines have disks of their own.
        bulk.score(classifier, images, target=cluster.target(), out="memory://of-its-own/out")


def test_nothing_is_lost_when_workers_are_killed(
    own_cluster: Cluster,
    classifier: Classifier,
    tiles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "SHARDS_PER_CORE", 20)
    out = tmp_path / "out"
    found: list[bulk.BulkResult] = []

    def run() -> None:
        found.append(bulk.score(classifier, tiles, target=own_cluster.target(), out=out))

    thread = threading.Thread(target=run)
    thread.start()
    for enough, kill in (
        (2, own_cluster.kill_python_worker),
        (6, own_cluster.kill_executor),
        (10, own_cluster.kill_worker),
    ):
        wait_for(lambda n=enough: len(tallies(out)) >= n)  # type: ignore[misc]
        assert thread.is_alive(), "it was over before anybody was killed"
        kill()
    thread.join(timeout=240)
    assert found, "the job did not finish"
    scored = read_predictions(out)
    assert found[0].files == TILES == len(scored.paths)
    assert sorted(scored.paths) == sorted(map(str, tiles.iterdir()))
    assert scored.read.all()


def test_a_killed_driver_is_gone_on_from(
    free_cluster: Cluster, classifier: Classifier, tiles: Path, tmp_path: Path
) -> None:
    (tmp_path / "foveate.toml").write_text(free_cluster.toml())
    classifier.save(tmp_path / "model.onnx")
    command = [sys.executable, "-m", "foveate", "score", "model.onnx", str(tiles)]
    command += ["--out", "out", "--target", "here", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    out = tmp_path / "out"
    wait_for(lambda: len(tallies(out)) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "_SUCCESS").exists()
    done = sum(json.loads(path.read_text())["images"] for path in tallies(out))
    assert 0 < done < TILES
    free_cluster.free()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert again.returncode == 0, again.stderr
    result = json.loads(again.stdout)
    assert result["images"] == result["files"] == TILES
    # What a worker had begun when its driver went may have been finished, too.
    assert 0 < result["images_computed"] <= TILES - done
    scored = read_predictions(out)
    assert sorted(scored.paths) == sorted(map(str, tiles.iterdir()))


def tallies(out: Path) -> list[Path]:
    return list((out / "_foveate" / "tallies").glob("*.json"))


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
