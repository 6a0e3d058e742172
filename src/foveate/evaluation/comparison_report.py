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

from foveate.evaluation import comparison_figures, figures
from foveate.evaluation.comparison import points, roughly, told
from foveate.evaluation.comparison_rows import ShownPair, ShownRun, label_rows, mistake_rows
from foveate.evaluation.metrics import Evaluation
from foveate.evaluation.pages import drawn, page_environment
from foveate.evaluation.paired import (
    Answer,
    DifferentTestSets,
    Disagreement,
    Paired,
    compare_with_first,
    disagreements,
)
from foveate.evaluation.thumbnails import load_image_bytes, thumbnail
from foveate.files import write_bytes
from foveate.predictions import Predictions

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
    pairs = against_first or compare_with_first(
        [run.predictions for run in runs], seed=seed, resamples=resamples
    )
    page = _render(runs, pairs, title, load_bytes)
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


def _pair(run: ShownRun, first: ShownRun, compared: Paired | DifferentTestSets) -> ShownPair:
    paired = compared if isinstance(compared, Paired) else None
    return ShownPair(run, compared.sentence(run.told, first.told), paired)


def _strip_start(evaluations: Sequence[Evaluation]) -> float:
    """Where the axis of accuracies begins: at the next lower tenth below every interval."""
    lows = [
        low for one in evaluations for low in (one.accuracy.low, one.class_average_accuracy.low)
    ]
    return min(floor(10 * min(lows)) / 10, 0.9)


def _told_apart(
    disagreements: Sequence[Disagreement], runs: Sequence[ShownRun]
) -> list[tuple[str, int]]:
    """How many disagreements each run alone settles rightly, and how many none does."""
    right = [[one.label == item.known for one in item.answers] for item in disagreements]
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
        answers=tuple((run.letter, answer) for run, answer in zip(runs, item.answers, strict=True)),
        picture=thumbnail(item.path, load_bytes),
    )


def _render(
    runs: Sequence[ComparedRun],
    against_first: Sequence[Paired | DifferentTestSets],
    title: str,
    load_bytes: Callable[[str], bytes],
) -> str:
    environment = page_environment()
    environment.filters |= {"points": points, "told": told, "roughly": roughly}
    shown = _shown(runs)
    first = shown[0]
    pairs = [
        _pair(run, first, compared) for run, compared in zip(shown[1:], against_first, strict=True)
    ]
    matched = [pair for pair in pairs if pair.paired is not None]
    together = [first, *(pair.run for pair in matched)]
    letters = [run.letter for run in together]
    same_images = [
        run.predictions
        for run, compared in zip(runs, shown, strict=True)
        if compared.letter in letters
    ]
    items = disagreements(same_images) if matched else ()
    rows = label_rows(shown, pairs)
    mistakes = mistake_rows(shown)
    settings = _compared([run.settings for run in runs])
    start = _strip_start([run.evaluation for run in runs])
    reach = comparison_figures.difference_reach(
        [
            compared
            for row in rows[:_SHOWN_LABELS]
            for compared in row.differences
            if compared is not None
        ]
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
