"""A classifier on a source, end to end on small images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_folder
from foveate.errors import SourceError
from foveate.settings import Settings
from foveate.workflow.scoring import evaluate_source, score_source
from foveate.workflow.training import train_classifier

SMALL = Settings(resolution=64)


def test_evaluate_leaves_training_images_out(patterns: Path) -> None:
    training = train_classifier(patterns, SMALL)
    scoring = evaluate_source(training.classifier, patterns, SMALL)
    assert scoring.trained_on == 27
    assert scoring.evaluation is not None
    assert scoring.evaluation.n == 9
    assert scoring.evaluation.accuracy == training.evaluation.accuracy
    every = evaluate_source(training.classifier, patterns, SMALL, include_training=True)
    assert every.evaluation is not None
    assert every.evaluation.n == 36


@pytest.mark.slow
def test_evaluate_finds_copies_of_training_images(patterns: Path, tmp_path: Path) -> None:
    """A recompressed training image is not an unseen image."""
    training = train_classifier(patterns, SMALL)
    seen = next(
        row for row in training.prepared.catalog.rows if row.facts.id in training.split.train
    )
    label = tmp_path / str(seen.entry.label)
    label.mkdir()
    Image.open(seen.entry.file.path).save(label / "copy.jpg", quality=95)
    original = Path(seen.entry.file.path)
    (label / "original.png").write_bytes(original.read_bytes())
    with pytest.raises(SourceError, match="trained on every labelled image"):
        evaluate_source(training.classifier, tmp_path, SMALL)


def test_evaluate_on_other_labels(patterns: Path, tmp_path: Path) -> None:
    training = train_classifier(patterns, SMALL)
    draw_folder(tmp_path / "s", 2, first=50)
    for label in list((tmp_path / "s").iterdir()):
        label.rename(label.with_name(label.name + "-new"))
    with pytest.raises(SourceError, match="not those of the classifier"):
        evaluate_source(training.classifier, tmp_path / "s", SMALL)


def test_score_has_a_row_for_every_file(patterns: Path, tmp_path: Path) -> None:
    training = train_classifier(patterns, SMALL)
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "bad.jpg").write_text("no")
    (folder / "good.png").write_bytes((patterns / "dots" / "1.png").read_bytes())
    (folder / "same.png").write_bytes((patterns / "dots" / "1.png").read_bytes())
    predictions = score_source(training.classifier, folder, SMALL).predictions
    assert [Path(path).name for path in predictions.paths] == ["bad.jpg", "good.png", "same.png"]
    assert predictions.predicted[0] is None
    assert predictions.errors[0] is not None
    assert predictions.predicted[1] == predictions.predicted[2] is not None
    assert np.isnan(predictions.probabilities[0]).all()


def test_cached_features_predict_as_pixels_do(patterns: Path) -> None:
    training = train_classifier(patterns, SMALL)
    predictions = training.predictions
    for path, row in zip(predictions.paths, predictions.probabilities, strict=True):
        direct = training.classifier.predict(path)
        np.testing.assert_allclose(list(direct.probabilities.values()), row, atol=1e-3)
