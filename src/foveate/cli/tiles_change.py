"""`foveate tiles change`: what is not the same in two years."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, print_table, remark
from foveate.cli.shared import need_extra
from foveate.errors import FoveateError, SettingsError
from foveate.files import join
from foveate.outputs import Output, check_folder, check_outputs

if TYPE_CHECKING:
    from foveate.aerial.change import Changes
    from foveate.aerial.georeferenced import GeoreferencedPredictions

_LONG = 18
_MOST_LABELS = 8
"""In a matrix on the terminal; with more there are only the pairs."""
_MOST_PAIRS = 15

_LABELS = "one label or several with commas between; repeatable"


def change(
    a: Annotated[
        str, typer.Argument(metavar="A", help="predictions of the first year", show_default=False)
    ],
    b: Annotated[
        str, typer.Argument(metavar="B", help="predictions of the second year", show_default=False)
    ],
    out: Annotated[
        str, typer.Option(metavar="DIR", help="folder for the results", show_default=False)
    ],
    index_a: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="index of the tiles of A", show_default=False),
    ] = None,
    index_b: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="index of the tiles of B", show_default=False),
    ] = None,
    year_a: Annotated[
        int | None, typer.Option(help="only tiles of A from this year", show_default=False)
    ] = None,
    year_b: Annotated[
        int | None, typer.Option(help="only tiles of B from this year", show_default=False)
    ] = None,
    from_labels: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="LABELS",
            help=f"what may have become developed land: {_LABELS} [default: all but --to]",
            show_default=False,
        ),
    ] = None,
    to_labels: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="LABELS",
            help=f"developed land: {_LABELS} [default: called developed, urban or built]",
            show_default=False,
        ),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=0, help="of new development that the page shows at most")
    ] = 400,
    title: Annotated[
        str, typer.Option(help="of the page [default: the years]", show_default=False)
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="of the intervals")] = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Compare two years: what became what, where, and how much of it is error alone."""
    need_extra("aerial", "To compare years", "rasterio", "pyproj")
    from foveate.aerial.change import find_changes
    from foveate.aerial.change.result import FILES, changes_json, write_changes
    from foveate.aerial.change.words import remarks, sentences

    if a == b and (year_a is None or year_a == year_b):
        raise SettingsError(
            "A and B are the same predictions. Name two files, or two years of one: "
            "--year-a YEAR --year-b YEAR."
        )
    check_folder(out)
    outputs = [Output("what changed", join(out, name)) for name in FILES.values()]
    check_outputs(outputs, [a, b, index_a, index_b])
    changes = find_changes(
        _read(a, "a", index_a, year_a),
        _read(b, "b", index_b, year_b),
        from_labels=from_labels,
        to_labels=to_labels,
        seed=seed,
    )
    with ProgressBar(quiet=quiet) as progress:
        paths = write_changes(changes, out, title=title, shown=candidates, progress=progress)
    if as_json:
        print_json({**changes_json(changes), "files": paths})
        return
    _print_matrix(changes)
    _print_pairs(changes)
    for sentence in sentences(changes):
        print(f"\n{sentence}")
    print(
        f"\nPage        {paths['page']}\nCandidates  {paths['candidates']}\n"
        f"From, to    {paths['from_to']}"
    )
    for text in remarks(changes):
        remark(f"Note: {text}", quiet=quiet)


def _read(path: str, name: str, index: str | None, year: int | None) -> GeoreferencedPredictions:
    """Predictions of one year; what is said about flags names those of this command."""
    from foveate.aerial.georeferenced import read_georeferenced

    try:
        return read_georeferenced(path, index=index, year=year)
    except FoveateError as error:
        said = str(error)
        for flag in ("--year", "--index"):
            said = said.replace(flag, f"{flag}-{name}")
        raise type(error)(said) from None


def _print_matrix(changes: Changes) -> None:
    from foveate.evaluation.svg import shortened

    labels = changes.labels
    if len(labels) > _MOST_LABELS:
        return
    one, two = changes.names
    rows = [
        [shortened(label, _LONG), *(f"{n:,}" for n in row), f"{sum(row):,}"]
        for label, row in zip(labels, changes.matrix.tolist(), strict=True)
    ]
    totals = changes.matrix.sum(axis=0).tolist()
    rows.append([f"all of {two}", *(f"{n:,}" for n in totals), f"{len(changes):,}"])
    print_table(
        [f"{one} ↓  {two} →", *(shortened(x, _LONG) for x in labels), f"all of {one}"], rows
    )
    print()


def _print_pairs(changes: Changes) -> None:
    flows = [flow for flow in changes.flows() if flow.start != flow.end and flow.tiles]
    flows.sort(key=lambda flow: -flow.tiles)
    if not flows:
        return
    words = {"above": "more", "within": "", "below": "less"}
    print_table(
        ["from → to", "tiles", "km²", "by error alone", "seen is"],
        [
            [
                f"{flow.start} → {flow.end}",
                f"{flow.tiles:,}",
                f"{flow.km2:,.2f}",
                flow.told,
                words[flow.verdict],
            ]
            for flow in flows[:_MOST_PAIRS]
        ],
    )
    if len(flows) > _MOST_PAIRS:
        print(f"and {len(flows) - _MOST_PAIRS} other pairs; from_to.csv has them all")
