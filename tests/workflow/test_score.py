"""The verb `score`: its counts and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import draw_folder
from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.workflow.score import score
from foveate.workflow.training import train_classifier


@pytest.mark.slow
def test_counts_are_those_of_the_table(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "images", 4)
    (folder / "dots" / "broken.png").write_bytes(b"no image")
    classifier = train_classifier(folder, Settings(resolution=64)).classifier
    result = score(classifier, folder, out=tmp_path / "p.parquet")
    assert (result.files, result.refused, result.images, result.unlabelled) == (13, 1, 12, 0)
    assert [Path(path).name for path, _ in result.named] == ["broken.png"]
    predicted = read_predictions(tmp_path / "p.parquet").predicted
    for label, count in result.predicted.items():
        assert predicted.count(label) == count
    assert sum(result.predicted.values()) == 12


def test_a_cluster_needs_a_place_for_them(patterns: Path) -> None:
    classifier = train_classifier(patterns, Settings(resolution=64)).classifier
    with pytest.raises(ValueError, match="name `out`"):
        score(classifier, patterns, engine="spark")
