"""`foveate score` and `foveate featurize`: all images of a source, here or on a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, print_table, remark, remarks
from foveate.cli.shared import (
    also_known,
    choose_target,
    files_of,
    find_project,
    name_refused,
    name_some,
)
from foveate.errors import OutputError
from foveate.files import is_url
from foveate.outputs import TABLE, Output, check_folder, check_outputs, is_same_file

if TYPE_CHECKING:
    from foveate.spark.bulk import Bulk
    from foveate.targets import Target
    from foveate.workflow.pipeline import Scoring
    from foveate.workflow.preparation import Prepared


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
    from foveate.classifier import load_classifier
    from foveate.history import find_place, recording
    from foveate.predictions import write_predictions
    from foveate.settings import make_settings
    from foveate.workflow import pipeline
    from foveate.workflow.outcomes import bulk_score_outcome, score_outcome

    project = find_project(source)
    settings = make_settings(project, assignments or (), {"workers": workers, "seed": seed})
    cluster = choose_target(engine, target, project)
    _check_out("predictions", out, TABLE, cluster, [model, *files_of(source)])
    classifier = load_classifier(model, precision=settings.precision)
    place = find_place(project, settings.tracking)
    told = remarks(quiet=quiet)
    known = {"model": model, "limit": str(limit)} | also_known(engine, target, sample)
    if cluster is not None:
        from foveate.spark.bulk import score as score_there

        with recording(place, "score", source, known, remark=told) as record:
            with ProgressBar(quiet=quiet) as progress:
                bulk = score_there(
                    classifier,
                    source,
                    settings,
                    target=cluster,
                    out=out,
                    limit=limit,
                    sample=sample,
                    progress=progress,
                )
            record.finish(bulk_score_outcome(bulk, classifier, settings))
        _show_scored_there(bulk, out, as_json=as_json, quiet=quiet)
        return
    with recording(place, "score", source, known, remark=told) as record:
        with ProgressBar(quiet=quiet) as progress:
            scoring = pipeline.score(
                classifier, source, settings, limit=limit, sample=sample, progress=progress
            )
        write_predictions(scoring.predictions, out)
        record.finish(score_outcome(scoring, settings, out=Path(out)))
    _show_scored(scoring, out, as_json=as_json, quiet=quiet)


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
    from foveate.errors import SettingsError
    from foveate.settings import make_settings
    from foveate.workflow import pipeline

    project = find_project(source)
    flags = {"backbone": backbone, "resolution": resolution, "workers": workers, "seed": seed}
    settings = make_settings(project, assignments or (), flags)
    cluster = choose_target(engine, target, project)
    if cluster is None and is_url(out):
        raise SettingsError(f"‘{out}’: write a file; `foveate copy` brings it there.")
    _check_out("features", out, (".parquet",), cluster, files_of(source))
    if cluster is not None:
        from foveate.spark.bulk import featurize as featurize_there

        with ProgressBar(quiet=quiet) as progress:
            bulk = featurize_there(
                source,
                settings,
                target=cluster,
                out=out,
                limit=limit,
                sample=sample,
                progress=progress,
            )
        _show_featurized_there(bulk, out, as_json=as_json, quiet=quiet)
        return
    with ProgressBar(quiet=quiet) as progress:
        prepared, seconds = pipeline.featurize(
            source, settings, limit=limit, sample=sample, progress=progress
        )
    prepared.write_features(Path(out))
    _show_featurized(prepared, seconds, out, as_json=as_json, quiet=quiet)


def _check_out(
    what: str, out: str, suffixes: Sequence[str], cluster: Target | None, inputs: Sequence[str]
) -> None:
    """See that the result can be written; on a cluster it may be a folder, too.

    Raises:
        OutputError: it cannot, or it would replace what is read.
    """
    if cluster is None or out.lower().endswith(tuple(suffixes)):
        check_outputs([Output(what, out, suffixes)], inputs)
    elif any(is_same_file(out, one) for one in inputs):
        raise OutputError(f"‘{out}’ is read by this very command; name another folder.")
    else:
        check_folder(out)


def _show_scored(scoring: Scoring, out: str, *, as_json: bool, quiet: bool) -> None:
    from foveate.workflow.results import rate_json

    if as_json:
        print_json(rate_json(scoring.prepared, scoring.seconds, Path(out)))
    else:
        predicted = Counter(scoring.predictions.predicted)
        counts = {label: predicted[label] for label in scoring.predictions.labels}
        _print_counts(counts)
        print(f"\nPredictions  {out}")
    name_refused(scoring.prepared, quiet=quiet)


def _show_scored_there(bulk: Bulk, out: str, *, as_json: bool, quiet: bool) -> None:
    from foveate.workflow.results import bulk_json

    if as_json:
        print_json(bulk_json(bulk))
    else:
        _print_counts(bulk.predicted)
        print(f"\n{_speed(bulk)}\nPredictions  {out}")
    _name_refused_there(bulk, f"the column `error` of {out} names them all", quiet=quiet)


def _show_featurized(
    prepared: Prepared, seconds: dict[str, float], out: str, *, as_json: bool, quiet: bool
) -> None:
    from foveate.workflow.results import rate_json

    if as_json:
        print_json(rate_json(prepared, seconds, Path(out)))
    else:
        rate = prepared.rate.images_per_second
        speed = f" at {rate:.0f} images/s" if rate is not None else ", all from the cache"
        print(f"{len(prepared.catalog.usable):,} images{speed}\nFeatures  {out}")
    name_refused(prepared, quiet=quiet)


def _show_featurized_there(bulk: Bulk, out: str, *, as_json: bool, quiet: bool) -> None:
    from foveate.spark.merge import refused_beside
    from foveate.workflow.results import bulk_json

    if as_json:
        print_json(bulk_json(bulk))
    else:
        print(f"{_speed(bulk)}\nFeatures  {out}")
    single = out.endswith(".parquet")
    where = refused_beside(out) if single else f"{out}/_refused/"
    _name_refused_there(bulk, f"{where} names them all", quiet=quiet)


def _print_counts(predicted: Mapping[str, int]) -> None:
    print_table(["label", "images"], [[label, f"{n:,}"] for label, n in predicted.items()])


def _speed(bulk: Bulk) -> str:
    """How much was done, and how fast."""
    done = f"{bulk.images - bulk.refused:,} images"
    if bulk.images_per_second is None:
        return f"{done}, all done before"
    earlier = bulk.images - bulk.computed
    known = f", {earlier:,} of them done before" if earlier else ""
    return f"{done} at {bulk.images_per_second:.0f} images/s{known}"


def _name_refused_there(bulk: Bulk, where: str, *, quiet: bool) -> None:
    name_some(bulk.named, bulk.refused, bulk.images, where, quiet=quiet)
    if len(bulk.precisions) > 1:
        remark(
            f"Note: some workers computed in {' and some in '.join(bulk.precisions)}. "
            "`--set precision=float32` makes all of them alike.",
            quiet=quiet,
        )
