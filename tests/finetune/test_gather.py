"""From the rows of a catalog to what a training reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from foveate.catalog import read_source
from foveate.files import digest
from foveate.finetune.gather import TrainingRows, deal, gather
from foveate.image import Resize, open_image
from foveate.settings import Settings


@pytest.fixture(scope="module")
def training(patterns: Path) -> TrainingRows:
    rows: list[Any] = []
    for entry in read_source(patterns).entries:
        data = Path(entry.file.path).read_bytes()
        image = open_image(data)
        facts = SimpleNamespace(id=digest(data), width=image.width, height=image.height)
        rows.append(SimpleNamespace(entry=entry, facts=facts))
    features = np.arange(len(rows), dtype=np.float32)[:, None]
    return TrainingRows(rows, np.arange(len(rows)) // 2, features)


def test_copies_are_dealt_together(training: TrainingRows) -> None:
    dealt = deal(training, Settings(validation_share=0.3))
    assert [dealt.labels[code] for code in dealt.codes] == [r.entry.label for r in training.rows]
    assert sorted([*dealt.learnt, *dealt.held]) == list(range(len(training.rows)))
    assert not set(training.groups[dealt.learnt]) & set(training.groups[dealt.held])
    assert len(deal(training, Settings(validation_share=0)).held) == 0


def test_features_where_only_the_last_layer_learns(training: TrainingRows, tmp_path: Path) -> None:
    settings = Settings(depth="last_only")
    dealt = deal(training, settings)
    found = gather(training, dealt, settings, tmp_path)
    np.testing.assert_array_equal(found.train[:][:, 0], dealt.learnt)  # type: ignore[index]
    np.testing.assert_array_equal(found.validation[:][:, 0], dealt.held)  # type: ignore[index]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("resize", "margin"), [("crop", 5), ("squash", 0)])
def test_views_are_cut_from_what_the_classifier_crops_away(
    training: TrainingRows, tmp_path: Path, resize: Any, margin: int
) -> None:
    settings = Settings(resolution=64, resize=resize)
    dealt = deal(training, settings)
    told: list[tuple[str, int, int]] = []
    found = gather(training, dealt, settings, tmp_path, lambda *said: told.append(said))
    side = 64 + 2 * margin
    learnt = found.train[np.arange(len(dealt.learnt))]
    assert learnt.shape == (len(dealt.learnt), side, side, 3)
    held = found.validation[np.arange(len(dealt.held))]
    shown = Resize(64, resize)
    paths = [training.rows[row].entry.file.path for row in dealt.held]
    wanted = [open_image(Path(path).read_bytes()).pixels(shown) for path in paths]
    np.testing.assert_array_equal(held, np.stack(wanted))
    assert {stage for stage, *_ in told} == {"decode"}
