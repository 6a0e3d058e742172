"""`foveate predict`."""

from __future__ import annotations

import typer

from foveate.cli import options
from foveate.cli.images import ImagesArgument, PredictionPrinter, expand, read_standard_input


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
    given = [read_standard_input() if path == "-" else path for path in paths]
    predictions = classifier.predict(given) if given else []
    with PredictionPrinter(as_json=as_json) as printer:
        for path, prediction in zip(paths, predictions, strict=True):
            printer.add(path, prediction)
        printer.finish(model)
    if printer.all_refused:
        raise typer.Exit(1)
