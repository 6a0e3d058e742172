from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from foveate.settings import Settings
from foveate.tuning.budget import Budget, OutOfTime
from foveate.tuning.cache import ResultCache
from foveate.tuning.candidates import Candidate
from foveate.tuning.measurements import Measurements
from foveate.tuning.training_set import TrainingSet
from foveate.workflow.training import train_classifier

SVM = Candidate("efficientnet-lite0", 64, "svm")
FOREST = Candidate("efficientnet-lite0", 64, "forest")


def measurements_of(data: TrainingSet, settings: Settings, **others: object) -> Measurements:
    cache = ResultCache(data.cache_folder(settings))
    budget = others.get("budget", Budget(10))
    made = Measurements(data, settings, [SVM, FOREST], cache, budget, others.get("progress"))
    made.images_per_second(SVM)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("candidate", [SVM, FOREST])
def test_judged_on_all_images_is_what_train_says_of_its_head(
    patterns: Path, data: TrainingSet, small: Settings, candidate: Candidate
) -> None:
    found = measurements_of(data, small).cross_validate(candidate, 1.0)
    head = train_classifier(patterns, candidate.settings(small)).head
    # The mean over images, where the head has the mean over folds.
    assert found.accuracy.value == pytest.approx(head.held_out_accuracy, abs=0.02)
    assert found.c == head.c
    assert found.accuracy.n == len(data.rows) == 27


def test_a_part_is_judged_on_its_images(data: TrainingSet, small: Settings) -> None:
    found = measurements_of(data, small).cross_validate(SVM, 0.5)
    assert 13 <= len(found.right) <= 15
    assert not np.isnan(found.right).any()


def test_what_is_known_is_not_computed_again(
    data: TrainingSet, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measurements_of(data, small)
    rate, judged = first.images_per_second(SVM), first.cross_validate(SVM, 1.0)
    monkeypatch.setattr("foveate.tuning.measurements.Extraction", None)
    monkeypatch.setattr("foveate.tuning.measurements.fit_part", None)
    again = measurements_of(data, small, budget=Budget(1e-9))
    assert again.images_per_second(SVM) == rate
    same = again.cross_validate(SVM, 1.0)
    np.testing.assert_array_equal(same.right, judged.right)
    assert (same.c, same.seconds) == (judged.c, judged.seconds)


def test_when_the_minutes_are_up_features_are_kept(
    data: TrainingSet, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("foveate.tuning.budget.time.monotonic", lambda: now)
    told: list[int] = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        nonlocal now
        told.append(done)
        now += 1000 * (done > 0)

    measurements = measurements_of(data, small, progress=progress)
    with pytest.raises(OutOfTime):
        measurements.cross_validate(SVM, 1.0)
    assert 0 < told[-1] < len(data.rows)
    assert list(data.workspace.features.rglob("*.parquet"))


def test_progress_is_over_all_candidates(data: TrainingSet, small: Settings) -> None:
    told: list[tuple[str, int, int, str]] = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        told.append((stage, done, total, note))

    measurements = measurements_of(data, small, progress=progress)
    measurements.cross_validate(SVM, 1.0)
    measurements.note = "best so far"
    measurements.cross_validate(FOREST, 1.0)
    assert told[0] == ("tune", 0, 54, "")
    assert told[-1] == ("tune", 27, 54, "best so far")
