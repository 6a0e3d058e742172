"""A classifier in int8, and for OpenVINO."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest

import foveate as fv
from conftest import draw_folder
from foveate.classifier import Classifier, image_pixels
from foveate.errors import ModelFileError, NotWorthIt, SourceError
from foveate.evaluation import compare_paired
from foveate.exporting import Int8Export, export_int8, export_openvino, int8
from foveate.exporting.calibration import calibration_rows
from foveate.model_file import METADATA_KEY, read_model
from foveate.runtime.rate import measure_rates
from foveate.workflow.scoring import evaluate_source as evaluate

pytestmark = pytest.mark.slow

RESOLUTION = 64


@pytest.fixture(autouse=True)
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        int8, "measure_rates", lambda *a, **k: measure_rates(*a, **k, rounds=1, seconds=0.05)
    )


@pytest.fixture(scope="module")
def classifier(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fv.train(patterns, resolution=RESOLUTION).classifier


@pytest.fixture(scope="module")
def exported(
    classifier: Classifier, patterns: Path, tmp_path_factory: pytest.TempPathFactory
) -> Int8Export:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(
            int8,
            "measure_rates",
            lambda *a, **k: measure_rates(*a, **k, rounds=1, seconds=0.05),
        )
        return export_int8(classifier, patterns)


def test_measures_what_evaluate_measures(
    exported: Int8Export, classifier: Classifier, patterns: Path
) -> None:
    for one, measured in ((classifier, exported.before), (exported.classifier, exported.after)):
        evaluation = evaluate(one, patterns).evaluation
        assert evaluation is not None
        assert measured.accuracy == evaluation.accuracy
    assert exported.before.precision in ("bfloat16", "float32")
    assert exported.after.precision == "int8"
    assert exported.after.size < 0.75 * exported.before.size
    assert min(exported.before.images_per_second, exported.after.images_per_second) > 0


def test_calibrates_on_training_images_only(exported: Int8Export, classifier: Classifier) -> None:
    rows = calibration_rows(classifier, exported.prepared, 300, seed=0)
    assert len(rows) == exported.quantisation.n_calibration == 27
    assert all(classifier.was_trained_on(row.facts.id) for row in rows)
    few = calibration_rows(classifier, exported.prepared, 9, seed=0)
    labels = [row.entry.label for row in few]
    assert [labels.count(label) for label in classifier.labels] == [3, 3, 3]
    assert few == calibration_rows(classifier, exported.prepared, 9, seed=0)
    assert few != calibration_rows(classifier, exported.prepared, 9, seed=1)


def test_the_file_says_what_it_cost(exported: Int8Export, classifier: Classifier) -> None:
    told = Classifier(exported.classifier.onnx_bytes).metadata.quantisation
    assert told == exported.quantisation
    assert told is not None
    assert told.n_test == exported.comparison.n
    assert told.accuracy_after == exported.after.accuracy.value
    assert told.original == classifier.id
    assert classifier.metadata.quantisation is None


def test_head_and_memory_stay(exported: Int8Export, classifier: Classifier) -> None:
    before, after = (read_model(c.onnx_bytes) for c in (classifier, exported.classifier))
    features = np.random.default_rng(0).random((5, 1280), np.float32)
    np.testing.assert_array_equal(
        classifier.probabilities(features), exported.classifier.probabilities(features)
    )
    assert after.trained_on == before.trained_on
    assert after.metadata.labels == before.metadata.labels
    assert after.metadata.training == before.metadata.training
    # Features in int8 must never be taken from the cache of the original.
    assert after.metadata.backbone.pack_sha256 != before.metadata.backbone.pack_sha256


def test_any_runtime_reads_it(exported: Int8Export, patterns: Path) -> None:
    session = onnxruntime.InferenceSession(exported.classifier.onnx_bytes)
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    assert about["quantisation"]["precision"] == "int8"
    paths = sorted(patterns.rglob("*.png"))
    pixels = np.stack([image_pixels(path, exported.classifier.resize) for path in paths])
    (found,) = session.run(["probabilities"], {"pixels": pixels})
    ours = exported.classifier.predict(paths)
    same = [about["labels"][row.argmax()] == p.label for row, p in zip(found, ours, strict=True)]
    assert np.mean(same) >= 0.94


def test_files_without_the_field_stay_readable(classifier: Classifier) -> None:
    import onnx
    from onnx import helper

    model = onnx.load_from_string(classifier.onnx_bytes)
    props = {prop.key: prop.value for prop in model.metadata_props}
    about = json.loads(props[METADATA_KEY])
    del about["quantisation"], about["parts"], props["foveate.sha256"]  # as it was before those
    helper.set_model_props(model, props | {METADATA_KEY: json.dumps(about)})
    assert read_model(model.SerializeToString()).metadata.quantisation is None


def judged(exported: Int8Export, *, lost: int, gain: float) -> Int8Export:
    """The same export, had int8 got `lost` of 300 images wrong, at `gain` times the speed."""
    right = np.ones(300, bool)
    worse = right.copy()
    worse[:lost] = False
    return replace(
        exported,
        comparison=compare_paired(worse, right),
        before=replace(exported.before, images_per_second=100.0),
        after=replace(exported.after, images_per_second=100.0 * gain),
    )


def test_a_point_may_be_lost_but_no_more(exported: Int8Export) -> None:
    judged(exported, lost=3, gain=2).check()
    with pytest.raises(NotWorthIt, match=r"costs 1\.3 points.*300 test images.*--force"):
        judged(exported, lost=4, gain=2).check()


def test_speed_must_be_gained(exported: Int8Export) -> None:
    judged(exported, lost=0, gain=1.01).check()
    with pytest.raises(NotWorthIt, match="gains nothing"):
        judged(exported, lost=0, gain=1).check()


def test_int8_again_is_refused(exported: Int8Export, patterns: Path) -> None:
    with pytest.raises(ModelFileError, match="int8 already"):
        export_int8(exported.classifier, patterns)


def test_without_training_images(classifier: Classifier, tmp_path: Path) -> None:
    unknown = draw_folder(tmp_path / "other", count=2, first=500)
    with pytest.raises(SourceError, match="none of the images that this classifier was trained"):
        export_int8(classifier, unknown)


def test_without_test_images(classifier: Classifier, patterns: Path, tmp_path: Path) -> None:
    import hashlib

    for path in patterns.rglob("*.png"):
        if classifier.was_trained_on(hashlib.sha256(path.read_bytes()).hexdigest()):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / path.parent.name)
    with pytest.raises(SourceError, match="has not seen"):
        export_int8(classifier, tmp_path)


@pytest.mark.parametrize("form", ["float", "int8"])
def test_openvino_answers_the_same(
    form: str, classifier: Classifier, exported: Int8Export, patterns: Path, tmp_path: Path
) -> None:
    original = {"float": classifier, "int8": exported.classifier}[form]
    path = tmp_path / "deep" / "m.xml"
    pixels = [image_pixels(p, original.resize) for p in sorted(patterns.rglob("*.png"))[:6]]
    compared, difference = export_openvino(original, path, str(patterns))
    assert compared == 8 + 16
    assert difference <= 1e-3
    assert sorted(p.name for p in path.parent.iterdir()) == ["m.bin", "m.xml"]
    core = openvino.Core()
    model = core.read_model(path)
    labels = json.loads(model.get_rt_info(["foveate", "labels"]).value)
    about = json.loads(model.get_rt_info(["foveate", "metadata"]).value)
    assert tuple(labels) == original.labels
    assert about["resolution"] == RESOLUTION
    found = core.compile_model(model, "CPU")({"pixels": np.stack(pixels)})["probabilities"]
    ours = original.predict(sorted(patterns.rglob("*.png"))[:6])
    assert [labels[row.argmax()] for row in found] == [p.label for p in ours]


def test_openvino_that_answers_otherwise_is_not_written(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foveate.runtime import openvino_ir

    right = openvino_ir._probabilities
    monkeypatch.setattr(openvino_ir, "_probabilities", lambda *a: right(*a)[:, ::-1])
    with pytest.raises(ModelFileError, match="differ"):
        export_openvino(classifier, tmp_path / "m.xml")
    assert list(tmp_path.iterdir()) == []


def test_a_forest_is_not_for_openvino(patterns: Path, tmp_path: Path) -> None:
    forest = fv.train(patterns, resolution=RESOLUTION, classifier="forest").classifier
    with pytest.raises(ModelFileError, match=r"cannot be exported.*ONNX Runtime"):
        export_openvino(forest, tmp_path / "m.xml")
    assert list(tmp_path.iterdir()) == []
