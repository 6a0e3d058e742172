"""Quantise on images that the classifier was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import ImageRow, read_file
from foveate.classifier import Classifier
from foveate.errors import ImageRefused, ModelFileError, SourceError
from foveate.image import Limits, Resize, open_image
from foveate.progress import Progress
from foveate.runtime import Network, open_network
from foveate.runtime.quantisation import Quantised, quantise
from foveate.settings import Settings
from foveate.workflow.preparation import Prepared

BATCH = 8


def calibration_rows(
    classifier: Classifier, prepared: Prepared, images: int, *, seed: int
) -> list[ImageRow]:
    """Images that a classifier was trained on, evenly over the labels, each at most once.

    Args:
        classifier: it knows its training images.
        prepared: a source that holds some of them.
        images: how many, if there are so many.
        seed: of the drawing.

    Raises:
        SourceError: there is none.
    """
    by_label: dict[str, dict[str, ImageRow]] = {}
    for row in prepared.catalog.usable:
        if classifier.was_trained_on(row.facts.id):
            by_label.setdefault(row.entry.label or "", {}).setdefault(row.facts.id, row)
    if not by_label:
        raise SourceError(
            f"‘{prepared.source.root}’ holds none of the images that this classifier was trained "
            "on, and int8 is calibrated on those. Give the SOURCE it was trained on."
        )
    rng = np.random.default_rng(seed)
    drawn = [
        [rows[i] for i in rng.permutation(len(rows))]
        for rows in (list(by_label[label].values()) for label in sorted(by_label))
    ]
    rounds = (row for turn in zip_longest(*drawn) for row in turn if row is not None)
    unique = {row.facts.id: row for row in rounds}  # an image may be there under two labels
    return list(unique.values())[:images]


def quantise_on(
    classifier: Classifier,
    rows: Sequence[ImageRow],
    settings: Settings,
    progress: Progress | None,
) -> Quantised:
    """Quantise a classifier's backbone, judged by how many of these images keep their label.

    Args:
        classifier: the original.
        rows: images that it was trained on.
        settings: those that concern reading and running.
        progress: told how far the calibration is.

    Raises:
        ModelFileError: the backbone has nothing that could be quantised.
        SourceError: an image cannot be read any more.
    """
    pixels = _Pixels(rows, classifier.resize, settings.limits, progress)

    def labels(backbone: bytes) -> NDArray[np.intp]:
        network = open_backbone(backbone, classifier, settings)
        features = np.concatenate([network.run(batch) for batch in replace(pixels, progress=None)])
        best: NDArray[np.intp] = classifier.probabilities(features).argmax(axis=1)
        return best

    try:
        known = labels(classifier.backbone)
        return quantise(
            classifier.backbone,
            pixels,
            lambda backbone: float((labels(backbone) == known).mean()),
        )
    except ValueError as error:
        raise ModelFileError(
            f"The backbone of this classifier cannot be quantised: {error}."
        ) from None
    except ImageRefused as refusal:
        raise SourceError(
            f"An image of this source changed while it was read ({refusal}). Start again."
        ) from None


def open_backbone(backbone: bytes, classifier: Classifier, settings: Settings) -> Network:
    """A backbone as this classifier runs its own, under these settings."""
    return open_network(
        backbone,
        resolution=classifier.metadata.resolution,
        precision=settings.precision,
        runtime=settings.runtime,
        workers=settings.workers or None,
    )


@dataclass(frozen=True, slots=True)
class _Pixels:
    """The pixels of some images, batch by batch; opened anew each time, so memory stays flat."""

    rows: Sequence[ImageRow]
    resize: Resize
    limits: Limits
    progress: Progress | None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(self.rows), BATCH):
            if self.progress is not None:
                self.progress("calibrate", start, len(self.rows))
            yield np.stack([self._of(row) for row in self.rows[start : start + BATCH]])

    def _of(self, row: ImageRow) -> NDArray[np.uint8]:
        return open_image(read_file(row.entry.file, self.limits)).pixels(self.resize)
