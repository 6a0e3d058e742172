"""The little HTTP that the load generator needs: prepared bytes out, status and length in.

It is for loopback: no TLS, no chunked answers, no proxies.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Form = Literal["json", "raw"]
"""How an image travels: base64 in JSON, or as the body itself."""

TYPES: dict[Form, str] = {"json": "application/json", "raw": "image/jpeg"}

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


def spread(folder: Path, count: int) -> list[Path]:
    """`count` of the images of a folder, taken evenly; all, where there are fewer."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix == ".jpg")
    count = min(count, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def body(image: bytes, form: Form) -> bytes:
    """The body of a request about one image."""
    if form == "raw":
        return image
    return json.dumps({"images": [base64.b64encode(image).decode()]}).encode()


def prepare(bodies: Sequence[bytes], host: str, path: str, form: Form) -> list[bytes]:
    """Whole requests."""
    return [
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {TYPES[form]}\r\n"
        f"Content-Length: {len(one)}\r\n\r\n".encode()
        + one
        for one in bodies
    ]


@dataclass(frozen=True, slots=True)
class Head:
    """The start of an answer.

    Attributes:
        status: 200, 503, …
        length: of head and body, in bytes.
        closes: whether the server closes the connection afterwards.
    """

    status: int
    length: int
    closes: bool


def parse_head(data: bytes | bytearray) -> Head | None:
    """The start of an answer, None while it is incomplete.

    Raises:
        ValueError: it is not HTTP/1, or does not say how long it is.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(data, 0, end + 2)
    if not data.startswith(b"HTTP/1.") or length is None:
        raise ValueError(bytes(data[:200]))
    closes = _CLOSES.search(data, 0, end + 2) is not None
    return Head(int(data[9:12]), end + 4 + int(length[1]), closes)


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def idle(self, connection: Connection) -> None:
        """It can take the next request."""

    def answered(self, connection: Connection, status: int) -> None:
        """A whole answer has come."""

    def failed(self, connection: Connection, kind: str) -> None:
        """Its request will have no answer."""

    def lost(self, connection: Connection) -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """One connection; it sends a request when told to and tells its owner how that went.

    Attributes:
        due: when the request under way was due, None while there is none.
        idle_since: when it was last put aside.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._head: Head | None = None
        self._writing = self._answered = False
        self.due: float | None = None
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(0)  # be told whenever not everything went out
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request whose answer counts from `due`."""
        assert self._transport is not None
        self.due, self._answered = due, False
        self._transport.write(request)

    def abort(self) -> None:
        """Close at once."""
        assert self._transport is not None
        self._transport.abort()

    def pause_writing(self) -> None:
        """Not all of the request went out."""
        self._writing = True

    def resume_writing(self) -> None:
        """All of it did."""
        self._writing = False
        if self._answered:  # before it had read all of the request
            self._owner.idle(self)

    def data_received(self, data: bytes) -> None:
        """A part of the answer."""
        received = self._received
        received += data
        if self._head is None:
            try:
                self._head = parse_head(received)
            except ValueError:
                self._owner.failed(self, "not understood")
                self.abort()
                return
        if self._head is None or len(received) < self._head.length:
            return
        head, self._head = self._head, None
        received.clear()
        self._answered = True
        self._owner.answered(self, head.status)
        if head.closes:
            self.abort()
        elif not self._writing:
            self._owner.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Closed, by whomever."""
        self._owner.lost(self)
