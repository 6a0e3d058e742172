"""The verb: search backbones, resolutions and heads, and train what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foveate.errors import SettingsError
from foveate.progress import Progress, Stopwatch
from foveate.settings import MINUTES, Settings
from foveate.tuning.budget import Budget, OutOfTime
from foveate.tuning.cache import ResultCache
from foveate.tuning.candidates import Candidate, Space
from foveate.tuning.choice import choose, finished
from foveate.tuning.fitting import few_threads
from foveate.tuning.gains import expected_gains
from foveate.tuning.learning_curve import measure_curve
from foveate.tuning.measurements import Measurements
from foveate.tuning.power_law import Continuation, continue_curve
from foveate.tuning.result import Tuning
from foveate.tuning.search import Tried, search
from foveate.tuning.subsets import shares_of
from foveate.tuning.training_set import read_training_set
from foveate.workflow.preparation import labelled_source
from foveate.workflow.training import train_classifier

"""What a search may take, unless told otherwise."""


def tune(
    source: str | Path,
    settings: Settings | None = None,
    *,
    minutes: float = MINUTES,
    backbones: Sequence[str] = (),
    resolutions: Sequence[int] = (),
    classifiers: Sequence[str] = (),
    limit: int | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Find the backbone, the resolution and the head that suit the images of a source.

    Candidates are compared by cross-validation inside the training images of the split that
    `train` makes; the test images are looked at once, by the chosen one. What was computed is kept:
    the same call goes on where one that was stopped or killed ended.

    Args:
        source: see `catalog.read_source`.
        settings: all other parameters; the defaults where None.
        minutes: what it may take.
        backbones: names of those to try; all that are here, where none is named.
        resolutions: pixels a side to try; where none is named, 224, 320, 448 and 896 as far as
            the images have the detail.
        classifiers: heads to try; svm, logistic and forest where none is named.
        limit: use at most so many files, taken evenly.
        progress: told how far each stage is.

    Raises:
        SourceError: the source cannot be read, or has fewer than two labels.
        TooFewImages: a label has too few images to train and test on, or to cross-validate.
        BackboneError: a backbone is not here, or none takes the resolution.
        SettingsError: a setting is out of range, a classifier is not searched, or the minutes do
            not suffice for a single candidate.
    """
    if not minutes > 0:
        raise SettingsError(f"A search needs some time: {minutes:g} minutes are not enough.")
    settings = settings or Settings()
    budget, watch = Budget(minutes), Stopwatch()
    space = Space.of(settings, backbones, resolutions, classifiers)
    with watch.stage("list"):
        listed = labelled_source(source, settings).limited(limit)
    try:
        data = read_training_set(listed, settings, watch, budget.watched(progress))
        cache = ResultCache(data.cache_folder(settings))
        candidates = space.candidates(data.detail)
        measurements = Measurements(data, settings, candidates, cache, budget, progress)
        with watch.stage("search"):
            tried = _search(candidates, measurements)
            chosen = choose(tried)
        if chosen is None:
            raise OutOfTime
        budget.release()
        with watch.stage("train"), few_threads(len(data.rows)):
            training = train_classifier(
                source,
                chosen.candidate.settings(settings),
                limit=limit,
                progress=budget.watched(progress),
            )
    except OutOfTime:
        raise SettingsError(
            f"{minutes:g} minutes were not enough to judge a first setting and to train it. What "
            "was computed is kept: run the same command again to go on, or give it more "
            "`--minutes`."
        ) from None
    with watch.stage("learning curve"):
        continuation = _continuation(chosen, measurements)
    return Tuning(
        source=str(source),
        settings=settings,
        limit=limit,
        candidates=candidates,
        tried=tuple(tried),
        chosen=chosen,
        training=training,
        continuation=continuation,
        gains=expected_gains(chosen, tried, continuation),
        seconds=watch.seconds,
    )


def _search(candidates: Sequence[Candidate], measurements: Measurements) -> list[Tried]:
    """Every candidate that the minutes suffice for."""
    tried: list[Tried] = []
    try:
        for trial in search(candidates, shares_of(len(measurements.data.rows)), measurements):
            tried.append(trial)
            if complete := finished(tried):
                best = max(complete, key=lambda trial: trial.accuracy.value)
                accuracy = 100 * best.accuracy.value
                measurements.note = f"best so far {accuracy:.1f} %: {best.candidate}"
    except OutOfTime:
        pass
    return tried


def _continuation(chosen: Tried, measurements: Measurements) -> Continuation | None:
    """The learning curve of the chosen candidate, and how it may go on."""
    n = len(measurements.data.rows)
    try:
        features = measurements.features(chosen.candidate, np.arange(n))
    except OutOfTime:
        return None
    curve = measure_curve(measurements, chosen.candidate, features)
    seed = measurements.settings.seed
    return None if curve is None else continue_curve(curve, n, seed=seed)
