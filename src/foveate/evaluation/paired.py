"""Two classifiers' answers for the same images, side by side.

Predictions are aligned by the ids of their images, that is, by their bytes; by their paths where
one of the two has no ids. Only where both were tested on the same images with the same known labels
does an image speak for one or the other. Elsewhere the difference between two accuracies may
come from the images, and there is no paired test: `DifferentTestSets` says why.

Tango's interval (`Comparison.difference`) is the one to quote. The bootstrap beside it needs no
formula, and is the only one here for averages over labels; but a plain bootstrap has no width where
the two agree on every image, so it leans on Tango's there (see `intervals`).

Intervals of single labels are not corrected for their number: of twenty labels, one is expected to
leave out 0 by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.comparison import Comparison, compare_paired, corrected
from foveate.evaluation.intervals import Estimate, resampled_difference, tango, wilson
from foveate.predictions import Predictions


@dataclass(frozen=True, slots=True)
class LabelDifference:
    """Two classifiers on the images of one label.

    Attributes:
        n: images of the label, at least 1.
        accuracy_a: share of them that a finds, Wilson interval.
        accuracy_b: share of them that b finds, Wilson interval.
        difference: accuracy of a less that of b, Tango interval.
    """

    n: int
    accuracy_a: Estimate
    accuracy_b: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Answer:
    """What a classifier said about an image.

    Attributes:
        label: the predicted one.
        probability: of that label.
    """

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An image that two or more classifiers do not call by the same label.

    Attributes:
        path: as in the predictions of the first of them.
        known: known label.
        answers: of each classifier, in their order.
    """

    path: str
    known: str
    answers: tuple[Answer, ...]

    @property
    def confidence(self) -> float:
        """How sure they are of different labels: the probability of the second surest label.

        With two classifiers that is the lower of their two probabilities.
        """
        surest: dict[str, float] = {}
        for one in self.answers:
            surest[one.label] = max(surest.get(one.label, 0.0), one.probability)
        return sorted(surest.values())[-2]


@dataclass(frozen=True, slots=True)
class Paired:
    """Two classifiers, a and b, compared on the images that both answered for.

    Attributes:
        comparison: accuracies, their difference with Tango's interval, McNemar's test.
        bootstrap: the difference of the accuracies, a less b, with a bootstrap interval.
        class_average: the difference of the class-average accuracies, a less b, with a bootstrap
            interval that draws within labels.
        per_label: by label, in the order of a's labels; only labels with an image.
        disagreements: images that the two do not call by the same label, those first on which both
            are surest.
        left_out: images of the common test set that one of the two could not read, or whose label
            one of them does not have.
    """

    comparison: Comparison
    bootstrap: Estimate
    class_average: Estimate
    per_label: Mapping[str, LabelDifference]
    disagreements: tuple[Disagreement, ...]
    left_out: int

    def sentence(self, name_a: str, name_b: str) -> str:
        """What came out, in plain words (`Comparison.sentence`)."""
        return self.comparison.sentence(name_a, name_b)

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "paired": True,
            **self.comparison.to_json(),
            "difference_bootstrap_ci95": [self.bootstrap.low, self.bootstrap.high],
            "class_average_difference": self.class_average.value,
            "class_average_difference_ci95": [self.class_average.low, self.class_average.high],
            "left_out": self.left_out,
            "per_class": {
                label: {
                    "n": between.n,
                    "accuracy_a": between.accuracy_a.value,
                    "accuracy_b": between.accuracy_b.value,
                    "difference": between.difference.value,
                    "difference_ci95": [between.difference.low, between.difference.high],
                }
                for label, between in self.per_label.items()
            },
            "disagreements": [
                {
                    "path": between.path,
                    "label": between.known,
                    "predicted_a": between.answers[0].label,
                    "probability_a": between.answers[0].probability,
                    "predicted_b": between.answers[1].label,
                    "probability_b": between.answers[1].probability,
                }
                for between in self.disagreements
            ],
        }


@dataclass(frozen=True, slots=True)
class DifferentTestSets:
    """Why two classifiers cannot be compared image by image.

    Attributes:
        n_a: images with a known label that a was tested on.
        n_b: images with a known label that b was tested on.
        n_shared: images among both.
        relabelled: images among both whose known label is not the same in both.
    """

    n_a: int
    n_b: int
    n_shared: int
    relabelled: int

    @property
    def same_images(self) -> bool:
        """Whether both were tested on the same images, whatever their known labels."""
        return self.n_a == self.n_b == self.n_shared

    def sentence(self, name_a: str, name_b: str) -> str:
        """What is the matter, in plain words, and what to do.

        Args:
            name_a: what to call a.
            name_b: what to call b.
        """
        if not self.same_images:
            other = f" ({self.relabelled:,} with another known label)" if self.relabelled else ""
            return (
                f"{name_a} was tested on {_images(self.n_a)} and {name_b} on "
                f"{_images(self.n_b)}, of which {self.n_shared:,} are the same{other}. A "
                "difference may come from the images, so there is no paired test; evaluate both "
                "on the same images to compare them."
            )
        if self.relabelled:
            have = "has" if self.relabelled == 1 else "have"
            return (
                f"{name_a} and {name_b} were tested on the same {_images(self.n_a)}, but "
                f"{self.relabelled:,} of them {have} another known label, so there is no paired "
                "test. Evaluate both again with the labels as they are now to compare them."
            )
        return (
            f"{name_a} and {name_b} were tested on the same {_images(self.n_a)}, but there is none "
            "that both could read and whose label both have, so there is no paired test."
        )

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "paired": False,
            "n_a": self.n_a,
            "n_b": self.n_b,
            "n_shared": self.n_shared,
            "relabelled": self.relabelled,
        }


def compare_predictions(
    a: Predictions, b: Predictions, *, seed: int = 0, resamples: int = 2000
) -> Paired | DifferentTestSets:
    """Compare what two classifiers said about the same images.

    Args:
        a: predictions of the one; rows may be in any order, and without a known label.
        b: predictions of the other.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    matched = _matched(a, b)
    if isinstance(matched, DifferentTestSets):
        return matched
    rows_a, rows_b = matched
    one, other = a.take(rows_a), b.take(rows_b)
    counts = _by_label(one, other)
    rng = np.random.default_rng(seed)
    n = len(rows_a)
    comparison = compare_paired(one.right, other.right)
    return Paired(
        comparison=comparison,
        bootstrap=resampled_difference(
            np.array([comparison.only_a]),
            np.array([comparison.only_b]),
            np.array([n]),
            resamples=resamples,
            rng=rng,
        ),
        class_average=resampled_difference(
            counts.only_a, counts.only_b, counts.n, resamples=resamples, rng=rng
        ),
        per_label=_per_label(counts),
        disagreements=_disagreements([one, other]),
        left_out=sum(label is not None for label in a.known) - n,
    )


def compare_with_first(
    runs: Sequence[Predictions], *, seed: int = 0, resamples: int = 2000
) -> tuple[Paired | DifferentTestSets, ...]:
    """Compare the first of several classifiers, as b, with each of the others, as a.

    As many comparisons give luck as many chances, the probabilities are corrected by Holm's
    method, for those that could be made.

    Args:
        runs: predictions of each classifier, at least two.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        One less than there are runs, in their order.
    """
    pairs = [
        compare_predictions(other, runs[0], seed=seed, resamples=resamples) for other in runs[1:]
    ]
    together = iter(corrected([one.comparison for one in pairs if isinstance(one, Paired)]))
    return tuple(
        replace(one, comparison=next(together)) if isinstance(one, Paired) else one for one in pairs
    )


def disagreements(runs: Sequence[Predictions]) -> tuple[Disagreement, ...]:
    """Images that not all classifiers call by the same label, the surest disagreements first.

    Args:
        runs: predictions of each classifier on the same test set, at least two.

    Raises:
        ValueError: their test sets are not the same.
    """
    first, *others = runs
    rows: list[dict[int, int]] = []
    for other in others:
        matched = _matched(first, other)
        if isinstance(matched, DifferentTestSets):
            raise ValueError("predictions on different test sets have no image in common")
        rows.append(dict(zip(*matched, strict=True)))
    common = [row for row in rows[0] if all(row in one for one in rows)]
    aligned = [
        other.take([one[row] for row in common]) for one, other in zip(rows, others, strict=True)
    ]
    return _disagreements([first.take(common), *aligned])


def _matched(a: Predictions, b: Predictions) -> tuple[list[int], list[int]] | DifferentTestSets:
    """Rows of a and of b that are of the same images and that both measured; in a's order."""
    by_id = a.ids is not None and b.ids is not None
    rows_a, rows_b = _test_set(a, by_id=by_id), _test_set(b, by_id=by_id)
    shared = [(row, rows_b[key]) for key, row in rows_a.items() if key in rows_b]
    relabelled = sum(a.known[i] != b.known[j] for i, j in shared)
    measured_a, measured_b = _measured(a), _measured(b)
    pairs = sorted((i, j) for i, j in shared if measured_a[i] and measured_b[j])
    different = DifferentTestSets(len(rows_a), len(rows_b), len(shared), relabelled)
    if relabelled or not different.same_images or not pairs:
        return different
    return [i for i, _ in pairs], [j for _, j in pairs]


def _test_set(predictions: Predictions, *, by_id: bool) -> dict[tuple[str, int], int]:
    """Row of each image with a known label, by what the image is called.

    An image that occurs more than once is numbered: copies with the same label are alike.
    """
    names = predictions.ids if by_id and predictions.ids is not None else predictions.paths
    known = [
        (name, label, path, row)
        for row, (name, label, path) in enumerate(
            zip(names, predictions.known, predictions.paths, strict=True)
        )
        if label is not None
    ]
    rows: dict[tuple[str, int], int] = {}
    last, copy = "", 0
    for name, _, _, row in sorted(known):
        copy = copy + 1 if rows and name == last else 0
        last = name
        rows[name, copy] = row
    return rows


def _measured(predictions: Predictions) -> NDArray[np.bool_]:
    """(n,) bool, whether `evaluate` measures the image."""
    labels = set(predictions.labels)
    named: NDArray[np.bool_] = np.array([label in labels for label in predictions.known], bool)
    return named & predictions.read


@dataclass(frozen=True, slots=True)
class _Counts:
    """Answers by label: (k,) int64 each, for the k labels that have an image."""

    labels: tuple[str, ...]
    n: NDArray[np.int64]
    both: NDArray[np.int64]
    only_a: NDArray[np.int64]
    only_b: NDArray[np.int64]


def _by_label(a: Predictions, b: Predictions) -> _Counts:
    known = set(a.known)
    labels = tuple(label for label in a.labels if label in known)
    index = {label: k for k, label in enumerate(labels)}
    member = np.array([index[label] for label in a.known if label is not None], np.intp)
    right_a, right_b = a.right, b.right

    def count(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(member[chosen], minlength=len(labels)).astype(np.int64)

    return _Counts(
        labels=labels,
        n=count(np.ones(len(member), bool)),
        both=count(right_a & right_b),
        only_a=count(right_a & ~right_b),
        only_b=count(right_b & ~right_a),
    )


def _per_label(counts: _Counts) -> dict[str, LabelDifference]:
    rows = zip(
        counts.labels,
        counts.n.tolist(),
        counts.both.tolist(),
        counts.only_a.tolist(),
        counts.only_b.tolist(),
        strict=True,
    )
    return {
        label: LabelDifference(
            n=n,
            accuracy_a=wilson(both + only_a, n),
            accuracy_b=wilson(both + only_b, n),
            difference=tango(only_a, only_b, n),
        )
        for label, n, both, only_a, only_b in rows
    }


def _disagreements(aligned: Sequence[Predictions]) -> tuple[Disagreement, ...]:
    """Rows of several predictions on the same images, all of them measured."""
    said = [one.predicted for one in aligned]
    sure = [one.probability for one in aligned]
    rows = []
    for row, (path, known) in enumerate(zip(aligned[0].paths, aligned[0].known, strict=True)):
        answers = tuple(
            Answer(labels[row] or "", float(probability[row]))
            for labels, probability in zip(said, sure, strict=True)
        )
        if len({one.label for one in answers}) > 1:
            rows.append(Disagreement(path, known or "", answers))
    return tuple(sorted(rows, key=lambda one: (-one.confidence, one.path, one.known)))


def _images(n: int) -> str:
    return f"{n:,} image{'' if n == 1 else 's'}"
