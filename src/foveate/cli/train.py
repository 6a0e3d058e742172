"""`foveate train`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, remark, remarks
from foveate.cli.processes import run_machines, run_many
from foveate.cli.shared import (
    also_known,
    choose_target,
    files_of,
    find_project,
    name_refused,
    print_training,
    result_paths,
)
from foveate.errors import SettingsError
from foveate.files import is_url, write_anywhere
from foveate.finetune.position import is_helper, is_one_of_many
from foveate.outputs import MODEL, PAGE, Output, check_outputs

if TYPE_CHECKING:
    from foveate.history import Outcome
    from foveate.settings import Settings
    from foveate.targets import Target
    from foveate.workflow.engine import Engine
    from foveate.workflow.training import Training


def train(
    source: options.SourceArgument,
    out: Annotated[
        str | None,
        typer.Option(
            help="the classifier file, a path or URL [default: model.onnx; in a project "
            "models/RUN.onnx]",
            show_default=False,
        ),
    ] = None,
    classifier: options.Head = None,
    backbone: options.Backbone = None,
    resolution: options.Resolution = None,
    depth: options.Depth = None,
    epochs: options.Epochs = None,
    device: options.Device = None,
    devices: options.Devices = 1,
    split: options.SplitBy = None,
    test_share: options.TestShare = None,
    test_list: options.TestList = None,
    exclude: options.Exclude = None,
    seed: options.Seed = None,
    limit: options.Limit = None,
    sample: options.Sample = 1.0,
    engine: options.Engine = None,
    target: options.Target = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    report: options.Report = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Train a classifier on SOURCE, evaluate it, write model and report."""
    from foveate.settings import make_settings

    project = find_project(source)
    settings = make_settings(
        project,
        assignments or (),
        {
            "classifier": classifier,
            "backbone": backbone,
            "resolution": resolution,
            "depth": depth,
            "epochs": epochs,
            "device": device,
            "split": split,
            "test_share": test_share,
            "test_list": str(test_list) if test_list else None,
            "exclude": tuple(exclude) if exclude else None,
            "seed": seed,
            "workers": workers,
        },
    )
    task = _Task(source, settings, project, out, report, limit, sample, as_json, quiet)
    check_outputs(task.outputs(), [*files_of(source), settings.test_list or None])
    if not settings.refines:
        _check_flags({"--depth": depth, "--epochs": epochs, "--device": device}, devices, quiet)
    cluster = None if is_one_of_many() else choose_target(engine, target, project)
    if cluster is not None and settings.refines:
        _refine_there(task, cluster, target or "spark")
    elif devices > 1 and not is_one_of_many():
        run_many(devices, settings)
    else:
        _train_here(task, cluster, also_known(engine, target, sample))


@dataclass(frozen=True, slots=True)
class _Task:
    """What to train, and where it goes.

    Attributes:
        source: as the user named it.
        settings: all of them.
        project: whose history, model and report it is; None for bare sources.
        out: where the classifier goes, a path or URL; the usual place where None.
        report: where the report goes; beside the classifier where None.
        limit: images to use at most.
        sample: share of the images to use.
        as_json: whether to print one JSON object rather than the table.
        quiet: whether to say nothing while it works.
    """

    source: str
    settings: Settings
    project: Path | None
    out: str | None
    report: Path | None
    limit: int | None
    sample: float
    as_json: bool
    quiet: bool

    @property
    def url(self) -> str | None:
        """Where the classifier goes, if that is not on this machine."""
        return self.out if self.out is not None and is_url(self.out) else None

    @property
    def model(self) -> Path | None:
        """The file that the user named for it."""
        return None if self.out is None or self.url else Path(self.out)

    def outputs(self) -> list[Output]:
        """What will be written, as far as names are known; a run's own name is not yet."""
        if self.url:
            page = self.report or f"{self.url.removesuffix('.onnx')}.html"
            model: str | Path = self.url
        else:
            model, page = result_paths("run", self.model, self.report, self.project)
        return [Output("a classifier", model, MODEL), Output("the report", page, PAGE)]


def _check_flags(given: Mapping[str, object], devices: int, quiet: bool) -> None:
    """Say which flags only matter where a network is refined, which it is not."""
    if devices > 1 or is_helper():
        raise SettingsError("Several devices only help to refine: --classifier dnn or svm-dnn.")
    if idle := [flag for flag, value in given.items() if value is not None]:
        remark(
            f"Note: {' and '.join(idle)} only matter{'s' * (len(idle) == 1)} to refine a network, "
            "with --classifier dnn or svm-dnn; here it is taken as it is.",
            quiet=quiet,
        )


def _refine_there(task: _Task, target: Target, name: str) -> None:
    """Refine on a target; its machines are a cluster's, or given the same command."""
    from foveate.cli.refine_on_target import refine_on_target

    if task.url:
        raise SettingsError("A refined network comes back to this machine: --out is a file.")
    if target.kind == "torch":
        run_machines(target, task.settings, task.source, quiet=task.quiet)
        return
    refined = refine_on_target(
        target,
        task.source,
        task.settings,
        name=name,
        project=task.project,
        model=task.model,
        report=task.report,
        limit=task.limit,
        sample=task.sample,
        quiet=task.quiet,
    )
    refined.show(as_json=task.as_json, quiet=task.quiet)


def _train_here(task: _Task, cluster: Target | None, flags: dict[str, str]) -> None:
    """Train on this machine, or features on a cluster and the rest here; in each process."""
    from foveate.history import find_place, recording
    from foveate.workflow import pipeline

    settings = task.settings
    place = None if is_helper() else find_place(task.project, settings.tracking)
    told = remarks(quiet=task.quiet or is_helper())
    known = settings.as_text() | {"limit": str(task.limit)} | flags
    with recording(
        place, "train", task.source, known, label=settings.classifier, remark=told
    ) as record:
        with (
            ProgressBar(quiet=task.quiet or is_helper()) as progress,
            _engine(cluster) as where,
        ):
            training = pipeline.train(
                task.source,
                settings,
                limit=task.limit,
                sample=task.sample,
                name=record.name,
                engine=where,
                progress=progress,
            )
        written = _write(task, training)
        record.finish(written.outcome)
    _show(task, training, written)


@dataclass(frozen=True, slots=True)
class _Written:
    """Where results are, paths or URLs, and what the run history keeps of them."""

    model: str
    report: str
    outcome: Outcome


def _write(task: _Task, training: Training) -> _Written:
    """Write the classifier and its report."""
    from foveate.evaluation import write_report
    from foveate.workflow.outcomes import training_outcome
    from foveate.workflow.results import training_report

    project = None if task.url else task.project
    model, page = result_paths(training.name, task.model, task.report, project)
    details = training_report(training, model=model, source=task.source)
    if task.url is None:
        training.save(model)
        write_report(page, training.evaluation, training.predictions, details)
        outcome = training_outcome(training, details, model=model, report=page)
        return _Written(str(model), str(page), outcome)
    write_anywhere(task.url, training.classifier.onnx_bytes)
    if training.refinement is not None:  # as `save` does: what it goes on from is not needed now
        training.refinement.checkpoint.unlink(missing_ok=True)
    beside = str(task.report or f"{task.url.removesuffix('.onnx')}.html")
    write_report(task.report or beside, training.evaluation, training.predictions, details)
    outcome = training_outcome(training, details, model=None, report=task.report)
    return _Written(task.url, beside, outcome)


def _show(task: _Task, training: Training, written: _Written) -> None:
    """Print the table or the JSON object, and what to know before trusting the numbers."""
    from foveate.workflow.results import training_json, training_notes

    if task.as_json:
        places = {"model": written.model, "report": written.report}
        print_json(training_json(training, model=None, report=None) | places)
    else:
        print_training(training, written.model, written.report)
    for note in training_notes(training):
        remark(f"Note: {note}", quiet=task.quiet)
    name_refused(training.prepared, quiet=task.quiet)


@contextmanager
def _engine(cluster: Target | None) -> Iterator[Engine]:
    """What computes features and fits heads."""
    if cluster is None:
        from foveate.workflow.engine import HERE

        yield HERE
    else:
        from foveate.spark.engine import spark_engine

        with spark_engine(cluster) as engine:
            yield engine
