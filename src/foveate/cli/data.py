"""`foveate check` and `foveate split`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, print_table
from foveate.outputs import Output, check_outputs

Source = Annotated[
    str,
    typer.Argument(
        metavar="[SOURCE]",
        help="a project, a folder with one subfolder per label, or a table [default: here]",
        show_default=False,
    ),
]


def check(
    source: Source = ".",
    limit: options.Limit = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Say what is wrong with the images: refused, tiny, copies, contradictory labels."""
    from foveate.catalog import TINY
    from foveate.settings import make_settings
    from foveate.workflow.check import check as check_verb
    from foveate.workflow.places import find_project

    settings = make_settings(find_project(source), assignments or (), {"workers": workers})
    with ProgressBar(quiet=quiet) as progress:
        checked = check_verb(source, settings, limit=limit, progress=progress)
    findings = checked.findings
    if as_json:
        print_json(findings.to_json())
        return
    counts = checked.catalog.label_counts()
    print_table(["label", "images"], [[label, f"{counts[label]:,}"] for label in sorted(counts)])
    print()
    for title, lines in (
        ("refused", [f"{file.path}: {file.reason}: {file.detail}" for file in findings.refused]),
        ("without a label", findings.unlabelled),
        (f"tiny (a side under {TINY} px)", findings.tiny),
        ("copies of each other", _equal(findings.duplicates)),
        ("the same image under two labels", _equal(findings.contradictory)),
        ("copies on both sides of the given split", _equal(findings.leaks)),
    ):
        print(f"{len(lines)} {title}")
        for line in lines:
            print(f"  {line}")


def _equal(groups: Iterable[Sequence[str]]) -> list[str]:
    return [" = ".join(paths) for paths in groups]


def split(
    source: Source = ".",
    by: options.SplitBy = None,
    test_share: options.TestShare = None,
    test_list: options.TestList = None,
    exclude: options.Exclude = None,
    seed: options.Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(help="write path, label, split as CSV", show_default=False),
    ] = None,
    workers: options.Workers = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Show the split that `foveate train` would make; copies never straddle it."""
    from foveate.settings import make_settings
    from foveate.workflow.places import files_of, find_project
    from foveate.workflow.split import split as split_verb
    from foveate.workflow.training_data import SIDES

    flags = {
        "split": by,
        "test_share": test_share,
        "test_list": str(test_list) if test_list else None,
        "exclude": tuple(exclude) if exclude else None,
        "seed": seed,
        "workers": workers,
    }
    settings = make_settings(find_project(source), assignments or (), flags)
    if out is not None:
        inputs = [*files_of(source), settings.test_list or None]
        check_outputs([Output("the split", out, (".csv",))], inputs)
    with ProgressBar(quiet=quiet) as progress:
        dealt = split_verb(source, settings, out=out, progress=progress)
    counts = dealt.counts
    if as_json:
        print_json(
            {
                "labels": counts,
                "left_out": len(dealt.split.left_out),
                "quarantined": len(dealt.catalog.quarantine),
                "out": str(out) if out else None,
            }
        )
        return
    rows = [[label, *(str(images[side]) for side in SIDES)] for label, images in counts.items()]
    print_table(["label", *SIDES], rows)
    if out is not None:
        print(f"\nSplit  {out}")
