"""`foveate tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, percent, print_json, print_table, remark, remarks
from foveate.cli.shared import name_refused
from foveate.outputs import PAGE, Output, check_outputs

if TYPE_CHECKING:
    from foveate.tuning import Tuning


def tune(
    source: options.SourceArgument,
    minutes: Annotated[
        float | None,
        typer.Option(help="what it may take [default: {MINUTES:g}]", show_default=False),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="a backbone to try; repeatable [default: all that are here]", show_default=False
        ),
    ] = None,
    resolution: Annotated[
        list[int] | None,
        typer.Option(
            help="pixels a side to try; repeatable [default: 224, 320, 448, 896, as far as the "
            "images have the detail]",
            show_default=False,
        ),
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="svm, logistic or forest; repeatable [default: all three]", show_default=False
        ),
    ] = None,
    split: options.SplitBy = None,
    test_share: options.TestShare = None,
    test_list: options.TestList = None,
    exclude: options.Exclude = None,
    seed: options.Seed = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="where the HTML page goes [default: tune.html; in a project reports/RUN.html]",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Try backbones, resolutions and heads on SOURCE: accuracy against images/s."""
    from foveate.settings import MINUTES, make_settings
    from foveate.workflow.places import files_of, find_project
    from foveate.workflow.tune import tune as tune_verb
    from foveate.workflow.tune import usual_page

    project = find_project(source)
    settings = make_settings(
        project,
        assignments or (),
        {
            "split": split,
            "test_share": test_share,
            "test_list": str(test_list) if test_list else None,
            "exclude": tuple(exclude) if exclude else None,
            "seed": seed,
            "workers": workers,
        },
    )
    page = report or usual_page(project, "tune")
    inputs = [*files_of(source), settings.test_list or None]
    check_outputs([Output("the report", page, PAGE)], inputs)
    with ProgressBar(quiet=quiet) as progress:
        tuning = tune_verb(
            source,
            settings,
            minutes=MINUTES if minutes is None else minutes,
            backbones=backbone or (),
            resolutions=resolution or (),
            classifiers=classifier or (),
            limit=limit,
            report=report,
            write=True,
            progress=progress,
            remark=remarks(quiet=quiet),
        )
    if as_json:
        print_json({"report": str(tuning.page), **tuning.to_json()})
    else:
        _print(tuning)
    if tuning.untried:
        remark(
            f"Note: the minutes did not suffice for {len(tuning.untried)} of "
            f"{len(tuning.candidates)} settings; the same command goes on where it ended.",
            quiet=quiet,
        )
    name_refused(tuning.training.prepared, quiet=quiet)


def _print(tuning: Tuning) -> None:
    """The table and the few lines after it."""
    print_table(
        ["setting", "accuracy", "95 % interval", "images/s", ""],
        [
            [
                str(row.tried.candidate),
                percent(row.tried.accuracy.value),
                f"{percent(row.tried.accuracy.low)} to {percent(row.tried.accuracy.high)}",
                f"{row.tried.images_per_second:,.0f}",
                row.marks,
            ]
            for row in tuning.rows
        ],
    )
    accuracy = tuning.evaluation.accuracy
    print(
        "\nAccuracy in the table is from cross-validation inside the training images.\n"
        f"The chosen one ({tuning.chosen.candidate}) is right on {percent(accuracy.value)} of "
        f"{accuracy.n} test images ({percent(accuracy.low)} to {percent(accuracy.high)}), "
        f"{sum(tuning.seconds.values()):.1f} s in all.\n"
        f"{tuning.gains.sentence}\n\n"
        f"Train it  {tuning.command()}\n"
        f"Report    {tuning.page}"
    )
