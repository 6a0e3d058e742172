"""Training on a real cluster: the same split, one file, and what it predicts is what Spark says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

import foveate as fv
from conftest import LABELS, draw_folder
from foveate.classifier import load_classifier
from foveate.cli import run
from foveate.settings import Settings
from foveate.spark.engine import SparkEngine
from foveate.workflow.engine import HERE
from foveate.workflow.training import train_classifier
from support.spark_cluster import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = draw_folder(tmp_path_factory.mktemp("images"), count=30)
    (folder / "dots" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("kind", ["logistic", "forest"])
def test_as_good_as_locally(
    session: SparkSession, cluster: Cluster, images: Path, tmp_path: Path, kind: str
) -> None:
    settings = Settings(classifier=kind, resolution=64, trees=64, c=(0.1,))
    storage = images.parent / "storage"  # what one kind has prepared, the next one finds
    engine = SparkEngine(session, cluster.target(storage=str(storage)))
    there = train_classifier(images, settings, engine=engine)
    here = train_classifier(images, settings)
    assert there.split == here.split
    assert len(there.prepared.catalog.quarantine) == 1
    assert there.predictions.paths == here.predictions.paths
    assert there.evaluation.accuracy.value > 0.7, "chance is 0.33"
    if kind == "logistic":  # the same function, minimised by another program
        np.testing.assert_allclose(
            there.predictions.probabilities, here.predictions.probabilities, atol=0.02
        )
    else:
        assert there.prepared.rate.images == 0, "the features were made twice"
        # Other trees of the same kind: 64 of them agree about most images, and how surely.
        difference = np.abs(there.predictions.probabilities - here.predictions.probabilities)
        assert 0 < difference.mean() < 0.1
    # What this machine has computed is fitted on this machine, by the same engine.
    rows = here.prepared.catalog.usable[::2]
    heads = [e.fit(here.prepared, rows, range(len(rows)), settings) for e in (engine, HERE)]
    features = here.prepared.features_of(rows)
    np.testing.assert_array_equal(*(head.scores(features) for head in heads))
    there.save(tmp_path / "model.onnx")
    again = load_classifier(tmp_path / "model.onnx").predict(list(there.predictions.paths))
    assert [one.label for one in again] == list(there.predictions.predicted)


def test_from_the_command_line(
    session: SparkSession,
    cluster: Cluster,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    Path("foveate.toml").write_text(cluster.toml(storage=str(images.parent / "storage")))
    words = ["train", str(images), "--classifier", "logistic", "--resolution", "64"]
    words += ["--target", "here", "--sample-frac", "0.7", "--json", "--quiet", "--set", "c=0.1"]
    assert run([*words, "--out", "model.onnx"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == "model.onnx"
    assert 40 < result["n_train"] + result["n_test"] < 85
    assert set(result["per_class"]) == set(LABELS)
    assert Path("model.onnx").is_file()
    assert Path(result["report"]).is_file()

    assert run(["score", "model.onnx", str(images), "--out", "out", "--target", "here"]) == 0
    shown = capsys.readouterr()
    assert "1 of 91 files were refused" in shown.err
    assert "90 images at" in shown.out
    assert {one.settings["target"] for one in fv.runs()} == {"here"}
