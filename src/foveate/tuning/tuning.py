"""The verb: search backbones, resolutions and heads, and train what is chosen."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.errors import SettingsError
from foveate.evaluation import Evaluation
from foveate.settings import Settings
from foveate.tuning.budget import Budget, OutOfTime
from foveate.tuning.candidates import Candidate, Space
from foveate.tuning.choice import choose, finished
from foveate.tuning.fitting import few_threads
from foveate.tuning.judging import Judge
from foveate.tuning.learning_curve import measure_curve
from foveate.tuning.memory import Memory
from foveate.tuning.outlook import Outlook, look_ahead
from foveate.tuning.power_law import Continuation, continue_curve
from foveate.tuning.search import Tried, search
from foveate.tuning.subsets import shares_of
from foveate.tuning.training_set import TrainingSet, read_training_set
from foveate.workflow.preparation import Progress, Stopwatch, labelled_source
from foveate.workflow.results.training import train_command
from foveate.workflow.training import Training, train_classifier

MINUTES = 10.0
"""What a search may take, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found.

    Attributes:
        source: what was searched for.
        settings: of the training; backbone, resolution and classifier are those to begin with.
        limit: as many files were used at most.
        candidates: every setting that was to be tried, in order.
        tried: those that were judged; fewer where the minutes were up.
        chosen: the one to train.
        training: of the chosen one, evaluated on the test images, which it is the first to see.
        continuation: its learning curve; None where the minutes or the images did not suffice.
        outlook: whether more images or another model would help more.
        seconds: by stage.
        page: where its page was written; None where it was not.
    """

    source: str
    settings: Settings
    limit: int | None
    candidates: tuple[Candidate, ...]
    tried: tuple[Tried, ...]
    chosen: Tried
    training: Training
    continuation: Continuation | None
    outlook: Outlook
    seconds: dict[str, float]
    page: Path | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Of the chosen setting, on the test images."""
        return self.training.evaluation

    @property
    def untried(self) -> tuple[Candidate, ...]:
        """Candidates that the minutes did not suffice for, or not to the end."""
        done = {one.candidate for one in self.tried if one.state != "unfinished"}
        return tuple(one for one in self.candidates if one not in done)

    def command(self, model: str | Path = "model.onnx") -> str:
        """The command line that trains the chosen setting.

        Args:
            model: where it is to write the classifier.
        """
        chosen, defaults = self.chosen.candidate, Settings()
        own = ("backbone", "resolution", "classifier")
        others = self.settings.model_copy(update={name: getattr(defaults, name) for name in own})
        # Named even where it is a default, which a project's settings file may have changed.
        words = [word for name in own for word in (f"--{name}", str(getattr(chosen, name)))]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        return f"{train_command(self.source, Path(model), others)} {shlex.join(words)}"

    def to_json(self) -> dict[str, object]:
        """What `foveate tune --json` prints."""
        from foveate.tuning.results import tuning_json

        return tuning_json(self)

    def report(self, path: str | Path = "tune.html") -> Path:
        """Write the page with the figures, one self-contained HTML file.

        Returns:
            Where it is.
        """
        from foveate.tuning.page import write_page

        write_page(path, self)
        return Path(path)


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
        memory = Memory(data.memory_folder(settings))
        candidates = space.candidates(data.detail)
        judge = Judge(data, settings, candidates, memory, budget, progress)
        with watch.stage("search"):
            tried = _search(candidates, data, judge)
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
        continuation = _continuation(chosen, data, judge, settings, memory, budget, progress)
    return Tuning(
        source=str(source),
        settings=settings,
        limit=limit,
        candidates=candidates,
        tried=tuple(tried),
        chosen=chosen,
        training=training,
        continuation=continuation,
        outlook=look_ahead(chosen, tried, continuation),
        seconds=watch.seconds,
    )


def _search(candidates: Sequence[Candidate], data: TrainingSet, judge: Judge) -> list[Tried]:
    """Every candidate that the minutes suffice for."""
    tried: list[Tried] = []
    try:
        for one in search(candidates, shares_of(len(data.rows)), judge):
            tried.append(one)
            if complete := finished(tried):
                best = max(complete, key=lambda one: one.judgement.accuracy.value)
                accuracy = 100 * best.judgement.accuracy.value
                judge.note = f"best so far {accuracy:.1f} %: {best.candidate}"
    except OutOfTime:
        pass
    return tried


def _continuation(
    chosen: Tried,
    data: TrainingSet,
    judge: Judge,
    settings: Settings,
    memory: Memory,
    budget: Budget,
    progress: Progress | None,
) -> Continuation | None:
    """The learning curve of the chosen candidate, and how it may go on."""
    try:
        features = judge.features(chosen.candidate, np.arange(len(data.rows)))
    except OutOfTime:
        return None
    curve = measure_curve(data, features, chosen.candidate, settings, memory, budget, progress)
    return None if curve is None else continue_curve(curve, len(data.rows), seed=settings.seed)
