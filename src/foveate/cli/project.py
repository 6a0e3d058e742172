"""`foveate demo` and `foveate new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, remark
from foveate.cli.shared import print_training
from foveate.outputs import Output, check_folder, check_outputs

GENERATED = "The images of this demo are drawn by a program; they are not photographs."


def demo(
    out: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="the folder for images, model and report")
    ] = Path("foveate-demo"),
    seed: options.Seed = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """The whole story on generated images: draw, train, evaluate, report."""
    from dataclasses import replace

    from foveate.demo import COUNT, draw_garments
    from foveate.evaluation import write_report
    from foveate.settings import Settings
    from foveate.workflow.results.training import training_json, training_report
    from foveate.workflow.training import train_classifier

    images, model, report = out / "images", out / "model.onnx", out / "model.html"
    check_folder(images)
    check_outputs([Output("the classifier", model), Output("the report", report)])
    remark(f"Drawing {COUNT} garments in three textures. {GENERATED}", quiet=quiet)
    with ProgressBar(quiet=quiet) as progress:
        draw_garments(images, seed=seed or 0, progress=lambda done: progress("draw", done, COUNT))
        settings = Settings(seed=seed or 0)
        training = train_classifier(images, settings, progress=progress)
    training.save(model)
    details = training_report(training, model=model, source=str(images))
    write_report(
        report,
        training.evaluation,
        training.predictions,
        replace(details, title="Demo: textures of generated garments", generated=True),
    )
    if as_json:
        result = training_json(training, model=model, report=report)
        print_json(result | {"generated": True})
        return
    print_training(training, model, report)
    remark(
        "\nThe same on your own images, one subfolder per label:\n\n"
        "    foveate train YOUR-FOLDER --out model.onnx",
        quiet=quiet,
    )


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """Make a project: a settings file with every parameter explained, and a place for images."""
    from foveate.errors import SettingsError
    from foveate.files import write_bytes
    from foveate.settings import FILE_NAME, settings_template

    if (folder / FILE_NAME).exists():
        raise SettingsError(f"‘{folder}’ is a project already; its settings are in {FILE_NAME}.")
    check_folder(folder / "images")
    check_outputs([Output("the settings file", folder / FILE_NAME)])
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_bytes(folder / FILE_NAME, settings_template().encode())
    if as_json:
        print_json({"project": str(folder), "settings": str(folder / FILE_NAME)})
        return
    print(
        f"Settings  {folder / FILE_NAME}\n"
        f"Put the images into {folder / 'images'}, one subfolder per label; then\n\n"
        f"    foveate train {folder}"
    )
