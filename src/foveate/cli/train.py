"""`foveate train`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, remark, remarks
from foveate.cli.shared import show_training, tell_notes
from foveate.errors import SettingsError
from foveate.launch.position import is_helper, is_one_of_many
from foveate.launch.processes import run_machines, run_many

if TYPE_CHECKING:
    from foveate.settings import Settings
    from foveate.targets import Target
    from foveate.workflow.places import Destination
    from foveate.workflow.train import Run


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
    from foveate.workflow.engine import choose_target
    from foveate.workflow.places import Destination, files_of, find_project
    from foveate.workflow.train import train as train_verb

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
    destination = Destination(out, report, project)
    destination.check([*files_of(source), settings.test_list])
    if not settings.refines:
        _check_flags({"--depth": depth, "--epochs": epochs, "--device": device}, devices, quiet)
    elif not is_one_of_many():
        cluster = choose_target(engine, target, project)
        if cluster is not None and cluster.kind == "torch":
            _check_stays_here(destination)
            run_machines(cluster, settings, source, remark=lambda text: remark(text, quiet=quiet))
            return
        if cluster is not None:
            _check_stays_here(destination)
            _refine_there(
                cluster,
                source,
                settings,
                target or "spark",
                destination,
                limit,
                sample,
                as_json=as_json,
                quiet=quiet,
            )
            return
    if devices > 1 and not is_one_of_many():
        run_many(devices, settings)
        return
    quiet = quiet or is_helper()
    with ProgressBar(quiet=quiet) as progress:
        trained = train_verb(
            source,
            settings,
            out=out,
            report=report,
            write=True,
            limit=limit,
            sample=sample,
            engine=engine,
            target=target,
            progress=progress,
            remark=remarks(quiet=quiet),
        )
    _show(trained, as_json=as_json, quiet=quiet)


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


def _check_stays_here(destination: Destination) -> None:
    if destination.url:
        raise SettingsError("A refined network comes back to this machine: --out is a file.")


def _refine_there(
    cluster: Target,
    source: str,
    settings: Settings,
    name: str,
    destination: Destination,
    limit: int | None,
    sample: float,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Refine on a cluster of kind spark."""
    from foveate.spark.refining.on_target import refine_on_target
    from foveate.spark.refining.worker import Terminal

    refined = refine_on_target(
        cluster,
        source,
        settings,
        name=name,
        destination=destination,
        limit=limit,
        sample=sample,
        terminal=Terminal(ProgressBar, show_training),
        remark=remarks(quiet=quiet),
        notice=lambda text: remark(text, quiet=quiet),
        quiet=quiet,
    )
    if as_json:
        print_json(refined.result)
    else:
        print(refined.text, end="")
    if refined.remarks:
        remark(refined.remarks.rstrip(), quiet=quiet)


def _show(run: Run, *, as_json: bool, quiet: bool) -> None:
    """Print the table or the JSON object, and what to know before trusting the numbers."""
    if as_json:
        print_json(run.to_json())
        tell_notes(run.training, quiet=quiet)
    else:
        show_training(run.training, str(run.model), str(run.report), quiet=quiet)
