from __future__ import annotations

import numpy as np
import pytest

from foveate.tuning.budget import OutOfTime
from foveate.tuning.candidates import Candidate
from foveate.tuning.cross_validation import CrossValidation
from foveate.tuning.search import Tried, search
from foveate.tuning.subsets import SHARES

CANDIDATES = tuple(Candidate("b", 100 + i, "svm") for i in range(8))


class Made:
    """Gives candidates the accuracies it is told to, until it has given so many."""

    def __init__(self, accuracies: list[float], most: int = 1000) -> None:
        self.accuracy = dict(zip(CANDIDATES, accuracies, strict=True))
        self.judged: list[tuple[int, float]] = []
        self.most = most

    def images_per_second(self, candidate: Candidate) -> float:
        return 1000 / candidate.resolution

    def cross_validate(self, candidate: Candidate, share: float) -> CrossValidation:
        if len(self.judged) == self.most:
            raise OutOfTime
        self.judged.append((CANDIDATES.index(candidate), share))
        n = round(400 * share)
        right = (np.arange(n) < self.accuracy[candidate] * n).astype(np.float32)
        if np.isnan(self.accuracy[candidate]):
            right[:] = np.nan
        return CrossValidation(right, np.arange(n), 1.0, 0.1)


ACCURACIES = [0.6, 0.7, 0.5, 0.8, 0.65, 0.55, 0.9, 0.4]


def test_the_better_half_goes_on() -> None:
    made = Made(ACCURACIES)
    found = list(search(CANDIDATES, SHARES, made))
    assert [one.state for one in found] == [
        "complete",  # the first: nothing was better before
        "complete",
        "dropped",
        "complete",
        "dropped",
        "dropped",
        "complete",
        "dropped",
    ]
    assert [one.share for one in found if one.state == "dropped"] == [0.25] * 4
    assert made.judged[:4] == [(0, 0.25), (0, 0.5), (0, 1.0), (1, 0.25)]


def test_the_same_again() -> None:
    one, other = (list(search(CANDIDATES, SHARES, Made(ACCURACIES))) for _ in range(2))
    assert [(a.candidate, a.share, a.state) for a in one] == [
        (b.candidate, b.share, b.state) for b in other
    ]


def test_of_few_images_every_candidate_is_judged_on_all() -> None:
    found = list(search(CANDIDATES, (1.0,), Made(ACCURACIES)))
    assert {one.state for one in found} == {"complete"}


@pytest.mark.parametrize(("most", "states"), [(2, ["unfinished"]), (3, ["complete"]), (0, [])])
def test_what_was_judged_is_handed_over_before_the_minutes_are_up(
    most: int, states: list[str]
) -> None:
    found: list[Tried] = []
    with pytest.raises(OutOfTime):
        found.extend(search(CANDIDATES, SHARES, Made(ACCURACIES, most)))
    assert [one.state for one in found] == states


def test_what_cannot_be_judged_is_dropped() -> None:
    made = Made([0.5, float("nan"), *ACCURACIES[2:]])
    assert list(search(CANDIDATES, SHARES, made))[1].state == "dropped"
    found = list(search(CANDIDATES, (1.0,), made))[1]
    assert not found.accuracy.known


def test_the_better_half_of_an_odd_number_is_the_smaller_one_and_equals_go_on() -> None:
    accuracies = [0.6, 0.5, 0.6, 0.55, 0.6, 0.7, 0.6, 0.7]
    found = list(search(CANDIDATES, (0.5, 1.0), Made(accuracies)))
    assert [one.state == "complete" for one in found] == [
        True,
        False,
        True,
        False,
        True,
        True,
        True,
        True,
    ]
