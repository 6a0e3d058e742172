"""What several commands do before and after their verb."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli.console import percent, print_table, remark
from foveate.errors import SettingsError

if TYPE_CHECKING:
    from foveate.evaluation import Evaluation
    from foveate.finetune.refinement import Refinement
    from foveate.workflow.preparation import Prepared
    from foveate.workflow.training import Training

MOST_NAMED = 5
"""Refused images named on the terminal."""
EVERYWHERE = "`foveate check` and the report name them all"


def need_extra(extra: str, purpose: str, *modules: str) -> None:
    """Say which extra is missing, rather than which module.

    Args:
        extra: of foveate's own package.
        purpose: how the sentence begins, as "To serve".
        modules: what the extra brings.

    Raises:
        SettingsError: one of them is not installed.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"{purpose}, {' and '.join(missing)} must be installed: pip install 'foveate[{extra}]'"
        )


@contextmanager
def ending_on_sigterm() -> Iterator[threading.Event]:
    """Within, SIGTERM is a regular end; the first process of a container would ignore it.

    What it gives is set when the signal has come: a library that is just being imported may
    swallow the exit.
    """
    asked = threading.Event()

    def end(*_: object) -> None:
        asked.set()
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def show_training(
    training: Training, model: Path | str, report: Path | str, *, quiet: bool = False
) -> None:
    """Print the table, and what to know before trusting the numbers."""
    print_training(training, model, report)
    tell_notes(training, quiet=quiet)


def tell_notes(training: Training, *, quiet: bool) -> None:
    """Say on stderr what to know before trusting the numbers, and name refused images."""
    from foveate.workflow.results.training import training_notes

    for note in training_notes(training):
        remark(f"Note: {note}", quiet=quiet)
    name_refused(training.prepared, quiet=quiet)


def print_training(training: Training, model: Path | str, report: Path | str) -> None:
    """The table and the few lines after it."""
    from foveate.workflow.results.training import land_sentence

    settings = training.settings
    print_evaluation(training.evaluation)
    summary = training.classifier.metadata.training
    chosen = f", C = {training.head.c:g}" if training.head.c is not None else ""
    rate = training.prepared.rate.images_per_second
    speed = f"{rate:.0f} images/s" if rate is not None else "all from the cache"
    print(
        f"\n{settings.classifier}{chosen} on {settings.backbone} at {settings.resolution} px, "
        f"trained on {summary.n_train} images, features: {speed}, "
        f"{sum(training.seconds.values()):.1f} s in all"
    )
    if training.refinement is not None:
        _print_refinement(training, training.refinement)
    if sentence := land_sentence(training):
        print(sentence)
    print(f"Run     {training.name}\nModel   {model}\nReport  {report}")


def _print_refinement(training: Training, refinement: Refinement) -> None:
    stopped = ", good enough to stop" if refinement.stopped_early else ""
    print(
        f"refined ({training.settings.depth}) for {len(refinement.epochs)} epochs{stopped}, "
        f"the best was epoch {refinement.best + 1}, on {refinement.device}"
    )
    print(
        f"learned from {refinement.images_per_second:.0f} images/s; the device waited for images "
        f"{percent(refinement.waited)} of the time"
    )
    if refinement.minibatch < training.settings.minibatch:
        print(
            f"memory sufficed for {refinement.minibatch} images at a time; their gradients were "
            f"added up to minibatches of {training.settings.minibatch}, so the result is the same"
        )
    if training.baseline_accuracy is not None:
        print(f"before refining, an SVM was right on {percent(training.baseline_accuracy)}")


def print_evaluation(evaluation: Evaluation) -> None:
    """Per-class, class-average and overall accuracy with their intervals."""
    rows = []
    for label, measures in evaluation.per_class.items():
        rows.append(
            [
                label,
                f"{measures.n}",
                percent(measures.accuracy.value),
                f"{percent(measures.accuracy.low)} to {percent(measures.accuracy.high)}",
                f"{measures.auc.value:.3f}" if measures.auc.known else "–",
            ]
        )
    for name, estimate, auc in (
        ("class average", evaluation.class_average_accuracy, evaluation.class_average_auc),
        ("all images", evaluation.accuracy, None),
    ):
        rows.append(
            [
                name,
                f"{evaluation.n}",
                percent(estimate.value),
                f"{percent(estimate.low)} to {percent(estimate.high)}",
                f"{auc.value:.3f}" if auc and auc.known else "",
            ]
        )
    print_table(["label", "test images", "accuracy", "95 % interval", "AUC"], rows)


def name_refused(prepared: Prepared, *, quiet: bool) -> None:
    """Say how many images were refused, and name the first few."""
    refused = prepared.catalog.quarantine
    named = [(row.path, str(row.facts.refusal)) for row in refused[:MOST_NAMED]]
    name_some(named, len(refused), len(prepared.catalog.rows), EVERYWHERE, quiet=quiet)


def name_some(
    named: Sequence[tuple[str, str]], refused: int, files: int, where: str, *, quiet: bool
) -> None:
    """Say how many images were refused, name the first few, and where the others are."""
    if not refused:
        return
    remark(f"{refused:,} of {files:,} files were refused:", quiet=quiet)
    for path, reason in named[:MOST_NAMED]:
        remark(f"  {path}: {reason}", quiet=quiet)
    if refused > MOST_NAMED:
        remark(f"  …; {where}", quiet=quiet)
