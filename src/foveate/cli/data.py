"""`foveate check` and `foveate split`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, print_json, print_table
from foveate.cli.shared import files_of, find_project
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
    from foveate.catalog import TINY, find_problems
    from foveate.settings import make_settings
    from foveate.workflow import pipeline

    settings = make_settings(find_project(source), assignments or (), {"workers": workers})
    with ProgressBar(quiet=quiet) as progress:
        prepared, duplicates = pipeline.inspect(source, settings, limit=limit, progress=progress)
    prepared.store.close(prepared.catalog)
    found = find_problems(prepared.catalog, duplicates)
    if as_json:
        print_json(found.to_json())
        return
    counts = prepared.catalog.label_counts()
    print_table(["label", "images"], [[label, f"{counts[label]:,}"] for label in sorted(counts)])
    print()
    for title, lines in (
        ("refused", [f"{one.path}: {one.reason}: {one.detail}" for one in found.refused]),
        ("without a label", found.unlabelled),
        (f"tiny (a side under {TINY} px)", found.tiny),
        ("copies of each other", [" = ".join(paths) for paths in found.duplicates]),
        ("the same image under two labels", [" = ".join(paths) for paths in found.contradictory]),
        ("copies on both sides of the given split", [" = ".join(paths) for paths in found.leaks]),
    ):
        print(f"{len(lines)} {title}")
        for line in lines:
            print(f"  {line}")


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
    from foveate.files import write_bytes
    from foveate.settings import make_settings
    from foveate.workflow import pipeline

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
        prepared, found = pipeline.split(source, settings, progress=progress)
    side = found.sides()
    rows = [(row, side.get(row.facts.id)) for row in prepared.catalog.labelled]
    if out is not None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["path", "label", "split"])
        writer.writerows([row.path, row.entry.label, where or ""] for row, where in rows)
        write_bytes(out, text.getvalue().encode())
    counts = {
        label: {
            where: sum(row.entry.label == label and found == where for row, found in rows)
            for where in ("train", "test")
        }
        for label in sorted(prepared.catalog.label_counts())
    }
    if as_json:
        print_json(
            {
                "labels": counts,
                "left_out": len(found.left_out),
                "quarantined": len(prepared.catalog.quarantine),
                "out": str(out) if out else None,
            }
        )
        return
    print_table(
        ["label", "train", "test"],
        [[label, str(n["train"]), str(n["test"])] for label, n in counts.items()],
    )
    if out is not None:
        print(f"\nSplit  {out}")
