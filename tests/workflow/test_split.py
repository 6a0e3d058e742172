"""The verb `split`."""

from __future__ import annotations

import csv
from pathlib import Path

from foveate.settings import Settings
from foveate.workflow.split import split
from foveate.workflow.training import train_classifier


def test_it_is_the_split_of_train_and_is_written(patterns: Path, tmp_path: Path) -> None:
    settings = Settings(resolution=64, seed=3)
    dealt = split(patterns, settings)
    assert dealt.split == train_classifier(patterns, settings).split
    assert dealt.counts == {
        label: {"train": 9, "test": 3} for label in ("checks", "dots", "stripes")
    }
    dealt.write(tmp_path / "split.csv")
    with (tmp_path / "split.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "label", "split"]
    assert [tuple(row) for row in rows[1:]] == dealt.rows
