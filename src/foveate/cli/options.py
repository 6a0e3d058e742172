"""Flags that mean the same in every command.

A default in braces is that of a setting, or a constant beside the settings: `foveate.settings` says
it, and help shows it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter


class Command(TyperCommand):
    """A command whose help shows the settings' defaults."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the options; settings are read only now, as they take time to import."""
        from foveate import settings
        from foveate.settings import Settings

        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        defaults |= {name: value for name, value in vars(settings).items() if name.isupper()}
        for param in self.params:
            if text := getattr(param, "help", None):
                param.help = text.format_map(defaults)  # type: ignore[attr-defined]
        super().format_options(ctx, formatter)


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="a project, a folder with one subfolder per label, or a table with path and label",
        show_default=False,
    ),
]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="a classifier file (.onnx)", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress, no remarks")]
Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="use at most so many images", show_default=False)
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="threads [default: one a core]", show_default=False)
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="any setting that `foveate new` writes into foveate.toml; repeatable",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="of split and head [default: {seed}]", show_default=False),
]
TestShare = Annotated[
    float | None,
    typer.Option(help="share of each label to test on [default: {test_share}]", show_default=False),
]
SplitBy = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="image, subfolder or block [default: block where images say where they lie]",
        show_default=False,
    ),
]
TestList = Annotated[
    Path | None,
    typer.Option(help="a file that lists the test images, one path a line", show_default=False),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="a label to leave out; repeatable", show_default=False),
]
Resolution = Annotated[
    int | None,
    typer.Option(help="pixels a side, 64 to 1024 [default: {resolution}]", show_default=False),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="pretrained network, see `foveate backbones list` [default: {backbone}]",
        show_default=False,
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--classifier",
        help="svm, logistic or forest on frozen features; dnn or svm-dnn to refine the network "
        "[default: {classifier}]",
        show_default=False,
    ),
]
Depth = Annotated[
    str | None,
    typer.Option(
        help="what refining trains: last_only, head or all [default: {depth}]", show_default=False
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="of refining, at most [default: 5, or 45 with --set schedule=step]", show_default=False
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="to refine on: auto, cpu, cuda, cuda:1 [default: {device}]", show_default=False
    ),
]
Devices = Annotated[int, typer.Option(min=1, help="processes that refine together, one a device")]
Report = Annotated[
    Path | None,
    typer.Option(help="where the HTML report goes [default: beside the model]", show_default=False),
]
Engine = Annotated[
    str | None,
    typer.Option(help="local, or spark: on a cluster [default: local]", show_default=False),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="a cluster, as foveate.toml describes it", show_default=False
    ),
]
Sample = Annotated[
    float,
    typer.Option(
        "--sample-frac",
        metavar="SHARE",
        help="use about this share of the images, chosen by the seed [default: 1]",
        show_default=False,
    ),
]
Legend = Annotated[
    str,
    typer.Option(
        help="what the codes mean: nlcd, nlcd-groups, nlcd-land-use, or a .csv table with the "
        "columns code and label (FILE:LABELS or FILE:CODES:LABELS names others)"
    ),
]
