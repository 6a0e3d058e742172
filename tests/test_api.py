"""The Python interface as the README shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import foveate as fv


def test_the_story(patterns: Path, tmp_path: Path) -> None:
    run = fv.train(patterns, classifier="svm", backbone="efficientnet-lite0", resolution=64)
    assert 0 <= run.evaluation.accuracy_ci95[0] <= run.evaluation.accuracy <= 1
    report = run.evaluation.report(tmp_path / "report.html")
    assert "<html" in report.read_text()
    run.save(tmp_path / "model.onnx")
    loaded = fv.load(tmp_path / "model.onnx")
    assert loaded.predict(patterns / "dots" / "0.png").label == "dots"
    again = fv.evaluate(tmp_path / "model.onnx", patterns)
    assert again.accuracy == run.evaluation.accuracy
    assert run.to_json()["n_test"] == run.evaluation.n == 9


def test_features(patterns: Path) -> None:
    features = fv.featurize(patterns, resolution=64)
    assert features.values.shape == (36, 1280)
    assert features.values.dtype == np.float32
    assert features.labels[0] == "checks"
    assert len(set(features.ids)) == 36


def test_every_verb_that_the_command_line_has(patterns: Path, tmp_path: Path) -> None:
    run = fv.train(patterns, resolution=64, out=tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").is_file()
    assert (tmp_path / "m.html").is_file()
    scored = fv.score(tmp_path / "m.onnx", patterns)
    assert (scored.files, sum(scored.predicted.values())) == (36, 36)
    assert scored.predictions is not None
    again = fv.evaluate(run.classifier, patterns, report=tmp_path / "r.html", resolution=64)
    assert again.n == 9
    assert (tmp_path / "r.html").is_file()
    assert fv.check(patterns).findings.refused == []
    assert fv.split(patterns, out=tmp_path / "s.csv").counts["dots"] == {"train": 9, "test": 3}
    stages: list[str] = []
    table = fv.featurize(
        patterns,
        resolution=72,
        out=tmp_path / "f.parquet",
        progress=lambda stage, *_: stages.append(stage),
    )
    assert table.result.images == 36
    assert set(stages) == {"features"}


def test_no_result_replaces_what_is_read(patterns: Path, tmp_path: Path) -> None:
    with pytest.raises(fv.OutputError):
        fv.train(patterns, out=tmp_path / "m.pt")


def test_wrong_setting(patterns: Path) -> None:
    with pytest.raises(fv.SettingsError, match="no setting ‘resolutoin’"):
        fv.train(patterns, resolutoin=64)


def test_every_public_name_exists() -> None:
    for name in fv.__all__:
        assert getattr(fv, name) is not None
    with pytest.raises(AttributeError):
        fv.nonsense  # noqa: B018


def test_import_is_light() -> None:
    code = (
        "import sys, foveate; dir(foveate); "
        "heavy = {'numpy', 'openvino', 'onnx', 'onnxruntime', 'sklearn', 'pyarrow', 'torch', "
        "'pyspark', 'mlflow', 'fastapi'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_predicting_needs_no_scikit_learn() -> None:
    code = (
        "import sys, foveate.classifier; "
        "sys.exit('sklearn' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_features_of_several_depths(patterns: Path, tmp_path: Path) -> None:
    """The same verbs, the same file; it says itself what its head saw."""
    run = fv.train(patterns, resolution=64, features="depths")
    run.save(tmp_path / "depths.onnx")
    classifier = fv.load(tmp_path / "depths.onnx")
    card = classifier.metadata.backbone
    assert (card.features, card.dimension) == ("depths", 2048)
    evaluated = fv.evaluate(tmp_path / "depths.onnx", patterns)
    assert evaluated.accuracy == run.evaluation.accuracy
    features = fv.featurize(patterns, resolution=64, features="depths")
    assert features.values.shape == (36, 2048)
