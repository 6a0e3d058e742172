"""The report: one self-contained HTML page about one evaluation.

The page loads nothing and runs nothing; its content security policy says so too. Whatever comes
from the user's data (labels, file names) is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import floor
from pathlib import Path

import numpy as np

from foveate.evaluation import figures
from foveate.evaluation.learning import LearningPoint
from foveate.evaluation.metrics import Evaluation
from foveate.evaluation.pages import drawn, page_environment
from foveate.evaluation.svg import percent
from foveate.evaluation.thumbnails import load_image_bytes, thumbnail
from foveate.files import write_anywhere
from foveate.predictions import Predictions

_SHOWN_IMAGES = 24
_SHOWN_QUARANTINED = 200
_SHOWN_CONFUSIONS = 10


@dataclass(frozen=True, slots=True)
class ReportDetails:
    """What the report tells beside the measures.

    Attributes:
        title: heading of the page.
        settings: name → value, as they were when the classifier was made.
        model: file name of the classifier.
        backbone: facts from the backbone's card, name → value.
        reproduce: the command line that does the same again.
        quarantined: path, reason, and one sentence, for each image that was refused.
        seconds: seconds by stage, in order.
        counts: what was counted, name → number (images to train on, to test on, …).
        notes: plain sentences a reader should know before trusting the numbers.
        search: C, mean accuracy and standard deviation over the folds, for each C tried.
        chosen_c: the C that was taken.
        generated: whether the images were drawn by a program rather than photographed.
        learning: errors after each epoch, where a network was trained.
        best_epoch: the epoch whose weights were kept, from 0.
        learning_advice: what the errors say should be changed, in a sentence (`learning.advice`).
        comparison: how it compares with another classifier, in a sentence (`Comparison.sentence`).
    """

    title: str
    settings: Mapping[str, object] = field(default_factory=dict)
    model: str = ""
    backbone: Mapping[str, object] = field(default_factory=dict)
    reproduce: str = ""
    quarantined: Sequence[tuple[str, str, str]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    search: Sequence[tuple[float, float, float]] = ()
    chosen_c: float | None = None
    generated: bool = False
    learning: Sequence[LearningPoint] = ()
    best_epoch: int | None = None
    learning_advice: str = ""
    comparison: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One image of the page.

    Attributes:
        path: as in the predictions.
        known: known label.
        predicted: predicted label.
        probability: of the predicted label.
        second: the second most probable label and its probability, in words.
        picture: `data:` URL, None where the image cannot be shown.
    """

    path: str
    known: str
    predicted: str
    probability: float
    second: str
    picture: str | None

    @property
    def right(self) -> bool:
        """Whether the known label was predicted."""
        return self.known == self.predicted

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def write_report(
    path: Path | str,
    evaluation: Evaluation,
    predictions: Predictions,
    details: ReportDetails,
    *,
    load_bytes: Callable[[str], bytes] = load_image_bytes,
) -> None:
    """Write the report of an evaluation; the file appears whole or not at all.

    Args:
        path: where the page goes; its folder is made.
        evaluation: the measures, made from `predictions`.
        predictions: on the test images; some of them are shown.
        details: everything else that the page tells.
        load_bytes: gives the bytes of an image by its path in `predictions`; an image for which
            it raises becomes a placeholder.
    """
    page = _render(evaluation, predictions, details, load_bytes)
    # A file name that is no valid Unicode must not lose the whole page.
    write_anywhere(str(path), page.encode("utf-8", "backslashreplace"))


def mistakes(predictions: Predictions) -> list[int]:
    """Rows with a wrong answer, the most confident first."""
    return _sorted_rows(predictions, right=False)


def hits(predictions: Predictions) -> list[int]:
    """Rows with a right answer, the least certain first."""
    return _sorted_rows(predictions, right=True)


def confusions(evaluation: Evaluation) -> list[tuple[str, str, int, float]]:
    """Known label, predicted label, count and share of the known label; most frequent first."""
    wrong = evaluation.confusion.copy()
    np.fill_diagonal(wrong, 0)
    totals = evaluation.confusion.sum(axis=1)
    rows, columns = np.nonzero(wrong)
    pairs = [
        (
            evaluation.labels[i],
            evaluation.labels[j],
            int(wrong[i, j]),
            float(wrong[i, j] / totals[i]),
        )
        for i, j in zip(rows, columns, strict=True)
    ]
    return sorted(pairs, key=lambda one: (-one[2], one[0], one[1]))


def _sorted_rows(predictions: Predictions, *, right: bool) -> list[int]:
    probability = predictions.probability
    rows = [
        row
        for row, (known, said) in enumerate(
            zip(predictions.known, predictions.predicted, strict=True)
        )
        if known in predictions.labels and said is not None and (known == said) is right
    ]
    sign = 1 if right else -1
    return sorted(rows, key=lambda row: (sign * float(probability[row]), predictions.paths[row]))


def _examples(
    rows: Sequence[int], predictions: Predictions, load_bytes: Callable[[str], bytes]
) -> list[Example]:
    return [_example(row, predictions, load_bytes) for row in rows[:_SHOWN_IMAGES]]


def _example(row: int, predictions: Predictions, load_bytes: Callable[[str], bytes]) -> Example:
    labels, probabilities = predictions.labels, predictions.probabilities[row]
    first, *others = np.argsort(-probabilities, kind="stable")
    return Example(
        path=predictions.paths[row],
        known=predictions.known[row] or "",
        predicted=labels[first],
        probability=float(probabilities[first]),
        second=f"{labels[others[0]]}, {percent(probabilities[others[0]])}" if others else "",
        picture=thumbnail(predictions.paths[row], load_bytes),
    )


def _strip_start(evaluation: Evaluation) -> float:
    """Where the accuracy axis begins: at the next lower tenth below every interval."""
    lows = [one.accuracy.low for one in evaluation.per_class.values() if one.accuracy.known]
    return min(floor(10 * min([*lows, evaluation.accuracy.low])) / 10, 0.9)


def _render(
    evaluation: Evaluation,
    predictions: Predictions,
    details: ReportDetails,
    load_bytes: Callable[[str], bytes],
) -> str:
    environment = page_environment()
    start = _strip_start(evaluation)
    wrong, right = mistakes(predictions), hits(predictions)
    by_difficulty = sorted(
        evaluation.per_class.items(),
        key=lambda item: (item[1].n == 0, item[1].accuracy.value, item[0]),
    )
    pairs = confusions(evaluation)
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        details=details,
        right=int(evaluation.confusion.trace()),
        start=start,
        strip=lambda estimate, begin=start, chance=None: drawn(
            figures.interval_strip(estimate, begin, chance)
        ),
        rows=by_difficulty,
        roc=drawn(figures.roc_figure(evaluation)),
        colours=figures.COLOURS,
        confusion=drawn(figures.confusion_figure(evaluation)),
        confusions=list(islice(pairs, _SHOWN_CONFUSIONS)),
        more_confusions=max(0, len(pairs) - _SHOWN_CONFUSIONS),
        reliability=drawn(figures.reliability_figure(evaluation.calibration)),
        search=drawn(figures.search_figure(details.search)) if details.search else "",
        learning=drawn(figures.learning_figure(details.learning, details.best_epoch))
        if details.learning
        else "",
        validated=any(point.validation_error is not None for point in details.learning),
        mistakes=_examples(wrong, predictions, load_bytes),
        mistake_count=len(wrong),
        hits=_examples(right, predictions, load_bytes),
        hit_count=len(right),
        quarantined=details.quarantined[:_SHOWN_QUARANTINED],
        total_seconds=sum(details.seconds.values()),
    )
