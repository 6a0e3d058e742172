"""Which candidate to take, and which are worth a look.

The highest of many cross-validated accuracies is partly luck, the more so the more were tried. So
the simplest candidate is taken that is below the highest by no more than the noise of their
difference: the rule of Breiman et al., whose noise is one standard error, here with paired
differences and half of one.

Source: Breiman, L. et al. (1984). Classification and Regression Trees, section 3.4.3.
"""

from __future__ import annotations

from collections.abc import Sequence

from foveate.tuning.judgement import difference
from foveate.tuning.search import Tried

NOISE = 0.5
"""Standard errors that a difference may be large without counting. On 30 splits of three sets of
about 550 images each, half of one cost 0.15 points of test accuracy against always taking the
highest, a whole one 0.7 points; what it takes was faster by an eighth, and by three quarters."""


def choose(tried: Sequence[Tried]) -> Tried | None:
    """The candidate to train; None where none was judged on all images.

    Args:
        tried: in the order they were tried, the default first, simpler heads before others.
    """
    complete = finished(tried)
    if not complete:
        return None
    best = max(complete, key=lambda one: one.judgement.accuracy.value)
    return next(one for one in simplest_first(complete) if not _worse(one, best))


def finished(tried: Sequence[Tried]) -> list[Tried]:
    """Those that were judged on all images, in the same order."""
    return [one for one in tried if one.state == "complete" and one.judgement.accuracy.known]


def simplest_first(tried: Sequence[Tried]) -> list[Tried]:
    """The default, then the faster before the slower, then in the order they were tried."""
    return [*tried[:1], *sorted(tried[1:], key=lambda one: -one.images_per_second)]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other point beats: as good in both and better in one.

    Args:
        points: pairs, of both of which more is better.
    """
    return [
        not any(
            other[0] >= one[0] and other[1] >= one[1] and tuple(other) != tuple(one)
            for other in points
        )
        for one in points
    ]


def _worse(one: Tried, best: Tried) -> bool:
    """Whether a candidate is worse than the best by more than the noise."""
    found = difference(best.judgement, one.judgement)
    return found.value > NOISE * found.standard_error
