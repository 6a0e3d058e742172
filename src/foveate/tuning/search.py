"""The search: successive halving over the candidates.

Every candidate is judged on a small part of the training images first. Only where it is among the
better half of those judged on that part so far, it goes on to twice as many images, and so on to
all of them. Each climbs as far as it gets before the next one begins, so whenever the search has
to stop there are candidates that were judged on all images.

Source: Li, L. et al. (2020). A system for massively parallel hyperparameter tuning. MLSys 2,
230-246 (asynchronous successive halving).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING, Literal

from foveate.evaluation.intervals import Estimate
from foveate.tuning.budget import OutOfTime
from foveate.tuning.candidates import Candidate
from foveate.tuning.cross_validation import CrossValidation

if TYPE_CHECKING:
    from foveate.tuning.measurements import Measurements

State = Literal["complete", "dropped", "unfinished"]


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate that was judged.

    Attributes:
        candidate: which.
        images_per_second: reading, decoding and network, on this machine.
        share: the largest part of the training images that it was judged on.
        cross_validation: on that part.
        state: "complete" where that part is all images; "dropped" where others did better on it;
            "unfinished" where the minutes were up.
    """

    candidate: Candidate
    images_per_second: float
    share: float
    cross_validation: CrossValidation
    state: State

    @property
    def accuracy(self) -> Estimate:
        """Share of the held-out images of that part that were right."""
        return self.cross_validation.accuracy


def search(
    candidates: Sequence[Candidate], shares: Sequence[float], measurements: Measurements
) -> Iterator[Tried]:
    """Measurements the candidates in their order, each as far as it gets.

    Args:
        candidates: what to try; the first is judged on all images, as nothing was better before.
        shares: parts of the training images, each twice the one before; the last is 1.
        measurements: of a candidate on a part.

    Yields:
        Each candidate when it is done, also the one at which the minutes were up.

    Raises:
        OutOfTime: the minutes are up.
    """
    reached: dict[float, list[float]] = {share: [] for share in shares}
    for candidate in candidates:
        tried: Tried | None = None
        try:
            rate = measurements.images_per_second(candidate)
            for share in shares:
                result = measurements.cross_validate(candidate, share)
                tried = Tried(candidate, rate, share, result, "unfinished")
                if share == 1:
                    tried = replace(tried, state="complete")
                elif not _goes_on(result.accuracy.value, reached[share]):
                    tried = replace(tried, state="dropped")
                    break
        except OutOfTime:
            if tried is not None:
                yield tried
            raise
        if tried is not None:
            yield tried


def _goes_on(accuracy: float, reached: list[float]) -> bool:
    """Whether an accuracy is in the better half of those reached on a part, which it joins."""
    if isnan(accuracy):
        return False
    reached.append(accuracy)
    return accuracy >= sorted(reached)[-max(len(reached) // 2, 1)]
