"""What the commands print: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from foveate.cli.streams import knows_unicode

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress

SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_LINES = 10.0


def print_json(result: object) -> None:
    """Print exactly one JSON object on stdout; what is not a number is null."""
    print(json_text(_finite(result)))


def json_text(value: object) -> str:
    """A value as JSON that standard output can carry: in ASCII where it knows no more."""
    return json.dumps(value, ensure_ascii=not knows_unicode(), allow_nan=False)


def remark(text: str, *, quiet: bool = False) -> None:
    """Print a sentence on stderr."""
    if not quiet:
        print(text, file=sys.stderr)


def remarks(*, quiet: bool) -> Callable[[str], None]:
    """`remark`, for a room that has something to tell."""
    return lambda text: remark(f"Note: {text}", quiet=quiet)


def percent(share: float) -> str:
    """A share as per cent: 0.9497 → `95.0 %`."""
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout: the first column left, the others right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("─" * width for width in widths))


class ProgressBar:
    """A bar with rate and time left on stderr, once a stage takes over a second.

    Where stderr is not a terminal it prints a line every ten seconds instead.
    Call it as `progress(stage, done, total)`.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._start = self._shown = 0.0
        self._first = 0
        self._bar: Progress | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show how far a stage is, and perhaps how well it goes."""
        if self._quiet:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._close()
            # What is done at the first call may have been known from an earlier run.
            self._stage, self._start, self._shown, self._first = stage, now, now, done
            if note:
                remark(f"{stage}: {note}")
        elif self._bar is not None:
            rate = self._rate(done, now)
            self._bar.update(self._bar.task_ids[0], completed=done, rate=rate, note=note)
        elif self._terminal and now - self._start >= SECONDS_BEFORE_BAR:
            self._open(done, total, note)
        elif not self._terminal and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            rate = self._rate(done, now)
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            said = f", {note}" if note else ""
            remark(f"{stage}: {done:,} of {total:,}, {rate:,.0f} images/s{said}{left}")

    def _rate(self, done: int, now: float) -> float:
        return (done - self._first) / (now - self._start)

    def _open(self, done: int, total: int, note: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.0f} images/s"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        rate = self._rate(done, time.monotonic())
        self._bar.add_task(self._stage, completed=done, total=total, rate=rate, note=note)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
