"""`foveate predict`, `foveate score` and `foveate featurize`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, print_table
from foveate.cli.images import ImagesArgument, PredictionPrinter, expand
from foveate.cli.shared import check_can_write, find_project, name_refused


def predict(
    model: options.ModelArgument,
    images: ImagesArgument,
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """Say which label each IMAGE has, and how probable each label is."""
    from foveate.classifier import load_classifier

    classifier = load_classifier(model)
    paths = [path for image in images for path in expand(image)]
    given = [sys.stdin.buffer.read() if path == "-" else path for path in paths]
    predictions = classifier.predict(given) if given else []
    with PredictionPrinter(as_json=as_json) as printer:
        for path, one in zip(paths, predictions, strict=True):
            printer.add(path, one)
        printer.finish(model)
    if printer.all_refused:
        raise typer.Exit(1)


def score(
    model: options.ModelArgument,
    source: options.SourceArgument,
    out: Annotated[Path, typer.Option(help="predictions, .parquet or .csv", show_default=False)],
    limit: options.Limit = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Predict every image of SOURCE into a table."""
    from foveate import pipeline
    from foveate.classifier import load_classifier
    from foveate.history import find_place, recording
    from foveate.outcomes import score_outcome
    from foveate.predictions import check_suffix, write_predictions
    from foveate.results import rate_json
    from foveate.settings import make_settings

    check_suffix(out)
    check_can_write(out)
    project = find_project(source)
    settings = make_settings(project, assignments or (), {"workers": workers})
    classifier = load_classifier(model, precision=settings.precision)
    place = find_place(project, settings.tracking)
    known = {"model": model, "limit": str(limit)}
    with recording(place, "score", source, known) as record:
        with ProgressBar(quiet=quiet) as progress:
            scoring = pipeline.score(classifier, source, settings, limit=limit, progress=progress)
        write_predictions(scoring.predictions, out)
        record.finish(score_outcome(scoring, settings, out=out))
    if as_json:
        print_json(rate_json(scoring.prepared, scoring.seconds, out))
    else:
        predicted = scoring.predictions.predicted
        counts = [(label, predicted.count(label)) for label in classifier.labels]
        print_table(["label", "images"], [[label, f"{count:,}"] for label, count in counts])
        print(f"\nPredictions  {out}")
    name_refused(scoring.prepared, quiet=quiet)


def featurize(
    source: options.SourceArgument,
    out: Annotated[Path, typer.Option(help="features, .parquet", show_default=False)],
    backbone: options.Backbone = None,
    resolution: options.Resolution = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Write the features of every image of SOURCE."""
    from foveate import pipeline
    from foveate.errors import SettingsError
    from foveate.results import rate_json
    from foveate.settings import make_settings

    if out.suffix != ".parquet":
        raise SettingsError(f"Features are written as Parquet: ‘{out}’ must end in .parquet.")
    check_can_write(out)
    flags = {"backbone": backbone, "resolution": resolution, "workers": workers}
    settings = make_settings(find_project(source), assignments or (), flags)
    with ProgressBar(quiet=quiet) as progress:
        prepared, seconds = pipeline.featurize(source, settings, limit=limit, progress=progress)
    prepared.write_features(out)
    if as_json:
        print_json(rate_json(prepared, seconds, out))
    else:
        rate = prepared.rate.images_per_second
        speed = f" at {rate:.0f} images/s" if rate is not None else ", all from the cache"
        print(f"{len(prepared.catalog.usable):,} images{speed}\nFeatures  {out}")
    name_refused(prepared, quiet=quiet)
