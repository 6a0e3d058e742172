from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conftest import draw_folder
from foveate.errors import TooFewImages
from foveate.progress import Stopwatch
from foveate.settings import Settings
from foveate.tuning.training_set import TrainingSet, read_training_set
from foveate.workflow.preparation import labelled_source
from foveate.workflow.training import train_classifier


def read(source: Path, settings: Settings) -> TrainingSet:
    return read_training_set(labelled_source(source, settings), settings, Stopwatch(), None)


def test_it_holds_the_training_images_of_train(
    patterns: Path, data: TrainingSet, small: Settings
) -> None:
    split = train_classifier(patterns, small).split
    assert {row.facts.id for row in data.rows} == set(split.train)
    assert data.n_test == len(split.test) == 9
    assert data.codes.tolist() == sorted(data.codes)
    assert data.detail == 96


def test_copies_are_in_the_same_group(tmp_path: Path, small: Settings) -> None:
    folder = draw_folder(tmp_path / "s", 6)
    for image in list((folder / "dots").iterdir()):
        shutil.copy(image, image.with_name(f"copy-of-{image.name}"))
    found = read(folder, small)
    dots = [g for row, g in zip(found.rows, found.groups, strict=True) if row.entry.label == "dots"]
    assert len(dots) == 2 * len(set(dots))


def test_the_cache_is_of_these_images_judged_in_this_way(
    patterns: Path, data: TrainingSet, small: Settings
) -> None:
    folder = data.cache_folder(small)
    assert folder == read(patterns, small).cache_folder(small)
    other_split = small.model_copy(update={"seed": 1})
    assert folder != read(patterns, other_split).cache_folder(other_split)
    for change in ({"c": (1.0,)}, {"folds": 3}, {"resize": "squash"}):
        assert folder != data.cache_folder(small.model_copy(update=change))
    # Backbone, resolution and classifier are in the names of what is remembered.
    assert folder == data.cache_folder(small.model_copy(update={"resolution": 96, "workers": 1}))


def test_a_label_that_cannot_be_held_out(tmp_path: Path, small: Settings) -> None:
    folder = draw_folder(tmp_path / "s", 6)
    for image in sorted((folder / "dots").iterdir())[2:]:
        image.unlink()
    with pytest.raises(TooFewImages, match=r"‘dots’ has only 1 image to train on.*takes 2"):
        read(folder, small)


def test_what_was_judged_on_other_features_is_not_taken(data: TrainingSet, small: Settings) -> None:
    other = small.model_copy(update={"features": "depths"})
    assert data.cache_folder(other) != data.cache_folder(small)
