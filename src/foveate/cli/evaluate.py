"""`foveate evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, remark, remarks
from foveate.cli.shared import name_refused, print_evaluation
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
    from foveate.settings import make_settings
    from foveate.workflow.evaluate import evaluate as evaluate_verb
    from foveate.workflow.places import files_of, find_project

    settings = make_settings(find_project(source), assignments or (), {"workers": workers})
    report = report or Path(f"{Path(model).stem}-on-{Path(source).resolve().name}.html")
    outputs = [Output("the report", report, PAGE)]
    if out is not None:
        outputs.append(Output("predictions", out, TABLE))
    check_outputs(outputs, [model, *files_of(source), settings.test_list or None])
    with ProgressBar(quiet=quiet) as progress:
        run = evaluate_verb(
            model,
            source,
            settings,
            include_training=include_training,
            out=out,
            report=report,
            limit=limit,
            progress=progress,
            remark=remarks(quiet=quiet),
        )
    if as_json:
        print_json(run.to_json())
    else:
        print_evaluation(run.measures)
        print(f"\nReport  {report}")
    if run.evaluated.trained_on and not include_training:
        remark(
            f"Note: {run.evaluated.trained_on} images that the classifier was trained on (or "
            "copies of them) were left out.",
            quiet=quiet,
        )
    name_refused(run.evaluated.prepared, quiet=quiet)
