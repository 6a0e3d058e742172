"""What the Python interface has beside the verbs of `workflow/`."""

from __future__ import annotations

from pathlib import Path

from foveate.classifier import Classifier, load_classifier
from foveate.history import RecordedRun, find_place, list_runs
from foveate.settings import make_settings


def load(path: str | Path) -> Classifier:
    """Load a classifier from its file, a path or URL.

    Raises:
        ModelFileError: it is not there or is not a foveate classifier.
    """
    return load_classifier(path)


def runs(project: str | Path | None = None) -> list[RecordedRun]:
    """The runs on record, newest first.

    Args:
        project: its folder; None for those on bare sources.

    Raises:
        HistoryError: the history cannot be read.
    """
    folder = None if project is None else Path(project)
    place = find_place(folder, make_settings(folder).tracking)
    return [] if place is None else list_runs(place)
