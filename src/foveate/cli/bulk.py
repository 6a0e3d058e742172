"""`foveate score` and `foveate featurize`: all images of a source, here or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, print_table, remark, remarks
from foveate.cli.shared import EVERYWHERE, name_some
from foveate.errors import SettingsError
from foveate.files import is_url
from foveate.outputs import TABLE

if TYPE_CHECKING:
    from foveate.workflow.results.bulk import BulkResult


def score(
    model: options.ModelArgument,
    source: options.SourceArgument,
    out: Annotated[
        str,
        typer.Option(
            help="predictions, .parquet or .csv; on a cluster also a folder", show_default=False
        ),
    ],
    limit: options.Limit = None,
    sample: options.Sample = 1.0,
    engine: options.Engine = None,
    target: options.Target = None,
    seed: options.Seed = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Predict every image of SOURCE into a table."""
    from foveate.settings import make_settings
    from foveate.workflow.engine import choose_target
    from foveate.workflow.places import check_table, files_of, find_project
    from foveate.workflow.score import score as score_verb

    project = find_project(source)
    settings = make_settings(project, assignments or (), {"workers": workers, "seed": seed})
    on_cluster = choose_target(engine, target, project) is not None
    check_table("predictions", out, TABLE, [model, *files_of(source)], on_cluster=on_cluster)
    with ProgressBar(quiet=quiet) as progress:
        result = score_verb(
            model,
            source,
            settings,
            out=out,
            limit=limit,
            sample=sample,
            engine=engine,
            target=target,
            progress=progress,
            remark=remarks(quiet=quiet),
        )
    if as_json:
        print_json(result.to_json())
    else:
        counts = [[label, f"{n:,}"] for label, n in result.predicted.items()]
        print_table(["label", "images"], counts)
        speed = f"{_speed(result)}\n" if result.cluster else ""
        print(f"\n{speed}Predictions  {out}")
    _name_refused(result, f"the column `error` of {out} names them all", quiet=quiet)


def featurize(
    source: options.SourceArgument,
    out: Annotated[
        str, typer.Option(help="features, .parquet; on a cluster also a folder", show_default=False)
    ],
    backbone: options.Backbone = None,
    resolution: options.Resolution = None,
    limit: options.Limit = None,
    sample: options.Sample = 1.0,
    engine: options.Engine = None,
    target: options.Target = None,
    seed: options.Seed = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Write the features of every image of SOURCE."""
    from foveate.settings import make_settings
    from foveate.workflow.engine import choose_target
    from foveate.workflow.featurize import featurize as featurize_verb
    from foveate.workflow.places import check_table, files_of, find_project

    project = find_project(source)
    flags = {"backbone": backbone, "resolution": resolution, "workers": workers, "seed": seed}
    settings = make_settings(project, assignments or (), flags)
    on_cluster = choose_target(engine, target, project) is not None
    if not on_cluster and is_url(out):
        raise SettingsError(f"‘{out}’: write a file; `foveate copy` brings it there.")
    check_table("features", out, (".parquet",), files_of(source), on_cluster=on_cluster)
    with ProgressBar(quiet=quiet) as progress:
        result = featurize_verb(
            source,
            settings,
            out=out,
            limit=limit,
            sample=sample,
            engine=engine,
            target=target,
            progress=progress,
        ).result
    if as_json:
        print_json(result.to_json())
    else:
        print(f"{_speed(result)}\nFeatures  {out}")
    where = f"{_refused_of(out)} names them all" if result.cluster else ""
    _name_refused(result, where, quiet=quiet)


def _speed(result: BulkResult) -> str:
    """How much was done, and how fast."""
    done = f"{result.images:,} images"
    if result.images_per_second is None:
        return f"{done}, all {'done before' if result.cluster else 'from the cache'}"
    earlier = result.files - result.computed if result.cluster else 0
    before = f", {earlier:,} of them done before" if earlier else ""
    return f"{done} at {result.images_per_second:.0f} images/s{before}"


def _refused_of(out: str) -> str:
    """Where a cluster names the images that have no features."""
    from foveate.spark.jobs.merge import refused_beside

    return refused_beside(out) if out.endswith(".parquet") else f"{out}/_refused/"


def _name_refused(result: BulkResult, where: str, *, quiet: bool) -> None:
    """Say how many images were refused, and name the first few."""
    if result.cluster is None:
        where = EVERYWHERE
    name_some(result.named, result.refused, result.files, where, quiet=quiet)
    if result.cluster is not None and len(result.cluster.precisions) > 1:
        remark(
            f"Note: some workers computed in {' and some in '.join(result.cluster.precisions)}. "
            "`--set precision=float32` makes all of them alike.",
            quiet=quiet,
        )
