"""`foveate backbones`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import percent, print_json, print_table, remark
from foveate.cli.options import Command

if TYPE_CHECKING:
    from foveate.backbones import Backbone
    from foveate.backbones.bench import Speed

app = typer.Typer(help="The pretrained networks that are here.", no_args_is_help=True)

_STEPS = {
    "weights": "Reading the weights",
    "export": "Exporting to ONNX",
    "prove": "Comparing the export with PyTorch",
    "write": "Writing",
}


@app.command(name="list")
def list_backbones(
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """List the backbones that are here."""
    from foveate import backbones
    from foveate.backbones.bench import known_speed

    speeds = [(backbone, known_speed(backbone)) for backbone in backbones.list_backbones()]
    if as_json:
        print_json({"backbones": [_as_json(backbone, speed) for backbone, speed in speeds]})
        return
    print_table(
        [
            "backbone",
            "features",
            "parameters",
            "file",
            "made for",
            "ImageNet top-1",
            "images/s here",
            "licence",
        ],
        [
            [
                one.card.name,
                f"{one.card.dimension}",
                f"{one.card.parameters / 1e6:.1f} M",
                f"{_size(one) / 2**20:.1f} MB",
                f"{one.card.resolution} px{' only' if one.card.fixed_resolution else ''}",
                percent(one.card.imagenet_top1) if one.card.imagenet_top1 else "–",
                f"{speed.images_per_second:,.0f} at {speed.resolution} px" if speed else "–",
                one.card.licence,
            ]
            for one, speed in speeds
        ],
    )
    if not all(speed for _, speed in speeds):
        remark("`foveate backbones bench` measures images/s.")


@app.command(cls=Command)
def add(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="resnet18, torchvision:alexnet, timm:convnext_tiny, …",
            show_default=False,
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="a file of weights, .pth or .safetensors; no code in it is executed",
            show_default=False,
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="build a network that takes one size of image for this one: {LEAST_RESOLUTION} "
            "to {MOST_RESOLUTION} pixels a side",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Bring in a network of timm or torchvision, and prove it computes the same here."""
    from foveate.backbones import add_backbone
    from foveate.backbones.names import parse_name

    backbone = add_backbone(
        name,
        weights,
        lambda step: remark(f"{_STEPS[step]} …", quiet=quiet or as_json),
        resolution=resolution,
    )
    if as_json:
        print_json(_as_json(backbone, None))
        return
    card = backbone.card
    only = f" --resolution {card.fixed_resolution}" if card.fixed_resolution else ""
    print(
        f"{card.name}: {card.dimension} features, {card.parameters / 1e6:.1f} M parameters, "
        f"{_size(backbone) / 2**20:.1f} MB, made for {card.resolution} px"
        f"{' and takes no other' if card.fixed_resolution else ''}, licence {card.licence}\n"
        f"From  {card.source}\nPack  {backbone.path}\nUse it with `--backbone "
        f"{parse_name(card.name).typed}{only}`."
    )


@app.command(cls=Command)
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", help="backbones [default: all]", show_default=False),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="{LEAST_RESOLUTION} to {MOST_RESOLUTION} pixels a side [default: what it was "
            "trained at]",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Measure how many images/s each network does on this machine, without reading and decoding."""
    from foveate import backbones
    from foveate.backbones.bench import measure_speed

    chosen = [backbones.find_backbone(name) for name in names or ()]
    if not names:
        chosen = backbones.list_backbones()
        if resolution is not None:  # nobody asked for those that do not take it
            chosen = [b for b in chosen if b.card.fixed_resolution in (None, resolution)]
    speeds: list[Speed] = []
    for backbone in chosen:
        remark(f"Measuring {backbone.card.name} …", quiet=quiet or as_json)
        speeds.append(measure_speed(backbone, resolution))
    if as_json:
        print_json({"speeds": [speed.model_dump() for speed in speeds]})
        return
    print_table(
        ["backbone", "resolution", "images/s", "runtime", "precision", "threads"],
        [
            [
                one.backbone,
                f"{one.resolution} px",
                f"{one.images_per_second:,.0f}",
                one.runtime,
                one.precision,
                f"{one.workers}",
            ]
            for one in speeds
        ],
    )


def _as_json(backbone: Backbone, speed: Speed | None) -> dict[str, object]:
    return {
        **backbone.card.model_dump(),
        "path": str(backbone.path),
        "bytes": _size(backbone),
        "images_per_second": speed.images_per_second if speed else None,
        "images_per_second_resolution": speed.resolution if speed else None,
    }


def _size(backbone: Backbone) -> int:
    return backbone.path.stat().st_size if backbone.path.is_file() else 0
