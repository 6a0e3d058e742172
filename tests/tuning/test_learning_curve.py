from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foveate.catalog import Entry, Facts, ImageRow, Source, Workspace
from foveate.files import FileEntry
from foveate.settings import Settings
from foveate.tuning.budget import Budget
from foveate.tuning.cache import ResultCache
from foveate.tuning.candidates import Candidate
from foveate.tuning.learning_curve import LearningCurve, measure_curve
from foveate.tuning.measurements import Measurements
from foveate.tuning.subsets import nested_ranks
from foveate.tuning.training_set import TrainingSet
from support.point_clusters import clusters

SVM = Candidate("efficientnet-lite0", 224, "svm")
SETTINGS = Settings(c=(0.1, 1.0), trees=64)


def labelled(n: int) -> tuple[np.ndarray, TrainingSet]:
    """Features of n images in three labels; every tenth image is a copy of the one before."""
    features, labels = clusters(n, 40, 3, spread=3)
    rows = tuple(
        ImageRow(Entry(FileEntry(f"{i}", f"{i}", 1, "1"), str(label), None), Facts(f"{i}", 64, 64))
        for i, label in enumerate(labels)
    )
    groups = np.arange(n)
    groups[9::10] = groups[6::10][: len(groups[9::10])]  # three before: of the same label
    codes = np.unique(labels, return_inverse=True)[1]
    ranks = nested_ranks(codes, groups, least=5, seed=0)
    source = Source("/nowhere", None, tuple(row.entry for row in rows), ())
    return features, TrainingSet(source, Workspace(Path(), Path()), rows, groups, ranks, 10)


def measure(n: int, folder: Path, minutes: float = 10, **candidate: str) -> LearningCurve | None:
    features, data = labelled(n)
    chosen = Candidate("efficientnet-lite0", 224, candidate.get("classifier", "svm"))
    cache, budget = ResultCache(folder), Budget(minutes)
    measurements = Measurements(data, SETTINGS, [chosen], cache, budget, None)
    return measure_curve(measurements, chosen, features)


@pytest.mark.slow
@pytest.mark.parametrize("classifier", ["svm", "forest"])
def test_more_images_are_better(
    tmp_path: Path, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveate.tuning.learning_curve._REPEATS", 1)
    found = measure(200, tmp_path, classifier=classifier)
    assert found is not None
    assert found.sizes == pytest.approx([16, 40, 80, 160], rel=0.15)
    assert found.wrong.shape == (4, 1, 200)
    assert found.errors[3] < found.errors[0]


def test_of_few_images_equal_parts_count_once(tmp_path: Path) -> None:
    found = measure(24, tmp_path)
    assert found is not None
    assert (np.diff(found.sizes) > 0).all()
    assert len(found.sizes) == len(found.wrong) < 4


@pytest.mark.slow
def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = measure(100, tmp_path / "calm")
    whole = measure(100, tmp_path)
    kept = sorted(tmp_path.glob("*.json"))
    for file in kept[::3]:
        file.unlink()
    again = measure(100, tmp_path)
    for found in (whole, again):
        assert calm is not None
        assert found is not None
        np.testing.assert_array_equal(found.wrong, calm.wrong)
        np.testing.assert_array_equal(found.sizes, calm.sizes)
    monkeypatch.setattr("foveate.tuning.learning_curve.fit_part", None)
    assert measure(100, tmp_path, minutes=1e-9) is not None


def test_without_time_there_are_fewer_repeats_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure(100, tmp_path, minutes=1e-9) is None
    now, step = 0.0, 1.0

    def clock() -> float:
        nonlocal now
        now += step
        return now

    monkeypatch.setattr("foveate.tuning.budget.time.monotonic", clock)
    found = measure(100, tmp_path / "long", minutes=12 / 60)  # two repeats of five folds, and a bit
    assert found is not None
    assert found.wrong.shape == (4, 2, 100)
    assert len(found.groups) == 100
    found = measure(100, tmp_path / "short", minutes=3 / 60)  # two folds of five
    assert found is not None
    assert found.wrong.shape[1:] == (1, len(found.groups))
    assert 30 <= len(found.groups) <= 50


def test_resampling_has_at_least_the_spread_of_other_images() -> None:
    rng = np.random.default_rng(0)
    curve = LearningCurve(np.array([10.0]), rng.random((1, 4, 400)) < 0.2, np.arange(400))
    errors = curve.resampled_errors(2000, 0)
    assert errors.shape == (2000, 1)
    assert errors.mean() == pytest.approx(curve.errors[0], abs=0.002)
    # All 1,600 answers are independent here. Owen: such noise is counted up to three times.
    assert 1 <= errors.std() / np.sqrt(0.2 * 0.8 / 1600) <= 1.9


def test_copies_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    wrong = np.repeat(rng.random((1, 1, 100)) < 0.2, 4, axis=2)
    alone = LearningCurve(np.array([10.0]), wrong, np.arange(400)).resampled_errors(2000, 0)
    copies = LearningCurve(np.array([10.0]), wrong, np.repeat(np.arange(100), 4))
    assert copies.resampled_errors(2000, 0).std() == pytest.approx(2 * alone.std(), rel=0.1)
