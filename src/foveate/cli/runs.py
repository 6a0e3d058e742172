"""`foveate runs`: what is on record, and which of two runs is better."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import percent, print_json, print_table, remark

if TYPE_CHECKING:
    from foveate.evaluation.paired import LabelDifference
    from foveate.history import HistoryPlace, RecordedRun
    from foveate.workflow.compare import RunComparison

app = typer.Typer(no_args_is_help=True, help="What was tried and what came out.")

Project = Annotated[
    Path | None,
    typer.Option(
        "--project",
        help="the project whose runs [default: the one in this folder; else those on bare folders]",
        show_default=False,
    ),
]
SECONDS_TO_WAIT = 60.0
"""For another command that is just sending the same runs."""

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="a name, its beginning or end, `last`, `last~1`", show_default=False
    ),
]


@app.command("list")
def list_command(
    project: Project = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="only runs like this: 'accuracy>=0.95', 'classifier=svm'; repeatable",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="a metric or setting, highest first [default: newest first]", show_default=False
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="the other way round")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="runs to show [default: 30; with --json all]", show_default=False),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """List runs: what was tried, and what came out."""
    from foveate.history.selection import check_names, parse_condition, select

    conditions = [parse_condition(text) for text in where or ()]
    place, runs = _runs(project, quiet=quiet)
    if runs:
        check_names(runs, [*(one.name for one in conditions), *([sort] if sort else [])])
    selected = select(runs, conditions, sort=sort, reverse=reverse)
    if as_json:
        print_json({"runs": [run.to_json() for run in selected[:limit]], "found": len(selected)})
        return
    limit = limit or 30
    if not selected:
        said = "No run on record is like that." if runs else f"No runs on record in {place.folder}."
        print(said)
        return
    extra = sort if sort and sort not in _SHOWN else None
    header = [
        "run",
        "status",
        "source",
        "classifier",
        "backbone",
        "px",
        "accuracy",
        "95 % interval",
    ]
    header += ["n", "took"] + ([extra] if extra else [])
    print_table(header, [_row(run, extra) for run in selected[:limit]])
    if len(selected) > limit:
        remark(f"{len(selected) - limit} more; --limit shows them.", quiet=quiet)


@app.command()
def show(
    run: RunArgument = "last",
    project: Project = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Everything that is on record about RUN."""
    from foveate.history import find_run

    _, runs = _runs(project, quiet=quiet)
    chosen = find_run(runs, run)
    if as_json:
        print_json(chosen.to_json())
        return
    print(f"{chosen.name}: {chosen.kind} on {chosen.source}, {_when(chosen)}, {_status(chosen)}")
    if chosen.reason:
        print(chosen.reason)
    _print_classes(chosen)
    _print_pairs("metric", [(k, f"{v:.4g}") for k, v in _other_metrics(chosen)])
    _print_pairs("setting", sorted(chosen.settings.items()))
    _print_pairs("fact", sorted(chosen.tags.items()))
    if chosen.artifacts is not None and chosen.artifacts.is_dir():
        print(f"\nFiles  {chosen.artifacts}")
        for path in sorted(chosen.artifacts.iterdir()):
            print(f"  {path.name}")


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…",
            help="two or more: a name, its beginning or end, `last`, `last~1`; compared with the "
            "first",
            show_default=False,
        ),
    ],
    project: Project = None,
    report: Annotated[Path, typer.Option(help="where the HTML page goes")] = Path(
        "comparison.html"
    ),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Say which RUN is better, and whether that is more than luck."""
    from foveate.evaluation.comparison_report import write_comparison
    from foveate.history import find_run
    from foveate.outputs import PAGE, Output, check_outputs
    from foveate.workflow.compare import compare_runs

    check_outputs([Output("the report", report, PAGE)])
    place, recorded = _runs(project, quiet=quiet)
    comparison = compare_runs(place, [find_run(recorded, name) for name in runs])
    write_comparison(report, comparison.runs, against_first=comparison.against_first)
    if as_json:
        print_json(comparison.to_json() | {"report": str(report)})
    else:
        _print_comparison(comparison)
        print(f"\nReport  {report}")


@app.command()
def send(
    project: Project = None,
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """Wait until every run that is kept here has been sent to where runs are on record."""
    from foveate.errors import HistoryError
    from foveate.history import unsent_runs
    from foveate.history.recorder import send_all

    place = _place(project)
    before = len(unsent_runs(place))
    arrived = send_all(place, patience=SECONDS_TO_WAIT)
    left = unsent_runs(place)
    if as_json:
        print_json({"sent": before - len(left), "left": len(left)})
    else:
        print(f"{before - len(left)} sent, {len(left)} left")
    if not arrived:
        raise HistoryError(f"Not every run could be sent to {place.shown}; {len(left)} are kept.")


@app.command()
def ui(
    project: Project = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="on this machine")] = 5000,
    _debug: options.Debug = False,
) -> None:
    """Open MLflow's own page about the runs."""
    import os
    import subprocess
    import sys
    from importlib.util import find_spec

    from foveate.errors import HistoryError

    place = _place(project)
    if place.database is None:
        print(f"The runs are on a server; its page is {place.shown}")
        return
    if find_spec("mlflow.server") is None or find_spec("flask") is None:
        raise HistoryError(
            "MLflow's page needs the whole of MLflow: pip install 'foveate[mlflow]'. "
            "`foveate runs list` and `foveate runs compare` work without it."
        )
    if not place.database.is_file():
        raise HistoryError(f"No runs on record in {place.folder} yet.")
    print(f"MLflow's page: http://127.0.0.1:{port}  (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", place.uri, "--workers", "1"]
    # Its jobs (evaluations of prompts and the like) are many more processes that nobody here uses.
    wanted = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    ended = subprocess.run(command, check=False, env=wanted | os.environ)  # noqa: S603 - our words
    raise typer.Exit(ended.returncode)


_SHOWN = {"name", "status", "source", "classifier", "backbone", "resolution", "accuracy", "seconds"}


def _place(project: Path | None) -> HistoryPlace:
    from foveate.errors import HistoryError
    from foveate.history import find_place
    from foveate.settings import make_settings
    from foveate.workflow.places import find_project

    folder = project or find_project(".")
    if project is not None and find_project(str(project)) is None:
        raise HistoryError(f"‘{project}’ is not a project: it has no foveate.toml.")
    place = find_place(folder, make_settings(folder).tracking)
    if place is None:
        raise HistoryError(
            "There is no run history: it is turned off (FOVEATE_HISTORY=off), or this user has no "
            "home folder and FOVEATE_HISTORY names none."
        )
    return place


def _runs(project: Path | None, *, quiet: bool) -> tuple[HistoryPlace, list[RecordedRun]]:
    """All runs of a place; what still waits to be sent is sent beside."""
    from foveate.errors import HistoryError
    from foveate.history import list_runs, unsent_runs
    from foveate.history.recording import send_waiting

    place = _place(project)
    try:
        runs = list_runs(place)
    except HistoryError as error:
        runs = unsent_runs(place)
        if not runs:
            raise
        remark(f"{error} Only the runs that wait to be sent are shown.", quiet=quiet)
    if unsent := send_waiting(place):
        remark(unsent, quiet=quiet)
    return place, runs


def _row(run: RecordedRun, extra: str | None) -> list[str]:
    from foveate.history.selection import value_of

    metrics, settings = run.metrics, run.settings
    low, high = metrics.get("accuracy.low"), metrics.get("accuracy.high")
    row = [
        run.name,
        run.status,
        Path(run.source).name or run.source,
        settings.get("classifier", ""),
        settings.get("backbone", ""),
        settings.get("resolution", ""),
        percent(metrics["accuracy"]) if "accuracy" in metrics else "",
        f"{percent(low)} to {percent(high)}" if low is not None and high is not None else "",
        f"{metrics.get('n_test', metrics.get('images', 0)):.0f}" if metrics else "",
        f"{run.seconds:.0f} s" if run.seconds else "",
    ]
    if extra:
        value = value_of(run, extra)
        row.append("" if value is None else f"{value:.4g}" if isinstance(value, float) else value)
    return row


def _print_comparison(comparison: RunComparison) -> None:
    from foveate.evaluation.paired import Paired

    names = [run.name for run in comparison.runs]
    print_table(["measure", *names], _measures(comparison))
    if comparison.differing:
        print()
        print_table(["setting", *names], [[name, *values] for name, values in comparison.differing])
    for sentence in comparison.sentences:
        print(f"\n{sentence}")
    if len(names) == 2 and isinstance(pair := comparison.against_first[0], Paired):
        print()
        header = ["label", "test images", *names, "difference, points"]
        print_table(header, [_label_row(label, one) for label, one in pair.per_label.items()])


def _label_row(label: str, one: LabelDifference) -> list[str]:
    difference = one.difference
    low, high = 100 * difference.low, 100 * difference.high
    return [
        label,
        f"{one.n}",
        percent(one.accuracy_b.value),
        percent(one.accuracy_a.value),
        f"{100 * difference.value:+.1f} ({low:+.1f} to {high:+.1f})",
    ]


def _measures(comparison: RunComparison) -> list[list[str]]:
    evaluations = [run.evaluation for run in comparison.runs]
    estimates = {
        "accuracy": [one.accuracy for one in evaluations],
        "class-average accuracy": [one.class_average_accuracy for one in evaluations],
    }
    rows = [
        [name, *(f"{percent(e.value)} ({percent(e.low)} to {percent(e.high)})" for e in values)]
        for name, values in estimates.items()
    ]
    areas = [one.class_average_auc for one in evaluations]
    rows.append(
        [
            "class-average AUC",
            *(f"{a.value:.3f} ({a.low:.3f} to {a.high:.3f})" if a.known else "–" for a in areas),
        ]
    )
    rows.append(["log loss", *(f"{one.calibration.log_loss:.3f}" for one in evaluations)])
    rows.append(["test images", *(f"{one.n}" for one in evaluations)])
    seconds = [run.seconds for run in comparison.recorded]
    rows.append(["took", *("–" if s is None else f"{s:.0f} s" for s in seconds)])
    return rows


def _when(run: RecordedRun) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))


def _status(run: RecordedRun) -> str:
    return run.status if run.seconds is None else f"{run.status} after {run.seconds:.0f} s"


def _print_classes(run: RecordedRun) -> None:
    labels = [
        name.removeprefix("class.").removesuffix(".accuracy")
        for name in run.metrics
        if name.startswith("class.") and name.endswith(".accuracy")
    ]
    names = {f"class.{label}": label for label in sorted(labels)}
    names |= {"class_average": "class average", "": "all images"}
    rows = []
    for prefix, label in names.items():
        accuracy, auc = _metric_names(prefix)
        if accuracy not in run.metrics:
            continue
        low, high = (run.metrics.get(f"{accuracy}.{end}", float("nan")) for end in ("low", "high"))
        n = run.metrics.get(f"{prefix}.n", run.metrics.get("n_test", 0))
        area = f"{run.metrics[auc]:.3f}" if auc in run.metrics else ""
        rows.append(
            [
                label,
                f"{n:.0f}",
                percent(run.metrics[accuracy]),
                f"{percent(low)} to {percent(high)}",
                area,
            ]
        )
    if rows:
        print()
        print_table(["label", "test images", "accuracy", "95 % interval", "AUC"], rows)


def _metric_names(prefix: str) -> tuple[str, str]:
    """The names of accuracy and area of a label, of the class average, or of all images."""
    if prefix == "":
        return "accuracy", ""
    joint = "." if prefix.startswith("class.") else "_"
    return f"{prefix}{joint}accuracy", f"{prefix}{joint}auc"


def _other_metrics(run: RecordedRun) -> list[tuple[str, float]]:
    shown = ("class.", "class_average", "accuracy")
    return sorted((k, v) for k, v in run.metrics.items() if not k.startswith(shown))


def _print_pairs(kind: str, pairs: list[tuple[str, str]]) -> None:
    if pairs:
        print()
        width = max(len(name) for name, _ in pairs)
        print(f"{kind}s")
        for name, value in pairs:
            print(f"  {name.ljust(width)}  {value}")
