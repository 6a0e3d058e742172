"""What the page of a comparison shows: runs, labels and mistakes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foveate.evaluation.intervals import Estimate
from foveate.evaluation.metrics import Evaluation
from foveate.evaluation.paired import Paired


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run as the page calls it.

    Attributes:
        letter: A for the first, B for the second, …
        name: the run's own name.
        told: what sentences call it: its name, and its letter where two have the same name.
        evaluation: its measures.
    """

    letter: str
    name: str
    told: str
    evaluation: Evaluation

    @property
    def heading(self) -> str:
        """Letter and name."""
        return f"{self.letter}: {self.name}"


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A run and what it differs in from the first.

    Attributes:
        run: the run.
        sentence: what came out, in plain words.
        paired: the comparison; None where the test sets differ.
    """

    run: ShownRun
    sentence: str
    paired: Paired | None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One label's accuracy in every run.

    Attributes:
        label: the label.
        n: its test images, of each run.
        accuracies: of each run; None where the run does not have the label.
        differences: of each run but the first from the first; None where there is none.
    """

    label: str
    n: tuple[int, ...]
    accuracies: tuple[Estimate | None, ...]
    differences: tuple[Estimate | None, ...]

    @property
    def largest(self) -> float:
        """The largest difference, whatever its sign."""
        return max((abs(one.value) for one in self.differences if one is not None), default=0.0)

    @property
    def lowest(self) -> float:
        """The lowest accuracy."""
        known = [one.value for one in self.accuracies if one is not None and one.known]
        return min(known, default=1.0)


@dataclass(frozen=True, slots=True)
class MistakeRow:
    """How often one label was taken for another, in every run.

    Attributes:
        known: known label.
        said: predicted label.
        counts: images, of each run.
        totals: images of the known label, of each run.
    """

    known: str
    said: str
    counts: tuple[int, ...]
    totals: tuple[int, ...]

    @property
    def spread(self) -> float:
        """How far the shares of the known label's images are apart."""
        shares = [
            count / total for count, total in zip(self.counts, self.totals, strict=True) if total
        ]
        return max(shares) - min(shares) if len(shares) > 1 else 0.0


def label_rows(runs: Sequence[ShownRun], pairs: Sequence[ShownPair]) -> list[LabelRow]:
    """One a label that any run was tested on; the most different first, then the hardest."""
    labels = dict.fromkeys(
        label for run in runs for label, one in run.evaluation.per_class.items() if one.n
    )
    rows = []
    for label in labels:
        measures = [run.evaluation.per_class.get(label) for run in runs]
        differences = [
            None if pair.paired is None else pair.paired.per_label.get(label) for pair in pairs
        ]
        rows.append(
            LabelRow(
                label=label,
                n=tuple(0 if one is None else one.n for one in measures),
                accuracies=tuple(None if one is None else one.accuracy for one in measures),
                differences=tuple(None if one is None else one.difference for one in differences),
            )
        )
    return sorted(rows, key=lambda row: (-row.largest, row.lowest, row.label))


def mistake_rows(runs: Sequence[ShownRun]) -> list[MistakeRow]:
    """Kinds of mistakes of any run; those whose share differs most between runs first."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for place, run in enumerate(runs):
        wrong = run.evaluation.confusion.copy()
        np.fill_diagonal(wrong, 0)
        labels = run.evaluation.labels
        for i, j in zip(*(side.tolist() for side in np.nonzero(wrong)), strict=True):
            counts = kinds.setdefault((labels[i], labels[j]), [0] * len(runs))
            counts[place] = int(wrong[i, j])
    rows = [
        MistakeRow(
            known,
            said,
            tuple(counts),
            tuple(
                one.n if (one := run.evaluation.per_class.get(known)) is not None else 0
                for run in runs
            ),
        )
        for (known, said), counts in kinds.items()
    ]
    return sorted(rows, key=lambda row: (-row.spread, -max(row.counts), row.known, row.said))
