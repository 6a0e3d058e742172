"""Images with features, dealt to train and test."""

from __future__ import annotations

from pathlib import Path

from conftest import draw_folder
from foveate.catalog import read_catalog
from foveate.progress import Stopwatch
from foveate.settings import Settings
from foveate.workflow.engine import HERE
from foveate.workflow.preparation import labelled_source
from foveate.workflow.training_data import Means, prepare_data


def test_the_catalog_that_is_kept_tells_the_split(tmp_path: Path) -> None:
    settings = Settings()
    listed = labelled_source(draw_folder(tmp_path, 5), settings)
    data = prepare_data(listed, settings, None, Means(HERE, Stopwatch(), None))
    assert {row.facts.id for row in data.tested} == set(data.split.test)
    assert len(data.groups) == len(data.trained) == 12
    workspace = data.prepared.workspace
    assert len(read_catalog(workspace.catalog)) == 15
    assert not list(workspace.inspected.glob("*")), "what was inspected is in the catalog now"
