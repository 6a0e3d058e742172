"""`foveate train` and `foveate evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, remark
from foveate.cli.processes import is_helper, is_one_of_many, run_many
from foveate.cli.shared import (
    also_known,
    check_can_write,
    choose_target,
    find_project,
    name_refused,
    print_evaluation,
    print_training,
    result_paths,
)
from foveate.files import is_url, write_anywhere

if TYPE_CHECKING:
    from foveate.targets import Target
    from foveate.training import Engine


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
    from foveate import pipeline
    from foveate.errors import SettingsError
    from foveate.evaluation import write_report
    from foveate.history import find_place, recording
    from foveate.outcomes import training_outcome
    from foveate.results import training_json, training_notes, training_report
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
    away = out is not None and is_url(out)
    named = None if out is None or away else Path(out)
    check_can_write(named)
    check_can_write(report)
    cluster = None if is_one_of_many() else choose_target(engine, target, project)
    if cluster is not None and settings.refines:
        from foveate.cli.refine import refine_on_target

        if away:
            raise SettingsError("A refined network comes back to this machine: --out is a file.")

        refined = refine_on_target(
            cluster,
            source,
            settings,
            name=target or "spark",
            project=project,
            model=named,
            report=report,
            limit=limit,
            sample=sample,
            quiet=quiet,
        )
        refined.show(as_json=as_json, quiet=quiet)
        return
    if devices > 1 and not is_one_of_many():
        if not settings.refines:
            raise SettingsError("Several devices only help to refine: --classifier dnn or svm-dnn.")
        raise typer.Exit(run_many(devices, settings.device))
    place = None if is_helper() else find_place(project, settings.tracking)
    known = settings.as_text() | {"limit": str(limit)} | also_known(engine, target, sample)
    with recording(place, "train", source, known, label=settings.classifier) as record:
        with (
            ProgressBar(quiet=quiet or is_helper()) as progress,
            _engine(cluster) as where,
        ):
            training = pipeline.train(
                source,
                settings,
                limit=limit,
                sample=sample,
                name=record.name,
                engine=where,
                progress=progress,
            )
        model, beside = result_paths(training.name, named, report, None if away else project)
        page: Path | str = beside
        if away and out is not None:
            write_anywhere(out, training.classifier.onnx_bytes)
            page = report or f"{out.removesuffix('.onnx')}.html"
        else:
            training.save(model)
        details = training_report(training, model=model, source=source)
        write_report(page, training.evaluation, training.predictions, details)
        report = page if isinstance(page, Path) else None
        outcome = training_outcome(training, details, model=None if away else model, report=report)
        record.finish(outcome)
    if as_json:
        result = training_json(training, model=model, report=report)
        print_json(result | ({"model": out, "report": str(page)} if away else {}))
    else:
        print_training(training, str(out) if away else model, page)
    for note in training_notes(training):
        remark(f"Note: {note}", quiet=quiet)
    name_refused(training.prepared, quiet=quiet)


@contextmanager
def _engine(cluster: Target | None) -> Iterator[Engine]:
    """What computes features and fits heads."""
    if cluster is None:
        from foveate.training import HERE

        yield HERE
    else:
        from foveate.spark.engine import spark_engine

        with spark_engine(cluster) as engine:
            yield engine


def evaluate(
    model: options.ModelArgument,
    source: options.SourceArgument,
    include_training: Annotated[
        bool, typer.Option("--include-training", help="also on images it was trained on")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="write the predictions, .parquet or .csv", show_default=False),
    ] = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="where the HTML report goes [default: MODEL-on-SOURCE.html]", show_default=False
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Evaluate MODEL on the labelled images of SOURCE that it was not trained on."""
    from foveate import pipeline
    from foveate.classifier import load_classifier
    from foveate.evaluation import write_report
    from foveate.history import find_place, recording
    from foveate.outcomes import evaluation_outcome
    from foveate.predictions import write_predictions
    from foveate.results import evaluation_json, evaluation_report
    from foveate.settings import make_settings

    project = find_project(source)
    settings = make_settings(project, assignments or (), {"workers": workers})
    check_can_write(report)
    check_can_write(out)
    classifier = load_classifier(model, precision=settings.precision)
    place = find_place(project, settings.tracking)
    known = {"model": model, "include_training": str(include_training), "limit": str(limit)}
    with recording(place, "evaluate", source, known) as record:
        with ProgressBar(quiet=quiet) as progress:
            scoring = pipeline.evaluate(
                classifier,
                source,
                settings,
                include_training=include_training,
                limit=limit,
                progress=progress,
            )
        if scoring.evaluation is None:
            raise AssertionError("evaluate always evaluates")
        report = report or Path(f"{Path(model).stem}-on-{Path(source).resolve().name}.html")
        details = evaluation_report(scoring, model=model, source=source)
        write_report(report, scoring.evaluation, scoring.predictions, details)
        if out is not None:
            write_predictions(scoring.predictions, out)
        record.finish(evaluation_outcome(scoring, details, settings, report=report))
    if as_json:
        print_json(evaluation_json(scoring, report=report))
    else:
        print_evaluation(scoring.evaluation)
        print(f"\nReport  {report}")
    if scoring.trained_on and not include_training:
        remark(
            f"Note: {scoring.trained_on} images that the classifier was trained on (or copies of "
            "them) were left out.",
            quiet=quiet,
        )
    name_refused(scoring.prepared, quiet=quiet)
