from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import draw_folder, draw_pattern
from foveate.errors import SourceError
from foveate.progress import Stopwatch
from foveate.settings import Settings
from foveate.tuning.extraction import Extraction
from foveate.tuning.training_set import TrainingSet, read_training_set
from foveate.workflow.preparation import labelled_source
from foveate.workflow.training import train_classifier


def quiet(done: int, total: int) -> None:
    """Nobody wants to know."""


@pytest.fixture
def extraction(data: TrainingSet, small: Settings) -> Extraction:
    return Extraction(data, small.backbone, 64, small)


def test_features_are_those_of_train(
    patterns: Path, data: TrainingSet, extraction: Extraction, small: Settings
) -> None:
    found = extraction.features(data.rows[3:7], quiet)
    training = train_classifier(patterns, small)
    np.testing.assert_array_equal(found, training.prepared.features_of(data.rows[3:7]))


def test_features_are_computed_once(data: TrainingSet, extraction: Extraction) -> None:
    told: list[tuple[int, int]] = []
    extraction.features(data.rows[:10], lambda *words: told.append(words))
    assert told[-1] == (10, 10)
    extraction.features(data.rows[:10], lambda *words: told.append(words))
    assert told[-1] == (10, 10)
    assert len(told) == len(set(told))


def test_speed_is_measured_without_the_cache(data: TrainingSet, extraction: Extraction) -> None:
    extraction.features(data.rows, quiet)
    features = list(data.workspace.features.rglob("*.parquet"))
    told: list[int] = []
    rate = extraction.images_per_second(lambda done, _: told.append(done))
    assert rate > 0
    assert told.count(len(data.rows)) >= 1
    assert list(data.workspace.features.rglob("*.parquet")) == features


def test_an_image_that_went_away_meanwhile(tmp_path: Path, small: Settings) -> None:
    folder = draw_folder(tmp_path / "s", 3)
    data = read_training_set(labelled_source(folder, small), small, Stopwatch(), None)
    gone = Path(data.rows[0].entry.file.path)
    draw_pattern("dots", 99).save(gone)
    extraction = Extraction(data, small.backbone, 64, small)
    fresh = labelled_source(folder, small)
    changed = next(entry for entry in fresh.entries if entry.file.path == str(gone))
    row = data.rows[0].__class__(changed, data.rows[0].facts)
    with pytest.raises(SourceError, match="was changed while the search went on"):
        extraction.features([row], quiet)
