"""The verb, end to end on small images."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from conftest import draw_folder
from foveate.errors import SettingsError, TooFewImages
from foveate.settings import Settings
from foveate.tuning import Tried, Tuning, tune
from foveate.tuning.choice import choose
from foveate.workflow.training import train_classifier

CHEAP = ("svm", "logistic")


def test_everything_is_tried_and_the_default_first(tuning: Tuning) -> None:
    assert len(tuning.tried) == len(tuning.candidates) == 4
    assert tuning.tried[0].candidate.resolution == 64
    assert tuning.tried[0].candidate.classifier == "svm"
    assert {one.state for one in tuning.tried} == {"complete"}
    assert not tuning.untried


def test_the_chosen_one_is_trained_on_the_same_split(
    patterns: Path, tuning: Tuning, small: Settings
) -> None:
    chosen = tuning.chosen.candidate.settings(small)
    alone = train_classifier(patterns, chosen)
    assert tuning.training.split == alone.split
    assert tuning.evaluation.accuracy == alone.evaluation.accuracy
    assert tuning.training.classifier.onnx_bytes == alone.classifier.onnx_bytes


@pytest.mark.slow
def test_the_choice_knows_nothing_of_the_features_of_test_images(
    patterns: Path, own_cache: Path, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    featurized: set[str] = set()

    def choose_and_look(tried: list[Tried]) -> Tried | None:
        for path in (own_cache / "features").rglob("*.parquet"):
            featurized.update(pq.read_table(path, columns=["id"]).column("id").to_pylist())
        return choose(tried)

    monkeypatch.setattr("foveate.tuning.tuning.choose", choose_and_look)
    found = tune(patterns, small, resolutions=[64], classifiers=CHEAP)
    assert featurized == set(found.training.split.train)


def test_the_same_again(
    patterns: Path,
    tuning: Tuning,
    tuned_cache: Path,
    small: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(tuned_cache))
    again = tune(patterns, small, resolutions=[64, 96], classifiers=CHEAP)
    found, expected = again.to_json(), tuning.to_json()
    assert found.pop("seconds") != expected.pop("seconds")
    assert found == expected


def test_the_learning_curve_and_the_gains(tuning: Tuning) -> None:
    assert tuning.continuation is not None
    assert list(tuning.continuation.expected) == [27, 54, 108]
    assert "points" in tuning.gains.sentence


@pytest.mark.slow
def test_a_dropped_candidate_costs_a_part_only(tmp_path: Path, small: Settings) -> None:
    folder = draw_folder(tmp_path / "s", 180)
    found = tune(folder, small, resolutions=[64], classifiers=["svm", "forest", "logistic"])
    assert found.tried[0].state == "complete"
    assert {one.share for one in found.tried} <= {0.5, 1.0}
    assert all(one.share == 0.5 for one in found.tried if one.state == "dropped")


def test_without_time_it_says_so_and_keeps_what_it_has(patterns: Path, small: Settings) -> None:
    with pytest.raises(SettingsError, match="run the same command again"):
        tune(patterns, small, minutes=1e-6, resolutions=[64])


def test_the_minutes_end_a_long_featurizing(
    tmp_path: Path, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are up after the first image of the second candidate: the rest is not computed."""
    source = draw_folder(tmp_path / "many", 40)
    now, told = 0.0, []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        nonlocal now
        if stage == "tune" and total / 2 < done < total:
            told.append(done)
            now = 60.0

    monkeypatch.setattr("foveate.tuning.budget.time", SimpleNamespace(monotonic=lambda: now))
    found = tune(
        source,
        small,
        minutes=1,
        resolutions=(64, 96),
        classifiers=("svm",),
        progress=progress,
    )
    assert len(told) == 1
    assert [one.candidate.resolution for one in found.tried] == [64]
    assert [one.resolution for one in found.untried] == [96]
    assert found.chosen.candidate.resolution == 64


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_minutes_that_are_none(patterns: Path, minutes: float) -> None:
    with pytest.raises(SettingsError, match="minutes are not enough"):
        tune(patterns, minutes=minutes)


def test_too_few_images(tmp_path: Path, small: Settings) -> None:
    with pytest.raises(TooFewImages, match="has only 1 image to train on"):
        tune(draw_folder(tmp_path / "s", 2), small, resolutions=[64])
