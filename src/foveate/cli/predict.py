"""`foveate predict`, `foveate score` and `foveate featurize`."""

from __future__ import annotations

import glob
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate import files
from foveate.cli import options
from foveate.cli.console import ProgressBar, percent, print_json, print_table
from foveate.cli.shared import check_can_write, find_project, name_refused

if TYPE_CHECKING:
    from foveate.classifier import Prediction


def predict(
    model: options.ModelArgument,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE…",
            help="files, folders, globs, URLs, or - for an image on standard input",
            show_default=False,
        ),
    ],
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """Say which label each IMAGE has, and how probable each label is."""
    from foveate.classifier import load_classifier

    classifier = load_classifier(model)
    paths = [path for image in images for path in _expand(image)]
    predictions: list[Prediction] = []
    if paths:
        given = [sys.stdin.buffer.read() if path == "-" else path for path in paths]
        predictions = classifier.predict(given)
    if as_json:
        print_json(
            {
                "model": model,
                "predictions": [
                    {"path": path, "error": one.error}
                    if one.error is not None
                    else {
                        "path": path,
                        "label": one.label,
                        "probability": one.probability,
                        "probabilities": dict(one.probabilities),
                    }
                    for path, one in zip(map(files.printable, paths), predictions, strict=True)
                ],
            }
        )
    else:
        _print_predictions([files.printable(path) for path in paths], predictions)
    if predictions and all(one.error is not None for one in predictions):
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


def _expand(image: str) -> list[str]:
    """The files that one argument stands for; what is not there stays, to be reported."""
    if image == "-" or (not files.is_folder(image) and files.exists(image)):
        return [image]
    if files.is_folder(image):
        return [entry.path for entry in files.list_files(image)]
    found = sorted(glob.glob(image, recursive=True)) if glob.has_magic(image) else []  # noqa: PTH207
    return [path for path in found if not Path(path).is_dir()] or [image]


def _print_predictions(paths: list[str], predictions: list[Prediction]) -> None:
    rows = []
    for path, one in zip(paths, predictions, strict=True):
        if one.error is not None:
            rows.append([path, "refused", one.error])
        else:
            ranked = sorted(one.probabilities.items(), key=lambda item: -item[1])
            others = ", ".join(f"{label} {percent(p)}" for label, p in ranked[1:3])
            rows.append([path, f"{one.label} {percent(ranked[0][1])}", others])
    print_table(["image", "label", "then"], rows)
