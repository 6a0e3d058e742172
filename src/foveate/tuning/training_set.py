"""The training images of a source: all that a search ever looks at."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from foveate import __version__
from foveate.catalog import ImageRow, Source, Workspace
from foveate.errors import TooFewImages
from foveate.files import digest
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.tuning.subsets import nested_ranks
from foveate.workflow.engine import HERE
from foveate.workflow.training_data import Means, prepare_data

# What a cross-validated accuracy depends on, beside the candidate and the images.
_JUDGED_BY = (
    "features",
    "c",
    "class_weight",
    "folds",
    "trees",
    "seed",
    "resize",
    "precision",
    "runtime",
)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The n training images of the split that `train` makes with the same settings.

    Attributes:
        source: where they are from.
        workspace: where derived data lives.
        rows: of the catalog.
        groups: (n,) copies of each other have equal numbers.
        ranks: (n,) in [0, 1), which parts an image is in; see `subsets`.
        n_test: test images, which nobody looks at before the end.
    """

    source: Source
    workspace: Workspace
    rows: tuple[ImageRow, ...]
    groups: NDArray[np.intp]
    ranks: NDArray[np.float64]
    n_test: int

    @property
    def codes(self) -> NDArray[np.intp]:
        """(n,) the label of each image as a number."""
        labels = [str(row.entry.label) for row in self.rows]
        codes: NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
        return codes

    @property
    def detail(self) -> float:
        """Pixels of the short side of a typical image, the median."""
        return median(min(row.facts.width, row.facts.height) for row in self.rows)

    def cache_folder(self, settings: Settings) -> Path:
        """Where what was measured on just these images, in just this way, is kept."""
        images = [
            (row.facts.id, row.entry.label, int(group))
            for row, group in zip(self.rows, self.groups, strict=True)
        ]
        how = {name: getattr(settings, name) for name in _JUDGED_BY}
        key = digest(json.dumps([__version__, images, how]).encode())
        return self.workspace.folder / "tune" / key[:16]


def read_training_set(
    listed: Source, settings: Settings, watch: Stopwatch, progress: Progress | None
) -> TrainingSet:
    """Inspect every image and split, as `train` does; then keep to the training images.

    Raises:
        TooFewImages: a label has too few images to train and test on, or to cross-validate.
    """
    data = prepare_data(listed, settings, None, Means(HERE, watch, progress))
    rows, workspace, n_test = tuple(data.trained), data.prepared.workspace, len(data.split.test)
    groups = np.array(data.groups, np.intp)
    unranked = TrainingSet(listed, workspace, rows, groups, np.zeros(len(rows)), n_test)
    _check_can_hold_out(unranked)
    ranks = nested_ranks(unranked.codes, groups, least=settings.folds, seed=settings.seed)
    return replace(unranked, ranks=ranks)


def _check_can_hold_out(data: TrainingSet) -> None:
    """Say so where a label has no image to hold out beside one to learn from."""
    # As the folds are dealt: a group of copies counts for the label of its first image.
    _, first = np.unique(data.groups, return_index=True)
    distinct = Counter(data.rows[index].entry.label for index in first)
    for label in sorted({str(row.entry.label) for row in data.rows}):
        if distinct[label] < 2:
            raise TooFewImages(
                f"‘{label}’ has only {distinct[label]} image{'s' * (distinct[label] != 1)} to "
                "train on, copies not counted; to compare settings takes 2, one to learn from "
                f"and one to judge by. Add images or leave the label out with `--exclude {label}`."
            )
