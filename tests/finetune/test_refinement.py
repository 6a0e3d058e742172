"""From a folder of pictures to a refined classifier, for real, on a few small images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.classifier import load_classifier
from foveate.cli.console import ProgressBar
from foveate.settings import FeatureKind, Settings

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")

from foveate.finetune import refinement
from foveate.finetune.device import Device
from foveate.finetune.refinement import Refiner

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {
    "resolution": 64,
    "epochs": 2,
    "minibatch": 8,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def run_dnn(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> fv.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fv.refine(patterns, **QUICK)


def test_the_same_run_object(run_dnn: fv.Run, tmp_path: Path) -> None:
    assert run_dnn.evaluation.n > 0
    made = run_dnn.training.refinement
    assert made is not None
    assert len(made.epochs) == 2
    assert made.n_validation > 0
    assert run_dnn.training.baseline_accuracy is not None
    result = run_dnn.to_json()
    assert result["classifier"] == "dnn"
    assert result["refinement"]["best_epoch"] in (1, 2)  # type: ignore[index]
    assert made.checkpoint.exists()  # until the classifier is safe
    run_dnn.save(tmp_path / "m.onnx")
    assert not made.checkpoint.exists()


def test_the_file_is_a_classifier_like_any_other(
    run_dnn: fv.Run, patterns: Path, tmp_path: Path
) -> None:
    run_dnn.save(tmp_path / "m.onnx")
    loaded = load_classifier(tmp_path / "m.onnx", precision="float32")
    assert loaded.metadata.training.classifier == "dnn"
    paths = list(run_dnn.evaluation.predictions.paths)
    again = loaded.predict(paths)
    for row, one in zip(run_dnn.evaluation.predictions.probabilities, again, strict=True):
        np.testing.assert_allclose(list(one.probabilities.values()), row, atol=1e-3)
    assert (
        fv.evaluate(loaded, patterns, precision="float32").accuracy == run_dnn.evaluation.accuracy
    )


def test_the_file_says_what_torch_says(run_dnn: fv.Run) -> None:
    """The scores in the file are those of the last layer on the features in the file."""
    features = np.random.default_rng(0).random((5, 1280), np.float32)
    head = run_dnn.training.head
    wanted = head.probabilities(features)
    np.testing.assert_allclose(run_dnn.classifier.probabilities(features), wanted, atol=1e-5)


def test_report_shows_how_it_learned(run_dnn: fv.Run, tmp_path: Path) -> None:
    page = run_dnn.evaluation.report(tmp_path / "report.html").read_text()
    assert "How it learned" in page
    assert "frozen features" in page


@pytest.mark.parametrize(("features", "dimension"), [("last", 1280), ("depths", 2048)])
def test_svm_on_refined_features(
    features: FeatureKind, dimension: int, patterns: Path, tmp_path: Path
) -> None:
    run = fv.refine(patterns, classifier="svm-dnn", features=features, **QUICK)
    card = run.classifier.metadata.backbone
    assert (card.features, card.dimension) == (features, dimension)
    run.save(tmp_path / "m.onnx")
    assert fv.evaluate(tmp_path / "m.onnx", patterns).accuracy == run.evaluation.accuracy
    assert run.training.head.kind == "svm"
    assert run.training.head.c is not None
    assert run.training.refinement is not None


def test_nothing_is_fitted_to_the_validation_images(
    patterns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say when to stop and calibrate; the layer that training starts from is new to them."""
    fitted: list[int] = []
    first_layer = refinement._first_layer

    def spy(features: np.ndarray, codes: np.ndarray) -> Any:
        fitted.append(len(features))
        assert len(features) == len(codes)
        return first_layer(features, codes)

    monkeypatch.setattr(refinement, "_first_layer", spy)
    found = fv.refine(patterns, depth="last_only", **QUICK)
    made = found.training.refinement
    assert made is not None
    assert made.n_validation > 0
    assert fitted == [found.classifier.metadata.training.n_train - made.n_validation]


def test_last_layer_only_keeps_the_backbone(patterns: Path) -> None:
    run = fv.refine(patterns, depth="last_only", **{**QUICK, "epochs": 5})
    frozen = fv.train(patterns, resolution=64, precision="float32")
    assert run.classifier.backbone == frozen.classifier.backbone


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"augment": "strong", "mixup": 0.2}, []),
        ({"depth": "last_only", "augment": "none", "mixup": 0.2}, []),
        ({"depth": "last_only", "augment": "strong"}, ["augment = strong had no effect"]),
        (
            {"depth": "last_only", "augment": "strong", "orientation": "any"},
            ["augment = strong and orientation = any had no effect"],
        ),
        ({"validation_share": 0}, ["last epoch was taken and the probabilities are not cali"]),
        ({"validation_share": 0, "classifier": "svm-dnn"}, ["so the last epoch was taken."]),
        (
            {"validation_share": 0, "depth": "last_only", "orientation": "any"},
            ["orientation = any had", "no image said when to stop"],
        ),
    ],
)
def test_what_of_the_settings_came_to_nothing_is_said(
    changes: dict[str, Any], said: list[str]
) -> None:
    notes = refinement._notes(Settings(**{"classifier": "dnn", **changes}))
    assert len(notes) == len(said)
    for note, words in zip(notes, said, strict=True):
        assert words in note


def test_progress_begins_where_a_killed_training_was() -> None:
    bar = ProgressBar(quiet=False)
    refinement._foretell(bar, "a GPU", 9000, 10_000, 200.0)
    bar._start -= 10
    assert bar._rate(9100, bar._start + 10) == pytest.approx(10)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "about 1 s on"), (7.4, "about 7 s on"), (200.0, "about 3 min on")]
)
def test_how_long_it_takes_is_said(
    capsys: pytest.CaptureFixture[str], seconds: float, words: str
) -> None:
    refinement._foretell(ProgressBar(quiet=False), "a GPU", 0, 10, seconds)
    assert words in (said := capsys.readouterr().err)
    assert "most" not in said


@pytest.mark.parametrize(
    ("side", "count", "device", "resolution"),
    [
        (64, 10, "cpu", 224),  # nothing has the detail
        (256, 10, "cpu", 224),  # 7/8 of it are seen
        (293, 10, "cpu", 256),
        (1000, 10, "cpu", 320),
        (1000, 1001, "cpu", 256),
        (1000, 1001, "cuda", 448),
    ],
)
def test_resolution_is_what_images_have_and_the_device_can(
    side: int, count: int, device: str, resolution: int
) -> None:
    facts = SimpleNamespace(width=2 * side, height=side)
    rows = [SimpleNamespace(facts=facts)] * count
    backbone = SimpleNamespace(card=SimpleNamespace(fixed_resolution=None))
    refiner = Refiner(Device(torch.device(device), bfloat16=False))
    found = refiner.settled(Settings(classifier="dnn"), backbone, rows)  # type: ignore[arg-type]
    assert (found.resolution, found.epochs) == (resolution, 5)
    asked = Settings(classifier="dnn", resolution=96, epochs=3)
    kept = refiner.settled(asked, backbone, rows)  # type: ignore[arg-type]
    assert (kept.resolution, kept.epochs) == (96, 3)


def command(out: Path, source: Path, *more: str) -> list[str]:
    assignments = [f"--set={key}={value}" for key, value in QUICK.items()]
    return [
        sys.executable, "-m", "foveate", "train", str(source), "--classifier", "dnn",
        "--out", str(out), "--json", *assignments, *more,
    ]  # fmt: skip


def test_two_processes_come_to_the_same(patterns: Path, tmp_path: Path) -> None:
    """Gloo on one machine; the cache is a new one for each, so both really train.

    Of 24 images to learn from, the last batch of 23 and 1 leaves one process without any.
    """
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        more = (f"--devices={count}", "--set=minibatch=23")
        step = "--set=schedule=step"  # AdamW would hide gradients of a wrong size
        done = subprocess.run(
            command(folder / "m.onnx", patterns, *more, step),
            env={**os.environ, "FOVEATE_CACHE": str(folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        scored = fv.evaluate(
            folder / "m.onnx", patterns, include_training=True, precision="float32"
        )
        found.append((result, scored.predictions.probabilities))
    (one, alone), (two, together) = found
    for this, that in zip(
        one["refinement"]["learning"], two["refinement"]["learning"], strict=True
    ):
        assert this["loss"] == pytest.approx(that["loss"], rel=1e-4)
    np.testing.assert_allclose(alone, together, atol=1e-3)


def test_a_missing_gpu_is_a_plain_error(patterns: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        command(tmp_path / "m.onnx", patterns, "--device", "cuda"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "finds no GPU" in done.stderr
    assert "Traceback" not in done.stderr
