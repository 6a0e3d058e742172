"""Which candidate to take, and which are worth a look.

The highest of many cross-validated accuracies is partly luck, the more so the more were tried. So
the simplest candidate is taken that is below the highest by no more than the noise of their
difference: the rule of Breiman et al., whose noise is one standard error, here with paired
differences and half of one.

Source: Breiman, L. et al. (1984). Classification and Regression Trees, section 3.4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foveate.tuning.cross_validation import difference
from foveate.tuning.search import Tried

NOISE = 0.5
"""Standard errors that a difference may be large without counting. On 30 splits of three sets of
about 550 images each, half of one cost 0.15 points of test accuracy against always taking the
highest, a whole one 0.7 points; what it takes was faster by an eighth, and by three quarters."""


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate with what was found out about it.

    Attributes:
        tried: the candidate as it was judged.
        chosen: whether it is the one to train.
        front: whether no other is as fast and as accurate, and better in one of these.
    """

    tried: Tried
    chosen: bool
    front: bool

    @property
    def marks(self) -> str:
        """What there is to say about it."""
        share = f"{100 * self.tried.share:.0f} % of the images"
        return ", ".join(
            mark
            for mark, holds in (
                ("chosen", self.chosen),
                ("best trade-off", self.front),
                (f"dropped after {share}", self.tried.state == "dropped"),
                (f"unfinished after {share}", self.tried.state == "unfinished"),
            )
            if holds
        )


def choose(tried: Sequence[Tried]) -> Tried | None:
    """The candidate to train; None where none was judged on all images.

    Args:
        tried: in the order they were tried, the default first, simpler heads before others.
    """
    complete = finished(tried)
    if not complete:
        return None
    best = max(complete, key=lambda trial: trial.accuracy.value)
    return next(trial for trial in simplest_first(complete) if not _worse(trial, best))


def finished(tried: Sequence[Tried]) -> list[Tried]:
    """Those that were judged on all images, in the same order."""
    return [trial for trial in tried if trial.state == "complete" and trial.accuracy.known]


def simplest_first(tried: Sequence[Tried]) -> list[Tried]:
    """The default, then the faster before the slower, then in the order they were tried."""
    return [*tried[:1], *sorted(tried[1:], key=lambda trial: -trial.images_per_second)]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other point beats: as good in both and better in one.

    Args:
        points: pairs, of both of which more is better.
    """
    return [
        not any(
            other[0] >= point[0] and other[1] >= point[1] and tuple(other) != tuple(point)
            for other in points
        )
        for point in points
    ]


def table_rows(tried: Sequence[Tried], chosen: Tried) -> list[Row]:
    """Those judged on all images first, the most accurate first; then the others likewise."""
    complete = finished(tried)
    front = pareto_front([(trial.images_per_second, trial.accuracy.value) for trial in complete])
    best = {trial.candidate for trial, is_best in zip(complete, front, strict=True) if is_best}
    ordered = sorted(
        (trial for trial in tried if trial.accuracy.known),
        key=lambda trial: (
            -trial.share,
            -trial.accuracy.value,
            -trial.images_per_second,
        ),
    )
    return [
        Row(trial, trial.candidate == chosen.candidate, trial.candidate in best)
        for trial in ordered
    ]


def _worse(trial: Tried, best: Tried) -> bool:
    """Whether a candidate is worse than the best by more than the noise."""
    lead = difference(best.cross_validation, trial.cross_validation)
    return lead.value > NOISE * lead.standard_error
