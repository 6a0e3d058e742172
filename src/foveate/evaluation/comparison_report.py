"""The page of a comparison: several runs side by side, in one self-contained HTML file.

Like the report of a single evaluation it loads nothing and runs nothing, and escapes whatever comes
from the user's data. All runs are compared with the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np

from foveate.evaluation import comparison_figures, figures
from foveate.evaluation.comparison import points, roughly, told
from foveate.evaluation.intervals import Estimate
from foveate.evaluation.metrics import Evaluation
from foveate.evaluation.paired import (
    Answer,
    DifferentTestSets,
    Disagreement,
    Paired,
    compare_with_first,
    disagreements,
)
from foveate.evaluation.svg import percent
from foveate.evaluation.thumbnails import load_image_bytes, thumbnail
from foveate.files import write_bytes
from foveate.predictions import Predictions

if TYPE_CHECKING:
    from markupsafe import Markup

_SHOWN_IMAGES = 36
_SHOWN_LABELS = 40
_SHOWN_CONFUSIONS = 12

_LARGE_MATRIX = 10
"""Labels above which confusion matrices stand below each other: side by side they are too small."""
_LONG_MATRIX = 12
"""Labels above which they are folded up: they take a screen each."""
_MOST_MATRIX = 30
"""Labels above which there are none: a thousand labels would be a million cells."""

_ABSENT = "–"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: what people call it.
        settings: name → value; they are compared as they are written.
        evaluation: the measures, made from `predictions`.
        predictions: on the run's test images.
    """

    name: str
    settings: Mapping[str, object]
    evaluation: Evaluation
    predictions: Predictions


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


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image on which the runs disagree.

    Attributes:
        path: as in the predictions.
        known: known label.
        answers: letter of a run and what it said.
        picture: `data:` URL, None where the image cannot be shown.
    """

    path: str
    known: str
    answers: tuple[tuple[str, Answer], ...]
    picture: str | None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.replace("\\", "/").rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of all runs.

    Attributes:
        differing: name of each setting that is not the same everywhere, and its values.
        same: how many are the same everywhere.
    """

    differing: tuple[tuple[str, tuple[str, ...]], ...]
    same: int


def write_comparison(
    path: Path | str,
    runs: Sequence[ComparedRun],
    *,
    against_first: Sequence[Paired | DifferentTestSets] | None = None,
    title: str = "",
    load_bytes: Callable[[str], bytes] = load_image_bytes,
    seed: int = 0,
    resamples: int = 2000,
) -> None:
    """Write the page that compares runs with the first of them; it appears whole or not at all.

    Args:
        path: where the page goes; its folder is made.
        runs: at least two; up to six are easy to read.
        against_first: how each but the first differs from it; None: found out here.
        title: heading of the page; without one, the names of the runs.
        load_bytes: gives the bytes of an image by its path in the first run's predictions; an
            image for which it raises becomes a placeholder.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        ValueError: there are fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError(f"a comparison needs two runs, not {len(runs)}")
    found = against_first or compare_with_first(
        [run.predictions for run in runs], seed=seed, resamples=resamples
    )
    page = _render(runs, found, title, load_bytes)
    # A file name that is no valid Unicode must not lose the whole page.
    write_bytes(Path(path), page.encode("utf-8", "backslashreplace"))


def differing_settings(
    settings: Sequence[Mapping[str, object]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Settings that are not written the same in all runs: name, and the value in each run.

    Args:
        settings: of each run, name → value. One that a run lacks is shown as a dash.

    Returns:
        In the order in which the names first occur.
    """
    return _compared(settings).differing


def _compared(settings: Sequence[Mapping[str, object]]) -> _Settings:
    names = list(dict.fromkeys(name for one in settings for name in one))
    # What comes back from a history is text, what is fresh has a type: a reader sees no difference.
    rows = [
        (name, tuple(str(one[name]) if name in one else _ABSENT for one in settings))
        for name in names
    ]
    differing = tuple((name, values) for name, values in rows if len(set(values)) > 1)
    return _Settings(differing, len(rows) - len(differing))


def _shown(runs: Sequence[ComparedRun]) -> list[ShownRun]:
    names = [run.name for run in runs]
    letters = [ascii_uppercase[k] if k < 26 else str(k + 1) for k in range(len(runs))]
    return [
        ShownRun(
            letter=letter,
            name=run.name,
            told=run.name if names.count(run.name) == 1 else f"{run.name} ({letter})",
            evaluation=run.evaluation,
        )
        for letter, run in zip(letters, runs, strict=True)
    ]


def _pair(run: ShownRun, first: ShownRun, found: Paired | DifferentTestSets) -> ShownPair:
    paired = found if isinstance(found, Paired) else None
    return ShownPair(run, found.sentence(run.told, first.told), paired)


def _label_rows(runs: Sequence[ShownRun], pairs: Sequence[ShownPair]) -> list[LabelRow]:
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


def _mistake_rows(runs: Sequence[ShownRun]) -> list[MistakeRow]:
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


def _strip_start(evaluations: Sequence[Evaluation]) -> float:
    """Where the axis of accuracies begins: at the next lower tenth below every interval."""
    lows = [
        low for one in evaluations for low in (one.accuracy.low, one.class_average_accuracy.low)
    ]
    return min(floor(10 * min(lows)) / 10, 0.9)


def _told_apart(found: Sequence[Disagreement], runs: Sequence[ShownRun]) -> list[tuple[str, int]]:
    """How many disagreements each run alone settles rightly, and how many none does."""
    right = [[one.label == item.known for one in item.answers] for item in found]
    counts = [
        (f"only {run.told}", sum(row[k] and sum(row) == 1 for row in right))
        for k, run in enumerate(runs)
    ]
    if len(runs) > 2:
        counts.append(("several of them", sum(sum(row) > 1 for row in right)))
    counts.append(
        ("none of them" if len(runs) > 2 else "neither", sum(not any(row) for row in right))
    )
    return counts


def _image(
    item: Disagreement, runs: Sequence[ShownRun], load_bytes: Callable[[str], bytes]
) -> ShownImage:
    return ShownImage(
        path=item.path,
        known=item.known,
        answers=tuple((run.letter, one) for run, one in zip(runs, item.answers, strict=True)),
        picture=thumbnail(item.path, load_bytes),
    )


def _render(
    runs: Sequence[ComparedRun],
    found: Sequence[Paired | DifferentTestSets],
    title: str,
    load_bytes: Callable[[str], bytes],
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def drawn(html: str) -> Markup:
        # Our own figures, which escape what they are given.
        return Markup(html)  # noqa: S704

    environment = Environment(
        loader=PackageLoader("foveate.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "told": told, "roughly": roughly}
    shown = _shown(runs)
    first = shown[0]
    pairs = [_pair(run, first, one) for run, one in zip(shown[1:], found, strict=True)]
    matched = [pair for pair in pairs if pair.paired is not None]
    together = [first, *(pair.run for pair in matched)]
    letters = [run.letter for run in together]
    same_images = [
        run.predictions for run, one in zip(runs, shown, strict=True) if one.letter in letters
    ]
    items = disagreements(same_images) if matched else ()
    rows = _label_rows(shown, pairs)
    mistakes = _mistake_rows(shown)
    settings = _compared([run.settings for run in runs])
    start = _strip_start([run.evaluation for run in runs])
    reach = comparison_figures.difference_reach(
        [one for row in rows[:_SHOWN_LABELS] for one in row.differences if one is not None]
    )
    largest = max(len(run.evaluation.labels) for run in runs)
    return environment.get_template("comparison.html.j2").render(
        title=title or _title(shown),
        runs=shown,
        first=first,
        pairs=pairs,
        matched=matched,
        together=together,
        settings=settings,
        absent=_ABSENT,
        start=start,
        strip=lambda estimate: drawn(figures.interval_strip(estimate, start)),
        reach=reach,
        difference_strip=lambda estimate: drawn(
            comparison_figures.difference_strip(estimate, reach)
        ),
        rows=rows[:_SHOWN_LABELS],
        more_rows=rows[_SHOWN_LABELS:],
        same_labels=len({run.evaluation.labels for run in runs}) == 1,
        roc=drawn(comparison_figures.roc_figures({run.heading: run.evaluation for run in shown})),
        colours=figures.COLOURS,
        drawn_labels=comparison_figures.DRAWN_LABELS,
        largest=largest,
        matrices=[
            (run, drawn(figures.confusion_figure(run.evaluation)))
            for run in shown
            if largest <= _MOST_MATRIX
        ],
        side_by_side=largest <= _LARGE_MATRIX,
        folded=largest > _LONG_MATRIX,
        mistakes=mistakes[:_SHOWN_CONFUSIONS],
        more_mistakes=max(0, len(mistakes) - _SHOWN_CONFUSIONS),
        shown_images=[_image(item, together, load_bytes) for item in items[:_SHOWN_IMAGES]],
        images_shown=min(len(items), _SHOWN_IMAGES),
        image_count=len(items),
        told_apart=_told_apart(items, together),
    )


def _title(runs: Sequence[ShownRun]) -> str:
    if len(runs) == 2:
        return f"{runs[1].told} against {runs[0].told}"
    return f"{len(runs)} runs compared"
