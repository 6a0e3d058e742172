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
from foveate.files import join, use_storage_options

if TYPE_CHECKING:
    from foveate.evaluation import Evaluation
    from foveate.refinement import Refinement
    from foveate.targets import Target
    from foveate.workflow.pipeline import Training
    from foveate.workflow.preparation import Prepared

MOST_NAMED = 5
"""Refused images named on the terminal; the report and `foveate check` name all."""


def find_project(source: str) -> Path | None:
    """The project's folder, if SOURCE is one."""
    folder = Path(source)
    return folder if (folder / "foveate.toml").is_file() else None


def result_paths(
    name: str, model: Path | None, report: Path | None, project: Path | None
) -> tuple[Path, Path]:
    """Where model and report of a run go, given what the user named of them."""
    if model is not None:
        return model, report or model.with_suffix(".html")
    if project is not None:
        return project / "models" / f"{name}.onnx", report or project / "reports" / f"{name}.html"
    return Path("model.onnx"), report or Path("model.html")


def choose_target(engine: str | None, name: str | None, project: Path | None) -> Target | None:
    """The cluster that a command works on; None for this machine.

    Args:
        engine: as given to `--engine`.
        name: as given to `--target`.
        project: whose settings file names targets; that of the folder one is in, where None.

    Raises:
        SettingsError: there is no such engine or target, or they contradict each other.
    """
    from foveate.targets import Target, find_target

    if engine not in (None, "local", "spark"):
        raise SettingsError(f"There is no engine ‘{engine}’; choose local or spark.")
    if name is None:
        # Without a name: what spark-submit or Spark's own settings say, else all cores here.
        return Target() if engine == "spark" else None
    if engine == "local":
        raise SettingsError(f"--engine local works on this machine, --target {name} elsewhere.")
    target = find_target(name, project)
    use_storage_options(target.opened_storage_options())  # the model may lie in the store, too
    return target


def also_known(engine: str | None, target: str | None, sample: float) -> dict[str, str]:
    """What the run history is told of these flags: those that were given."""
    given = {"engine": engine, "target": target, "sample_frac": sample if sample < 1 else None}
    return {name: str(value) for name, value in given.items() if value is not None}


def files_of(source: str | None) -> list[str]:
    """What a command reads of a SOURCE besides images: itself, a table in it, a project's settings.

    No result may replace one of them.
    """
    from foveate.catalog.source import METADATA_NAMES

    if source is None:
        return []
    folders = [source, join(source, "images")] if find_project(source) else [source]
    return [
        source,
        join(source, "foveate.toml"),
        *(join(folder, name) for folder in folders for name in METADATA_NAMES),
    ]


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


def print_training(training: Training, model: Path | str, report: Path | str) -> None:
    """The table and the few lines after it."""
    from foveate.workflow.results import placed_sentence

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
    if said := placed_sentence(training):
        print(said)
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
    for label, one in evaluation.per_class.items():
        rows.append(
            [
                label,
                f"{one.n}",
                percent(one.accuracy.value),
                f"{percent(one.accuracy.low)} to {percent(one.accuracy.high)}",
                f"{one.auc.value:.3f}" if one.auc.known else "–",
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
    where = "`foveate check` and the report name them all"
    name_some(named, len(refused), len(prepared.catalog.rows), where, quiet=quiet)


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
