"""`foveate evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, remark, remarks
from foveate.cli.shared import files_of, find_project, name_refused, print_evaluation
from foveate.outputs import PAGE, TABLE, Output, check_outputs


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
    from foveate.classifier import load_classifier
    from foveate.evaluation import write_report
    from foveate.history import find_place, recording
    from foveate.predictions import write_predictions
    from foveate.settings import make_settings
    from foveate.workflow import pipeline
    from foveate.workflow.outcomes import evaluation_outcome
    from foveate.workflow.results import evaluation_json, evaluation_report

    project = find_project(source)
    settings = make_settings(project, assignments or (), {"workers": workers})
    report = report or Path(f"{Path(model).stem}-on-{Path(source).resolve().name}.html")
    outputs = [Output("the report", report, PAGE)]
    if out is not None:
        outputs.append(Output("predictions", out, TABLE))
    check_outputs(outputs, [model, *files_of(source), settings.test_list or None])
    classifier = load_classifier(model, precision=settings.precision)
    place = find_place(project, settings.tracking)
    told = remarks(quiet=quiet)
    known = {"model": model, "include_training": str(include_training), "limit": str(limit)}
    with recording(place, "evaluate", source, known, remark=told) as record:
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
