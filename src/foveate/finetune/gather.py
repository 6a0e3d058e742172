"""The training images of a catalog, as a training wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import ImageRow
from foveate.finetune.plan import hold_out
from foveate.finetune.samples import Pixels, Samples, decode_once
from foveate.image import Resize
from foveate.progress import Progress
from foveate.settings import Settings

MOST_PIXELS = 16 * 10**9
"""Bytes of decoded images kept on disk, at most; of more, each is decoded anew."""


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The training images of a split.

    Attributes:
        rows: (n,) of the catalog.
        groups: (n,) copies of each other have equal numbers.
        features: (n, d) by the frozen backbone.
    """

    rows: Sequence[ImageRow]
    groups: NDArray[np.intp]
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dealt:
    """n training images: their labels, and which of them only validate.

    Attributes:
        labels: the K labels, sorted.
        codes: (n,) position of each image's label in `labels`.
        learnt: positions of the images to learn from, sorted.
        held: positions of those that say when to stop, sorted.
    """

    labels: tuple[str, ...]
    codes: NDArray[np.intp]
    learnt: NDArray[np.intp]
    held: NDArray[np.intp]


def deal(training: TrainingRows, settings: Settings) -> Dealt:
    """Hold some images out, copies together; see `plan.hold_out`."""
    named = [str(row.entry.label) for row in training.rows]
    labels = tuple(sorted(set(named)))
    codes = np.array([labels.index(name) for name in named])
    learnt, held = hold_out(codes, training.groups, settings.validation_share, settings.seed)
    return Dealt(labels, codes, learnt, held)


def gather(
    training: TrainingRows,
    dealt: Dealt,
    settings: Settings,
    folder: Path,
    progress: Progress | None = None,
) -> Samples:
    """The images' squares, or their features where only the last layer learns.

    Args:
        training: the images.
        dealt: their labels, and which of them only validate.
        settings: all of them.
        folder: for squares; see `samples.decode_once`.
        progress: told how many are decoded.

    Raises:
        ImageRefused: an image changed or vanished since it was inspected.
    """
    if settings.depth == "last_only":
        learnt, held = (training.features[rows] for rows in (dealt.learnt, dealt.held))
        return Samples(
            dealt.labels, learnt, dealt.codes[dealt.learnt], held, dealt.codes[dealt.held]
        )

    def decoded(rows: NDArray[np.intp], resize: Resize) -> Pixels:
        chosen = [training.rows[row] for row in rows]
        return decode_once(
            [row.entry for row in chosen],
            [row.facts.id for row in chosen],
            resize,
            folder=folder,
            limits=settings.limits,
            most_bytes=MOST_PIXELS,
            workers=settings.workers,
            progress=None if progress is None else lambda n, of: progress("decode", n, of),
        )

    shown = Resize(settings.resolution, settings.resize)
    return Samples(
        dealt.labels,
        decoded(dealt.learnt, _to_cut_from(shown, training)),
        dealt.codes[dealt.learnt],
        decoded(dealt.held, shown),
        dealt.codes[dealt.held],
    )


def _to_cut_from(shown: Resize, training: TrainingRows) -> Resize:
    """What views are cut from: the square that the classifier sees, with what it crops away.

    Where it crops nothing away (squashed images, and those with no pixels to spare), the same.
    """
    detail = median(min(row.facts.width, row.facts.height) for row in training.rows)
    if shown.rule == "squash" or detail < shown.resolution:
        return shown
    margin = round(shown.resolution / 14)
    return Resize(shown.resolution + 2 * margin, shown.rule, to_edge=True)
