"""What the commands print: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType

BAR = 24
SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_LINES = 10.0


def print_json(result: object) -> None:
    """Print exactly one JSON object on stdout; what is not a number is null."""
    print(json.dumps(_finite(result), ensure_ascii=False, allow_nan=False))


def remark(text: str, *, quiet: bool = False) -> None:
    """Print a sentence on stderr."""
    if not quiet:
        print(text, file=sys.stderr)


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
        self._open = False

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        if self._quiet:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._close()
            # What is done at the first call may have been known from an earlier run.
            self._stage, self._start, self._first, self._shown = stage, now, done, 0.0
            return
        pause = 0.1 if self._terminal else SECONDS_BETWEEN_LINES
        due = now - self._start >= (SECONDS_BEFORE_BAR if self._terminal else pause)
        if due and (now - self._shown >= pause or done == total):
            self._shown = now
            self._show(done, total, now - self._start)

    def _show(self, done: int, total: int, seconds: float) -> None:
        rate = (done - self._first) / seconds
        left = _duration((total - done) / rate) if rate > 0 else "?"
        text = f"{self._stage} {done:,} of {total:,}, {rate:,.0f} images/s, {left} left"
        if self._terminal:
            full = round(BAR * done / total) if total else BAR
            sys.stderr.write(f"\r\x1b[K{'█' * full}{'░' * (BAR - full)} {text}")
            self._open = True
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def _close(self) -> None:
        if self._open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._open = False


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
