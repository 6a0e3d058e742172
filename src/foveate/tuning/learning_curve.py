"""How accuracy grows with the number of training images, measured on held-out folds.

Each fold is held out whole; of the other training images a head learns from 10, 25, 50 and 100 %,
exactly as `train` would learn from so few: C is chosen among them alone. Nested parts and the same
held-out images at every size make the differences between sizes far better known than each size.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.settings import Settings
from foveate.tuning.budget import OutOfTime
from foveate.tuning.candidates import Candidate
from foveate.tuning.fitting import fit_part
from foveate.tuning.measurements import Measurements
from foveate.tuning.subsets import nested_ranks, part
from foveate.tuning.training_set import TrainingSet

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the images that are not held out."""

LEAST = 2
"""Images of each label in every part, copies not counted: one more than C can be chosen with."""

# Which images a tenth happens to hold matters much among few hundred, little among thousands.
_REPEATS = 4
_REPEATS_OF_MANY = 2
_MANY = 1000


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Answers for n held-out images after learning from J numbers of images, R times.

    Attributes:
        sizes: (J,) images learned from, the mean over the folds; ascending.
        wrong: (J, R, n) bool, whether the answer was wrong.
        groups: (n,) copies of each other have equal numbers.
    """

    sizes: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    groups: NDArray[np.intp]

    @property
    def errors(self) -> NDArray[np.float64]:
        """(J,) share of wrong answers."""
        shares: NDArray[np.float64] = self.wrong.mean(axis=(1, 2))
        return shares

    def resampled_errors(self, resamples: int, seed: int) -> NDArray[np.float64]:
        """(resamples, J) the same on images and repeats drawn with replacement.

        Copies of each other are drawn together. Images and repeats are drawn independently of each
        other, as neither is the same for all answers (Owen, A. B. (2007). The pigeonhole
        bootstrap. Annals of Applied Statistics 1, 386-411).
        """
        rng = np.random.default_rng(seed)
        _, group, size = np.unique(self.groups, return_inverse=True, return_counts=True)
        j, r, _ = self.wrong.shape
        by_group = np.zeros((len(size), j * r))
        np.add.at(by_group, group, self.wrong.reshape(j * r, -1).T)
        images = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), resamples)
        repeats = rng.multinomial(r, np.full(r, 1 / r), resamples)
        wrong = (images @ by_group).reshape(resamples, j, r)
        errors: NDArray[np.float64] = np.einsum("bjr,br->bj", wrong, repeats)
        errors /= (r * (images @ size))[:, None]
        return errors


def measure_curve(
    measurements: Measurements, candidate: Candidate, features: NDArray[np.float32]
) -> LearningCurve | None:
    """The learning curve of a candidate; None where the minutes do not suffice for one fold.

    Where they end early, there are fewer repeats, or the images of some folds only.

    Args:
        measurements: of n training images.
        candidate: the backbone that the features are from, and the head.
        features: (n, d) of these images.
    """
    from foveate.heads.folds import deal_folds  # brings scikit-learn

    data, settings, cache = measurements.data, measurements.settings, measurements.cache
    n = len(data.rows)
    repeats = _REPEATS if n < _MANY else _REPEATS_OF_MANY
    folds = deal_folds(
        data.codes, groups=data.groups, folds=settings.folds, repeats=repeats, seed=settings.seed
    )
    if folds is None:
        return None
    total = int(folds.max()) + 1
    sizes = np.zeros((len(SHARES), total))
    wrong = np.zeros((len(SHARES), repeats, n), bool)
    done, took = 0, 0.0
    for fold in range(total):
        repeat, held = np.nonzero(folds == fold)
        name = ("curve", *candidate.features_key, candidate.classifier, fold)
        known = cache.get(*name)
        if known is None:
            try:
                measurements.budget.check(took)
            except OutOfTime:
                break
            start = time.perf_counter()
            known = _answers(data, features, held, candidate, settings, fold)
            took = time.perf_counter() - start
            cache.put(known, *name)
        sizes[:, fold] = known["sizes"]
        wrong[:, repeat, held] = known["wrong"]
        done += 1
        if measurements.progress is not None:
            measurements.progress("learning curve", done * n, total * n)
    return _so_far(sizes[:, :done], wrong, data.groups, folds < done)


def _answers(
    data: TrainingSet,
    features: NDArray[np.float32],
    held: NDArray[np.intp],
    candidate: Candidate,
    settings: Settings,
    fold: int,
) -> dict[str, Any]:
    """How many images were learned from, and which held-out ones were wrong, at each share."""
    labels = np.array([str(row.entry.label) for row in data.rows])
    others = np.setdiff1d(np.arange(len(data.rows)), held)
    ranks = nested_ranks(
        data.codes[others], data.groups[others], least=LEAST, seed=settings.seed + fold
    )
    sizes, wrong = [], []
    for share in SHARES:
        rows = others[part(ranks, share)]
        head = fit_part(features[rows], data, rows, settings, candidate.classifier)
        answers = np.array(head.labels)[head.scores(features[held]).argmax(axis=1)]
        sizes.append(len(rows))
        wrong.append((answers != labels[held]).tolist())
    return {"sizes": sizes, "wrong": wrong}


def _so_far(
    sizes: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    groups: NDArray[np.intp],
    answered: NDArray[np.bool_],
) -> LearningCurve | None:
    """The curve of the repeats that are done; of the first, where it is not, the folds that are.

    Args:
        sizes: (J, folds) images learned from, of the folds that are done.
        wrong: (J, R, n) bool, as far as they are.
        groups: (n,) copies of each other have equal numbers.
        answered: (R, n) which images were held out.
    """
    repeats = max(int(answered.all(axis=1).sum()), 1)
    images = answered[0]
    if not images.any():
        return None
    mean = sizes.mean(axis=1)
    # Of few images a tenth may be the same as a quarter: two images of every label.
    _, first = np.unique(mean, return_index=True)
    return LearningCurve(mean[first], wrong[first][:, :repeats, images], groups[images])
