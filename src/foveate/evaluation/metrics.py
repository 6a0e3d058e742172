"""How good a classifier is: measures with intervals, from predictions on images it has not seen.

Only images with a known label that the classifier can name, and that were read, are measured.
All others are counted, so that nothing vanishes: `refused`, `unlabelled`, `unknown_labels`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from foveate.errors import SourceError
from foveate.evaluation.auc import areas_with_intervals
from foveate.evaluation.calibration import Calibration, calibration
from foveate.evaluation.intervals import Estimate, resampled_average, wilson
from foveate.evaluation.roc import RocCurve, roc_curve
from foveate.predictions import Predictions


@dataclass(frozen=True, slots=True)
class LabelMeasures:
    """How well one label is told from the others.

    Attributes:
        n: test images of this label; with none, all measures are unknown.
        accuracy: share of this label's images that are found (recall), Wilson interval.
        precision: share of the images called by this label that have it, Wilson interval.
        auc: area under the ROC curve against all other images, see `auc`.
        roc: the curve; None where no image has the label or all have it.
    """

    n: int
    accuracy: Estimate
    precision: Estimate
    auc: Estimate
    roc: RocCurve | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What predictions on known images say about a classifier.

    Attributes:
        labels: the K labels, in the classifier's order.
        n: images measured.
        accuracy: share of right answers, Wilson interval; training replaces it by one that
            resamples blocks where the split was by blocks of land.
        class_average_accuracy: unweighted mean over labels of the share of right answers.
        class_average_auc: unweighted mean over labels of the area under the ROC curve.
        per_class: measures by label, in the order of `labels`.
        confusion: (K, K) int64 counts; row is the known label, column the predicted one.
        calibration: whether the probabilities can be taken at their word.
        most_frequent: the label with most test images.
        chance: the accuracy of always answering `most_frequent`.
        refused: images that could not be read.
        unlabelled: images read whose label is not known.
        unknown_labels: images by known label, for labels that the classifier does not have;
            it cannot get them right, so they are left out of all measures.
    """

    labels: tuple[str, ...]
    n: int
    accuracy: Estimate
    class_average_accuracy: Estimate
    class_average_auc: Estimate
    per_class: Mapping[str, LabelMeasures]
    confusion: NDArray[np.int64]
    calibration: Calibration
    most_frequent: str
    chance: float
    refused: int
    unlabelled: int
    unknown_labels: Mapping[str, int]

    @property
    def untested(self) -> tuple[str, ...]:
        """Labels without a test image: nothing is known about them."""
        return tuple(label for label, measures in self.per_class.items() if measures.n == 0)

    def to_json(self) -> dict[str, object]:
        """All measures as plain values for JSON; what is not known is None."""
        return {
            "n_test": self.n,
            "labels": list(self.labels),
            "accuracy": _number(self.accuracy.value),
            "accuracy_ci95": _ends(self.accuracy),
            "class_average_accuracy": _number(self.class_average_accuracy.value),
            "class_average_accuracy_ci95": _ends(self.class_average_accuracy),
            "class_average_auc": _number(self.class_average_auc.value),
            "class_average_auc_ci95": _ends(self.class_average_auc),
            "per_class": {
                label: {
                    "accuracy": _number(measures.accuracy.value),
                    "accuracy_ci95": _ends(measures.accuracy),
                    "precision": _number(measures.precision.value),
                    "precision_ci95": _ends(measures.precision),
                    "auc": _number(measures.auc.value),
                    "auc_ci95": _ends(measures.auc),
                    "n": measures.n,
                }
                for label, measures in self.per_class.items()
            },
            "confusion": self.confusion.tolist(),
            "calibration_error": self.calibration.error,
            "log_loss": self.calibration.log_loss,
            "brier": self.calibration.brier,
            "most_frequent": self.most_frequent,
            "chance": self.chance,
            "refused": self.refused,
            "unlabelled": self.unlabelled,
            "unknown_labels": dict(self.unknown_labels),
            "intervals": {
                "accuracy": self.accuracy.method,
                "class_average_accuracy": self.class_average_accuracy.method,
                "class_average_auc": self.class_average_auc.method,
            },
        }


def evaluate(predictions: Predictions, *, seed: int = 0, resamples: int = 2000) -> Evaluation:
    """Measure predictions against the known labels.

    Args:
        predictions: what the classifier said; rows without a known label may be among them.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        SourceError: no image has both a known label that the classifier has and an answer.
    """
    index = {label: k for k, label in enumerate(predictions.labels)}
    position = np.array(
        [-1 if label is None else index.get(label, -1) for label in predictions.known], np.intp
    )
    read = predictions.read
    strange = Counter(
        label
        for label, answered in zip(predictions.known, read, strict=True)
        if answered and label is not None and label not in index
    )
    measured = read & (position >= 0)
    if not measured.any():
        raise _nothing_to_measure(predictions, strange)

    known = position[measured]
    probabilities = predictions.probabilities[measured]
    confusion = np.zeros((len(index), len(index)), np.int64)
    np.add.at(confusion, (known, probabilities.argmax(axis=1)), 1)
    counts = confusion.sum(axis=1)
    tested = counts > 0
    aucs, class_average_auc = areas_with_intervals(probabilities, known)
    return Evaluation(
        labels=predictions.labels,
        n=len(known),
        accuracy=wilson(int(confusion.trace()), len(known)),
        class_average_accuracy=resampled_average(
            confusion.diagonal()[tested],
            counts[tested],
            resamples=resamples,
            rng=np.random.default_rng(seed),
        ),
        class_average_auc=class_average_auc,
        per_class={
            label: LabelMeasures(
                n=int(counts[k]),
                accuracy=wilson(int(confusion[k, k]), int(counts[k])),
                precision=wilson(int(confusion[k, k]), int(confusion[:, k].sum())),
                auc=aucs[k],
                roc=roc_curve(probabilities[:, k], known == k) if aucs[k].known else None,
            )
            for k, label in enumerate(predictions.labels)
        },
        confusion=confusion,
        calibration=calibration(probabilities, known),
        most_frequent=predictions.labels[int(counts.argmax())],
        chance=float(counts.max() / len(known)),
        refused=int((~read).sum()),
        unlabelled=sum(
            label is None
            for label, answered in zip(predictions.known, read, strict=True)
            if answered
        ),
        unknown_labels=dict(sorted(strange.items())),
    )


def _nothing_to_measure(predictions: Predictions, strange: Counter[str]) -> SourceError:
    total = len(predictions.paths)
    if not predictions.read.any():
        return SourceError(
            f"None of the {total} images could be read, so there is nothing to evaluate. "
            "`foveate check` lists what is wrong with them."
        )
    if strange:
        return SourceError(
            f"No image has a label that the classifier knows: the images say "
            f"{_some(sorted(strange))}, the classifier says {_some(predictions.labels)}. "
            "Rename the labels of the images, or evaluate the classifier that was trained on them."
        )
    return SourceError(
        f"None of the {total} images has a known label, so there is nothing to evaluate. "
        "Put them in one subfolder per label, or give a table with `path` and `label`."
    )


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return ", ".join(f"‘{label}’" for label in labels[:5]) + more


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _ends(estimate: Estimate) -> list[float | None]:
    return [_number(estimate.low), _number(estimate.high)]
