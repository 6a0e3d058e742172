"""How a training went, epoch by epoch, and what its errors say should be changed.

The error on images that were held out is the error on the images it learned from plus a gap
between the two. A large gap means that it overfits, a large error on its own images that it
underfits; advice is about the larger part (Ng, A. (2018). Machine Learning Yearning, chapters
20-27: bias and variance). Both must be beyond chance:

* the gap, by Newcombe's 95 % interval for the difference of two independent shares (1998, method
  10, see `intervals`): all of it must lie above 2 points. Chance alone makes that so in fewer than
  3 trainings of 100, also with 10 validation images. As the best epoch is chosen for its
  validation images, its gap is rather too small than too large, so this errs towards silence;
* the training error, by Wilson's 95 % interval: all of it must lie above 10 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foveate.evaluation.intervals import Estimate, newcombe_difference, wilson
from foveate.evaluation.svg import percent

_SMALL_GAP = 0.02
"""A gap that is not worth acting on, however sure it is."""

_SMALL_ERROR = 0.1
"""A training error that says nothing: some images are hard, some labels wrong."""


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """Errors after an epoch, as shares of wrong answers in [0, 1].

    Attributes:
        train_error: on images it learned from, shown as the finished classifier sees them.
        validation_error: on images held out from learning; None where there are none.
    """

    train_error: float
    validation_error: float | None


def advice(
    points: Sequence[LearningPoint], best: int, *, n_train: int, n_validation: int
) -> str | None:
    """What to change, in one sentence; None where the errors say nothing that chance would not.

    Args:
        points: one an epoch, in order.
        best: the epoch whose weights were kept, from 0.
        n_train: images that `train_error` is measured on.
        n_validation: images that `validation_error` is measured on; 0 where there are none.
    """
    if not points:
        return None
    gap = _gap(points[best], n_train, n_validation)
    trained = wilson(round(points[-1].train_error * n_train), n_train)
    underfits = trained.low > _SMALL_ERROR
    if gap is None or gap.low <= _SMALL_GAP or (underfits and trained.value > gap.value):
        return _underfitting(points, trained) if underfits else None
    return _overfitting(points[best], gap, n_train, n_validation)


def _gap(point: LearningPoint, n_train: int, n_validation: int) -> Estimate | None:
    """Validation error less training error; None where one of them is not known."""
    if point.validation_error is None or not n_validation or not n_train:
        return None
    held_out = wilson(round(point.validation_error * n_validation), n_validation)
    return newcombe_difference(held_out, wilson(round(point.train_error * n_train), n_train))


def _overfitting(point: LearningPoint, gap: Estimate, n_train: int, n_validation: int) -> str:
    learned = point.train_error
    return (
        f"It overfits: it is wrong on {percent(learned + gap.value)} of {n_validation:,} "
        f"validation images but only on {percent(learned)} of {n_train:,} that it learned from, "
        f"a gap of {100 * gap.value:.1f} points ({100 * gap.low:.1f} to {100 * gap.high:.1f}) "
        'that chance does not explain; try `augment = "strong"`, a higher `dropout` or '
        "`weight_decay`, or add images."
    )


def _underfitting(points: Sequence[LearningPoint], trained: Estimate) -> str:
    finding = (
        f"It underfits: in the end it is wrong on {percent(trained.value)} of the images that it "
        f"learned from ({100 * trained.low:.1f} to {percent(trained.high)}, n = {trained.n:,})"
    )
    if _still_falling(points, trained.n):
        return (
            f"{finding}, and that was still falling; raise `epochs` first, or try another "
            '`learning_rate` or `depth = "all"`.'
        )
    return f'{finding}; try another `learning_rate`, more `epochs`, or `depth = "all"`.'


def _still_falling(points: Sequence[LearningPoint], n_train: int) -> bool:
    """Whether the training error fell beyond chance in the last quarter of the epochs."""
    before = points[-1 - max(len(points) // 4, 1)] if len(points) > 1 else points[-1]
    earlier = wilson(round(before.train_error * n_train), n_train)
    last = wilson(round(points[-1].train_error * n_train), n_train)
    return newcombe_difference(earlier, last).low > 0
