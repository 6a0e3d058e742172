"""Standard input, output and error as a program meets them: closed, full, or in ASCII.

Commands print as if all were well. What this makes of the streams beforehand sees to it that a
character that the terminal cannot show becomes one that it can, that a result which cannot be
printed is an error with a sentence, and that progress which nobody can read is no error at all.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from foveate.errors import OutputError
from foveate.writing import output_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ERRORS = "foveate.transliterate"
"""Python's name of how characters are written that an encoding does not have."""

_PLAIN = {
    "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "·": "|", "•": "*",
    "─": "-", "━": "-", "│": "|", "═": "=", "×": "x", "²": "2", "³": "3", "µ": "u", "±": "+-",
    "→": "->", "←": "<-", "↓": "v", "↑": "^", "≥": ">=", "≤": "<=", "≈": "~", "−": "-",
    "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "\N{THIN SPACE}": " ",
}  # fmt: skip
"""What foveate itself prints beyond ASCII, and how it was written on a typewriter."""


def open_streams() -> None:
    """Make the streams of this process fit for any terminal, pipe or file, or none at all."""
    codecs.register_error(ERRORS, _transliterated)
    _occupy()
    sys.stdout = _rebuilt(sys.stdout, 1, _Results)
    sys.stderr = _rebuilt(sys.stderr, 2, _Remarks)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115


def flush_output() -> None:
    """See that everything printed is where it goes.

    Raises:
        OutputError: it cannot be written there.
        Unheard: its reader is gone.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_output() -> None:
    """Forget what could not be printed, so that nothing is tried again when the process ends."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def knows_unicode() -> bool:
    """Whether standard output takes every character."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("_", "-").startswith("utf")


def _transliterated(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(c, c) for c in text)
    return plain.encode("ascii", "backslashreplace").decode(), error.end


def _occupy() -> None:
    """Open what is closed of 0, 1 and 2: the next file would get its number, and our prints.

    Each is opened the wrong way round, so that reading and writing fail as on one that is closed;
    but for standard error, as there is nobody to tell.
    """
    for number, way in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, way)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)


class Unheard(BrokenPipeError):  # noqa: N818 - nothing went wrong
    """The reader of standard output is gone; other pipes break as well."""


class _Results(io.FileIO):
    """Standard output: what cannot be written to it is said."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise Unheard(*error.args) from None
        except OSError as error:
            said = output_error("standard output", error)
            raise OutputError(
                f"The result cannot be printed: {said.strerror}. Send it elsewhere (`> FILE`).",
                said.strerror or "",
                error.errno,
            ) from error


class _Remarks(io.FileIO):
    """Standard error: what cannot be written to it is lost, and the work goes on."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _rebuilt(stream: object, number: int, raw: type[io.FileIO]) -> io.TextIOWrapper:
    """The same stream, which transliterates what it cannot encode and fails as `raw` does."""
    is_plain = isinstance(stream, io.TextIOWrapper) and isinstance(
        getattr(stream.buffer, "raw", stream.buffer), io.FileIO
    )
    if isinstance(stream, io.TextIOWrapper) and not is_plain:  # a console of Windows
        stream.reconfigure(errors=ERRORS)
        return stream
    given = stream if isinstance(stream, io.TextIOWrapper) else None
    return io.TextIOWrapper(
        io.BufferedWriter(raw(number, "w", closefd=False)),
        encoding=given.encoding if given else "utf-8",
        errors=ERRORS,
        line_buffering=given.line_buffering if given else True,
        write_through=given.write_through if given else False,
    )
