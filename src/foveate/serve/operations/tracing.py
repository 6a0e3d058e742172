"""Whose trace a request belongs to (W3C Trace Context), for the log and for what comes after.

https://www.w3.org/TR/trace-context/: `traceparent` names the trace, the span of the caller, and
whether it is recorded. Spans themselves are made in `telemetry`, where OpenTelemetry is wanted.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from foveate.serve.workers.queue import QueuedImage

PARENT_HEADER = "traceparent"

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """What a caller says about its trace; all in small hexadecimal digits.

    Attributes:
        trace_id: 32 of them.
        span_id: 16, of the caller's span.
        flags: 2; the lowest bit says that the caller records it.
    """

    trace_id: str
    span_id: str
    flags: str


class Trace:
    """The part of a trace that is one request.

    Args:
        trace_id: of the whole, 32 digits.
        span_id: of this part, 16 digits.
        flags: 2 digits.
    """

    def __init__(self, trace_id: str, span_id: str, flags: str) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags

    @property
    def header(self) -> str:
        """The `traceparent` for whoever goes on from here."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def answered(self, images: Sequence[QueuedImage]) -> None:
        """The images of the request were answered; their times are known."""

    def end(self, status: int, reason: str | None) -> None:
        """The request is over.

        Args:
            status: of the response; 0 where there was none.
            reason: why it was refused.
        """


class Tracer:
    """Takes over traces, and records nothing."""

    def begin(self, method: str, path: str, headers: Headers) -> Trace | None:
        """The trace of a request; None where it belongs to none.

        Args:
            method: of the request.
            path: of its address, percent-encoded.
            headers: of the request.
        """
        del method, path
        parent = read_parent(headers)
        if parent is None:
            return None
        return Trace(parent.trace_id, secrets.token_hex(8), parent.flags)

    async def close(self) -> None:
        """Send what was recorded."""


def read_parent(headers: Headers) -> TraceParent | None:
    """What the caller says; None where it says nothing, or nothing sensible."""
    parents = headers.getlist(PARENT_HEADER)
    matched = _PARENT.fullmatch(parents[0].strip(" \t")) if len(parents) == 1 else None
    if matched is None:
        return None
    version, trace_id, span_id, flags, more = matched.groups()
    # Later versions may say more; the first says no more than this.
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceParent(trace_id, span_id, f"{int(flags, 16) & 1:02x}")
