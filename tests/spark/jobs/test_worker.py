"""What a worker does with a shard, without a cluster around it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import foveate as fv
from conftest import draw_folder
from foveate.backbones import find_backbone
from foveate.catalog import facts_of, read_source
from foveate.classifier import Classifier
from foveate.errors import ClusterError
from foveate.files import digest
from foveate.image import Limits, Resize
from foveate.predictions import read_predictions
from foveate.spark.jobs.job import Finished, commit
from foveate.spark.jobs.plan import plan_shards, write_plan
from foveate.spark.jobs.worker import Kind, SparkJob, Tally, run_shard


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = draw_folder(tmp_path_factory.mktemp("images"), count=4)
    (folder / "dots" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    return folder


@pytest.fixture(scope="module")
def classifier(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fv.train(patterns, resolution=64).classifier


def job_of(
    images: Path, out: Path, kind: Kind, network: bytes, suffix: str = ".parquet"
) -> SparkJob:
    shards = plan_shards(read_source(images).entries, key="k", cores=1)
    assert len(shards) == 1
    write_plan(str(out / "plan"), shards)
    return SparkJob(
        kind=kind,
        out=str(out),
        suffix=suffix,
        root=str(images),
        selection="",
        plan=str(out / "plan"),
        network=digest(network),
        dimension=1280,
        resize=Resize(64),
        limits=Limits(),
        precision="auto",
        runtime="auto",
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_scored_as_locally(
    classifier: Classifier, images: Path, tmp_path: Path, suffix: str
) -> None:
    job = job_of(images, tmp_path, "score", classifier.onnx_bytes, suffix)
    tally = run_shard(job, 0, classifier.onnx_bytes, 1)
    found = read_predictions(job.part(tally.shard))
    local = classifier.predict(list(found.paths))
    assert [one.label for one in local] == list(found.predicted)
    for one, row in zip(local, found.probabilities, strict=True):
        if one.error is None:
            np.testing.assert_allclose(row, list(one.probabilities.values()), atol=1e-3)
    assert found.model == classifier.id
    assert found.known.count("dots") == 5
    assert (tally.images, tally.refused) == (13, 1)
    assert tally.named[0][0].endswith("broken.png")
    assert sum(tally.predicted.values()) == 12
    assert tally.confidence == pytest.approx(float(np.nansum(found.probability)), rel=1e-5)


def test_features_and_refused(images: Path, tmp_path: Path) -> None:
    backbone = find_backbone("efficientnet-lite0", resolution=64).onnx_bytes()
    job = job_of(images, tmp_path, "featurize", backbone)
    tally = run_shard(job, 0, backbone, 2)
    table = pq.read_table(job.part(tally.shard))
    assert table.column_names == ["id", "path", "label", "features"]
    local = fv.featurize(images, resolution=64)
    order = [local.ids.index(image) for image in table["id"].to_pylist()]
    values = np.stack(table["features"].to_numpy())
    np.testing.assert_allclose(values, local.values[order], rtol=1e-3, atol=1e-4)
    refused = pq.read_table(tmp_path / "_refused" / f"part-{tally.shard}.parquet").to_pylist()
    assert [Path(row["path"]).name for row in refused] == ["broken.png"]
    assert "truncated" in refused[0]["error"] or "unreadable" in refused[0]["error"]

    (images / "dots" / "broken.png").unlink()
    shutil.copy(images / "dots" / "0.png", images / "dots" / "broken.png")
    try:
        run_shard(job, 0, backbone, 2)  # as a second attempt, when the drive answers again
    finally:
        (images / "dots" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    assert not (tmp_path / "_refused" / f"part-{tally.shard}.parquet").exists()


def test_prepared_for_training(images: Path, tmp_path: Path) -> None:
    backbone = find_backbone("efficientnet-lite0", resolution=64).onnx_bytes()
    job = job_of(images, tmp_path, "prepare", backbone)
    tally = run_shard(job, 0, backbone, 1)
    table = pq.read_table(job.part(tally.shard))
    facts = facts_of(table)
    assert [one.reason is None for one in facts].count(False) == 1
    assert all(one.dhash is not None and one.width == 96 for one in facts if one.reason is None)
    assert table.num_rows == 13


def test_done_twice_is_there_once(classifier: Classifier, images: Path, tmp_path: Path) -> None:
    job = job_of(images, tmp_path, "score", classifier.onnx_bytes)
    first = run_shard(job, 0, classifier.onnx_bytes, 1)
    part = Path(job.part(first.shard)).read_bytes()
    run_shard(job, 0, classifier.onnx_bytes, 1)
    assert [path.name for path in tmp_path.glob("part-*")] == [f"part-{first.shard}.parquet"]
    assert Path(job.part(first.shard)).read_bytes() == part


def test_a_tally_survives_as_text(classifier: Classifier, images: Path, tmp_path: Path) -> None:
    job = job_of(images, tmp_path, "score", classifier.onnx_bytes)
    tally = run_shard(job, 0, classifier.onnx_bytes, 1)
    assert Tally.from_json(tally.to_json()) == tally
    assert Tally.from_json(Path(job.tally(tally.shard)).read_bytes()) == tally
    for text in ("[]", "{}", '{"named": 3}', "no"):
        with pytest.raises(ValueError):  # noqa: PT011 - JSON has messages of its own
            Tally.from_json(text)


def test_a_store_that_does_not_answer_is_no_bad_image(
    classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    job = job_of(images, tmp_path, "score", classifier.onnx_bytes)
    gone = images.with_name("gone")
    images.rename(gone)
    images.mkdir()
    try:
        with pytest.raises(OSError, match="none of 13 images can be read"):
            run_shard(job, 0, classifier.onnx_bytes, 1)
    finally:
        images.rmdir()
        gone.rename(images)
    assert run_shard(job, 0, classifier.onnx_bytes, 1).unread == 0


def test_another_version_is_refused(classifier: Classifier, images: Path, tmp_path: Path) -> None:
    job = replace(job_of(images, tmp_path, "score", classifier.onnx_bytes), foveate="0.0.1")
    with pytest.raises(ClusterError, match=r"this machine has 0\.0\.1"):
        run_shard(job, 0, classifier.onnx_bytes, 1)


def test_parts_on_other_disks_are_found_out(
    classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    job = job_of(images, tmp_path, "score", classifier.onnx_bytes)
    tally = run_shard(job, 0, classifier.onnx_bytes, 1)
    Path(job.part(tally.shard)).unlink()
    finished = Finished(job, (tally.shard,), (tally,), 13, 1.0)
    with pytest.raises(ClusterError, match=r"1 of 1 parts are not in .* --out must be a URL"):
        commit(finished, rows=13, clean=True)
