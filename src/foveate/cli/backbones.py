"""`foveate backbones`."""

from __future__ import annotations

import typer

from foveate.cli import options
from foveate.cli.console import percent, print_json, print_table

app = typer.Typer(help="The pretrained networks that are here.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `list` a subcommand while it is the only one."""


@app.command(name="list")
def list_backbones(
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """List the backbones that are here."""
    from foveate import backbones

    found = backbones.list_backbones()
    if as_json:
        print_json({"backbones": [backbone.card.model_dump() for backbone in found]})
        return
    print_table(
        ["backbone", "features", "parameters", "file", "ImageNet top-1", "licence"],
        [
            [
                one.card.name,
                f"{one.card.dimension}",
                f"{one.card.parameters / 1e6:.1f} M",
                f"{one.path.stat().st_size / 2**20:.1f} MB",
                percent(one.card.imagenet_top1) if one.card.imagenet_top1 else "–",
                one.card.licence,
            ]
            for one in found
        ],
    )
