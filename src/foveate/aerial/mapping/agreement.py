"""How far a map agrees with known labels.

The same measures as `evaluation.evaluate` gives, for labels without probabilities: a smoothed map
has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import Estimate, resampled_average, wilson


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """How well one label is mapped.

    Attributes:
        n: measured tiles of this label.
        accuracy: share of this label's tiles that are mapped as such, Wilson interval.
        precision: share of the tiles mapped as this label that have it, Wilson interval.
    """

    n: int
    accuracy: Estimate
    precision: Estimate


@dataclass(frozen=True, slots=True)
class Agreement:
    """A map against known labels.

    Attributes:
        labels: the K labels.
        n: tiles measured, at least 1.
        accuracy: share of them mapped as what they are, Wilson interval.
        class_average_accuracy: unweighted mean over labels, bootstrap interval.
        per_class: measures by label, in the order of `labels`.
        confusion: (K, K) int64 counts; row is the known label, column the mapped one.
    """

    labels: tuple[str, ...]
    n: int
    accuracy: Estimate
    class_average_accuracy: Estimate
    per_class: Mapping[str, LabelAgreement]
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        average = self.class_average_accuracy
        return {
            "n": self.n,
            "accuracy": self.accuracy.value,
            "accuracy_ci95": [self.accuracy.low, self.accuracy.high],
            "class_average_accuracy": average.value,
            "class_average_accuracy_ci95": [average.low, average.high],
            "confusion": self.confusion.tolist(),
        }


def agreement(
    labels: Sequence[str], known: NDArray[np.integer], mapped: NDArray[np.integer]
) -> Agreement:
    """Measure a map on n tiles of known label.

    Args:
        labels: the K labels.
        known: (n,) index into `labels` of what each tile is, n ≥ 1.
        mapped: (n,) index into `labels` of what the map says.
    """
    k = len(labels)
    confusion = cross_table(known, mapped, k, k)
    counts, hits = confusion.sum(axis=1), confusion.diagonal()
    tested = counts > 0
    return Agreement(
        labels=tuple(labels),
        n=len(known),
        accuracy=wilson(int(hits.sum()), len(known)),
        class_average_accuracy=resampled_average(
            hits[tested], counts[tested], resamples=2000, rng=np.random.default_rng(0)
        ),
        per_class={
            label: LabelAgreement(
                n=int(counts[i]),
                accuracy=wilson(int(hits[i]), int(counts[i])),
                precision=wilson(int(hits[i]), int(confusion[:, i].sum())),
            )
            for i, label in enumerate(labels)
        },
        confusion=confusion,
    )


def cross_table(
    rows: NDArray[np.integer], cols: NDArray[np.integer], height: int, width: int
) -> NDArray[np.int64]:
    """(height, width) int64: how often each pair of n indices occurs."""
    cells = rows.astype(np.int64) * width + cols
    return np.bincount(cells, minlength=height * width).reshape(height, width).astype(np.int64)
