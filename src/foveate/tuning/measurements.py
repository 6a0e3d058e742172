"""Measurements candidates on parts of the training images, each candidate and part once only."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.progress import Progress
from foveate.settings import Settings
from foveate.tuning.budget import Budget
from foveate.tuning.cache import ResultCache
from foveate.tuning.candidates import Candidate
from foveate.tuning.cross_validation import CrossValidation
from foveate.tuning.extraction import Extraction
from foveate.tuning.fitting import fit_part
from foveate.tuning.subsets import part
from foveate.tuning.training_set import TrainingSet

# What comes in the end: to compute the features of the test images, with a margin; to load the
# network and write the classifier, in seconds; to fit the head; and two folds of a learning curve.
_MARGIN = 1.3
_LOADING = 3.0
_FITS_TO_TRAIN = 2
_FITS_OF_CURVE = 3


class Measurements:
    """Accuracy and speed of candidates, from the cache where they are known.

    A candidate's speed is asked for before it is cross-validated.

    Args:
        data: the training images.
        settings: of the training; a candidate's own take their place.
        candidates: all that may come, in their order, of which progress is told.
        cache: what is known already.
        budget: how long it may take.
        progress: told how many images of how many candidates are done.

    Attributes:
        data, settings, cache, budget, progress: as given.
        note: what the progress is told beside the numbers.
    """

    def __init__(
        self,
        data: TrainingSet,
        settings: Settings,
        candidates: Sequence[Candidate],
        cache: ResultCache,
        budget: Budget,
        progress: Progress | None,
    ) -> None:
        self.note = ""
        self.data = data
        self.settings = settings
        self.cache = cache
        self.budget = budget
        self.progress = progress
        self._before = {candidate: i * len(data.rows) for i, candidate in enumerate(candidates)}
        self._rates: dict[tuple[str, int], float] = {}
        self._answered = False
        self._seconds: dict[Candidate, float] = {}  # an image, to fit the head
        self._opened: tuple[tuple[str, int], Extraction] | None = None

    def cross_validate(self, candidate: Candidate, share: float) -> CrossValidation:
        """How a candidate does on a part of the training images.

        Raises:
            OutOfTime: the minutes are up; features that were computed are kept.
        """
        rows = part(self.data.ranks, share)
        name = ("judgement", *candidate.features_key, candidate.classifier, share)
        self._tell(candidate, 0)
        known = self.cache.get(*name)
        if known is None:
            known = self._fit(candidate, rows)
            self.cache.put(known, *name)
        self._seconds[candidate] = known["seconds"] / len(rows)
        right = np.array(known["right"], np.float32)
        self._keep_back(candidate, known["seconds"] / share)
        self._answered |= share == 1
        return CrossValidation(right, self.data.groups[rows], known["c"], known["seconds"])

    def images_per_second(self, candidate: Candidate) -> float:
        """How fast images become features on this machine; measured once.

        Raises:
            OutOfTime: the minutes are up.
        """
        name = ("images/s", *candidate.features_key, platform.node(), self.settings.workers)
        known = self.cache.get(*name)
        if known is None:
            self.budget.check()
            measured = self._open(candidate).images_per_second(lambda *_: self.budget.check())
            known = {"images_per_second": measured}
            self.cache.put(known, *name)
        rate = self._rates[candidate.extractor] = float(known["images_per_second"])
        self._keep_back(candidate, 0.0)
        return rate

    def features(self, candidate: Candidate, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The features (m, d) of m of the training images.

        Raises:
            OutOfTime: the minutes are up; those that were computed are kept.
        """
        self.budget.check()
        wanted = [self.data.rows[row] for row in rows]

        def told(done: int, _: int) -> None:
            self._tell(candidate, done)
            self.budget.check()

        return self._open(candidate).features(wanted, told)

    def _fit(self, candidate: Candidate, rows: NDArray[np.intp]) -> dict[str, Any]:
        features = self.features(candidate, rows)
        self.budget.check(self._seconds.get(candidate, 0.0) * len(rows))
        start = time.perf_counter()
        head = fit_part(features, self.data, rows, self.settings, candidate.classifier)
        seconds = time.perf_counter() - start
        right = np.full(len(rows), np.nan) if head.held_out_right is None else head.held_out_right
        return {"right": right.tolist(), "c": head.c, "seconds": seconds}

    def _open(self, candidate: Candidate) -> Extraction:
        """The extraction of a candidate; the last one stays loaded."""
        if self._opened is None or self._opened[0] != candidate.extractor:
            self._opened = None  # two networks need not be in memory at once
            extraction = Extraction(self.data, *candidate.extractor, self.settings)
            self._opened = candidate.extractor, extraction
        return self._opened[1]

    def _keep_back(self, candidate: Candidate, fit_seconds: float) -> None:
        """Leave enough time to train the candidate in the end, and for some learning curve."""
        features = self.data.n_test / self._rates[candidate.extractor]
        # Without a first answer there is nothing to draw a learning curve of.
        fits = _FITS_TO_TRAIN + (_FITS_OF_CURVE if self._answered else 0)
        self.budget.keep_back(_MARGIN * features + fits * fit_seconds + _LOADING)

    def _tell(self, candidate: Candidate, done: int) -> None:
        if self.progress is not None:
            total = len(self._before) * len(self.data.rows)
            self.progress("tune", self._before[candidate] + done, total, self.note)
