"""`foveate copy`."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foveate.cli import options
from foveate.cli.console import SECONDS_BEFORE_BAR, SECONDS_BETWEEN_LINES, print_json, remark
from foveate.cli.shared import MOST_NAMED

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress

    from foveate.copying import Copied, State

MEGABYTE = 1e6


def copy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="folder or file, as path or URL (abfs://, s3://, gs://, https://, …)",
        ),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="where it goes: what is below a folder SRC is then below DST; a file goes into "
            "DST if that is a folder or ends with a slash",
        ),
    ],
    verify: Annotated[
        Literal["auto", "read", "size"],
        typer.Option(
            help="how to see that a file is right; auto: by the MD5 that the store itself tells, "
            "else by reading it back; read: by reading all of it on both sides, also what was "
            "copied before; size: by size"
        ),
    ] = "auto",
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="open URLs with the storage options of [targets.NAME] in foveate.toml",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="files on their way at once [default: 16]", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="copy the first so many files", show_default=False)
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Copy what is missing or different from SRC to DST; nothing is deleted there."""
    from foveate.copying import copy as copy_files
    from foveate.files import use_storage_options
    from foveate.targets import find_target

    logging.getLogger("azure.identity").setLevel(logging.ERROR)  # its pages come down to a sentence
    if target is not None:
        use_storage_options(find_target(target, None).opened_storage_options())
    with CopyBar(quiet=quiet) as progress:
        copied = copy_files(
            source, out, workers=workers, limit=limit, verify=verify, progress=progress
        )
    if as_json:
        print_json(_as_json(copied))
    else:
        _print(copied)
    if not copied.complete:
        print(f"Error: {_shortfall(copied)}", file=sys.stderr)
        raise typer.Exit(1)


def _as_json(copied: Copied) -> dict[str, object]:
    return {
        "files": copied.files,
        "copied": copied.copied,
        "skipped": copied.skipped,
        "bytes": copied.bytes,
        "failed": [asdict(failure) for failure in copied.failed],
        "untried": copied.untried,
        "seconds": copied.seconds,
        "megabytes_per_second": copied.megabytes_per_second,
        "out": copied.out,
    }


def _print(copied: Copied) -> None:
    speed = f", {copied.megabytes_per_second:,.1f} MB/s" if copied.bytes else ""
    there = f", {copied.skipped:,} were there already" if copied.skipped else ""
    print(
        f"{copied.copied:,} of {copied.files:,} files copied{there}; "
        f"{copied.bytes / MEGABYTE:,.1f} MB in {copied.seconds:.1f} s{speed}\n"
        f"Destination  {copied.out}"
    )


def _shortfall(copied: Copied) -> str:
    """What was not copied and why, in a few sentences."""
    said = []
    if copied.failed:
        named = [f"‘{one.path}’ ({one.reason})" for one in copied.failed[:MOST_NAMED]]
        more = f" and {rest:,} more" if (rest := len(copied.failed) - MOST_NAMED) > 0 else ""
        said.append(
            f"{len(copied.failed):,} of {copied.files:,} files were not copied: "
            f"{', '.join(named)}{more}."
        )
    if copied.untried:
        said.append(f"After so many failures in a row {copied.untried:,} others were not tried.")
    return " ".join([*said, "The same command goes on from here."])


class CopyBar:
    """A bar with bytes, files, rate and time left on stderr, once it takes over a second.

    Where stderr is not a terminal it prints a line every ten seconds instead.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()
        self._first: int | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> CopyBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, state: State) -> None:
        """Show how far it is."""
        if self._quiet:
            return
        now = time.monotonic()
        if self._first is None:
            self._start = self._shown = now
            self._first = state.bytes
        elif self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=state.bytes, files=_files(state))
        elif self._terminal and now - self._start >= SECONDS_BEFORE_BAR:
            self._open(state)
        elif not self._terminal and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            rate = (state.bytes - self._first) / (now - self._start)
            left = f", {(state.total_bytes - state.bytes) / rate:.0f} s left" if rate > 0 else ""
            remark(
                f"copy: {_files(state)}, {state.bytes / MEGABYTE:,.0f} of "
                f"{state.total_bytes / MEGABYTE:,.0f} MB, {rate / MEGABYTE:,.1f} MB/s{left}"
            )

    def _open(self, state: State) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[files]}"),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._bar.add_task(
            "copy", completed=state.bytes, total=state.total_bytes, files=_files(state)
        )


def _files(state: State) -> str:
    return f"{state.files:,} of {state.total_files:,} files"
