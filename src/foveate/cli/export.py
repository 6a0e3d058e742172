"""`foveate export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, percent, print_json, print_table, remark
from foveate.cli.shared import name_refused
from foveate.errors import SettingsError
from foveate.outputs import MODEL, Output, check_outputs

if TYPE_CHECKING:
    from foveate.classifier import Classifier
    from foveate.exporting import Int8Export
    from foveate.settings import Settings

_NO_SOURCE = (
    "`--int8` needs a SOURCE after MODEL: the images that the classifier was trained on, to "
    "calibrate on, and others to measure the cost on. `foveate export MODEL SOURCE --int8 --out "
    "FILE.onnx`."
)


def export(
    model: options.ModelArgument,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="with --int8: the images it was trained on and others to test on, as a rule what "
            "`foveate train` was given",
            show_default=False,
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="the network in eight-bit integers, as ONNX")
    ] = False,
    openvino: Annotated[
        bool, typer.Option("--openvino", help="the whole classifier as OpenVINO's .xml and .bin")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="FILE.onnx with --int8; a folder or FILE.xml with --openvino", show_default=False
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="training images to calibrate on, with --int8 [default: {CALIBRATION_IMAGES}]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="write it even if it costs over 1 point or gains no speed"),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="draws the calibration images [default: 0]", show_default=False),
    ] = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Write MODEL in another form: in int8, or for OpenVINO; after measuring that it is as good."""
    from foveate.classifier import load_classifier
    from foveate.settings import CALIBRATION_IMAGES, make_settings
    from foveate.workflow.places import files_of, find_project

    if int8 == openvino:
        raise SettingsError("Say what to export: either `--int8` or `--openvino`.")
    if out is None:
        raise SettingsError("Say where the result goes: `--out FILE`.")
    project = find_project(source) if source else None
    flags = {"seed": seed, "workers": workers}
    settings = make_settings(project, assignments or (), flags)
    given = [model, *files_of(source)]
    if openvino:
        out = out if out.suffix == ".xml" else out / f"{Path(model).stem}.xml"
        pair = [out, out.with_suffix(".bin")]
        check_outputs([Output("a model for OpenVINO", one) for one in pair], given)
        classifier = load_classifier(model, precision=settings.precision)
        _export_openvino(classifier, model, source, out, settings, as_json=as_json)
        return
    if source is None:
        raise SettingsError(_NO_SOURCE)
    check_outputs([Output("a classifier in int8", out, MODEL)], given)
    classifier = load_classifier(model, precision=settings.precision)
    from foveate.exporting import export_int8

    with ProgressBar(quiet=quiet) as progress:
        exported = export_int8(
            classifier,
            source,
            settings,
            images=CALIBRATION_IMAGES if images is None else images,
            limit=limit,
            progress=progress,
        )
    if not force:
        exported.check()
    exported.classifier.save(out)
    if as_json:
        print_json(
            {"model": str(out), "forced": exported.objection is not None, **exported.to_json()}
        )
    else:
        _print(exported, out)
    if exported.objection is not None:
        remark(f"Note: {exported.objection} It was written because of `--force`.", quiet=quiet)
    name_refused(exported.prepared, quiet=quiet)


def _export_openvino(
    classifier: Classifier,
    model: str,
    source: str | None,
    out: Path,
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    from foveate.exporting import export_openvino

    compared, difference = export_openvino(classifier, out, source, limits=settings.limits)
    if as_json:
        print_json(
            {
                "model": str(out),
                "weights": str(out.with_suffix(".bin")),
                "original": model,
                "images_compared": compared,
                "largest_difference": difference,
            }
        )
        return
    print(
        f"OpenVINO answers as the original on {compared} images; probabilities differ by at most "
        f"{difference:.1g}.\nModel    {out}\nWeights  {out.with_suffix('.bin')}"
    )


def _print(exported: Int8Export, out: Path) -> None:
    """The table and the few lines after it."""
    print_table(
        ["network", "accuracy", "95 % interval", "images/s", "file"],
        [
            [
                one.precision,
                percent(one.accuracy.value),
                f"{percent(one.accuracy.low)} to {percent(one.accuracy.high)}",
                f"{one.images_per_second:,.0f}",
                f"{one.size / 2**20:.1f} MB",
            ]
            for one in (exported.before, exported.after)
        ],
    )
    told = exported.quantisation
    left_out = (
        f"{len(told.left_out)} of {told.layers} layers were too sensitive and stay in floating "
        "point. "
        if told.left_out
        else ""
    )
    ratio = exported.after.images_per_second / exported.before.images_per_second
    print(
        f"\n{exported.comparison.sentence('Int8', exported.before.precision)}\n"
        f"{ratio:.2f} times as many images/s (network alone). {left_out}Calibrated on "
        f"{told.n_calibration} training images.\n"
        f"Model  {out}"
    )
