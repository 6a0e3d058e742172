"""The search: successive halving over the candidates, by Optuna.

Every candidate is judged on a small part of the training images first. Only where it is among the
better half of those judged on that part so far, it goes on to twice as many images, and so on to
all of them. Each climbs as far as it gets before the next one begins, so whenever the search has
to stop there are candidates that were judged on all images.

Source: Li, L. et al. (2020). A system for massively parallel hyperparameter tuning. MLSys 2,
230-246 (asynchronous successive halving).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from foveate.tuning.budget import OutOfTime
from foveate.tuning.candidates import Candidate
from foveate.tuning.judgement import Judgement

if TYPE_CHECKING:
    from optuna import Study, Trial

    from foveate.tuning.judging import Judge

State = Literal["complete", "dropped", "unfinished"]


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate that was judged.

    Attributes:
        candidate: which.
        images_per_second: reading, decoding and network, on this machine.
        share: the largest part of the training images that it was judged on.
        judgement: on that part.
        state: "complete" where that part is all images; "dropped" where others did better on it;
            "unfinished" where the minutes were up.
    """

    candidate: Candidate
    images_per_second: float
    share: float
    judgement: Judgement
    state: State


def search(
    candidates: Sequence[Candidate], shares: Sequence[float], judge: Judge
) -> Iterator[Tried]:
    """Judge the candidates in their order, each as far as it gets.

    Args:
        candidates: what to try; the first is judged on all images, as nothing was better before.
        shares: parts of the training images, each twice the one before; the last is 1.
        judge: judges a candidate on a part.

    Yields:
        Each candidate when it is done, also the one at which the minutes were up.

    Raises:
        OutOfTime: the minutes are up.
    """
    study = _new_study()
    for candidate in candidates:
        trial = _ask(study, candidates, candidate)
        tried: Tried | None = None
        try:
            rate = judge.images_per_second(candidate)
            for share in shares:
                judgement = judge.judge(candidate, share)
                tried = Tried(candidate, rate, share, judgement, "unfinished")
                # Steps are counted in smallest parts, as the pruner promotes at 1, 2, 4, …
                trial.report(judgement.accuracy.value, round(share / shares[0]))
                if share == 1:
                    tried = replace(tried, state="complete")
                elif trial.should_prune():
                    tried = replace(tried, state="dropped")
                    break
        except OutOfTime:
            if tried is not None:
                yield tried
            raise
        if tried is not None:
            _tell(study, trial, tried)
            yield tried


def _new_study() -> Study:
    import optuna

    with _silence():
        return optuna.create_study(
            direction="maximize",
            # It draws nothing: every candidate is named.
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        )


def _ask(study: Study, candidates: Sequence[Candidate], candidate: Candidate) -> Trial:
    """A trial of just this candidate."""
    from optuna.distributions import CategoricalDistribution

    names = ("backbone", "resolution", "classifier")
    with _silence():
        study.enqueue_trial({name: getattr(candidate, name) for name in names})
        return study.ask(
            {
                name: CategoricalDistribution(sorted({getattr(one, name) for one in candidates}))
                for name in names
            }
        )


def _tell(study: Study, trial: Trial, tried: Tried) -> None:
    from optuna.trial import TrialState

    accuracy = tried.judgement.accuracy
    with _silence():
        if tried.state == "complete" and accuracy.known:
            study.tell(trial, accuracy.value)
        else:
            study.tell(trial, state=TrialState.PRUNED)


@contextmanager
def _silence() -> Iterator[None]:
    """Optuna says nothing; who uses it beside us hears it as before."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
