"""Connections within limits: so many, so many bytes of headers, and none that only takes time.

A client that opens connections and says nothing, or a header a minute, or reads nothing of what
it asked for, would else keep them, and the memory behind them, as long as it likes ("slowloris").
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""For the headers of a request, from the opening of the connection or from their first byte; for
the rest of a body that was refused; and for the handshake of TLS."""

READ_SECONDS = 30.0
"""For a client to read on, when what it has not read fills the buffers."""

HEADER_BYTES = 64 * 1024
"""Bytes that may come without a complete header or a piece of body; one read more may come."""

PIPELINED = 8
"""Requests that a client may send before it has read the answers."""

DISCARDED_BYTES = 128 * 2**20
"""Of a refused request's body that are read and thrown away."""

CONNECTION_KEY = "foveate.connection"

Refused = Callable[[str], None]
"""Told the reason why a connection was refused or ended."""


class Clients:
    """Counts connections, in all and by client.

    Args:
        most: connections at once.
        most_each: of one client.
        brings_many: whether a proxy is at an address, whose connections are those of many clients.
    """

    def __init__(
        self,
        most: int,
        most_each: int,
        brings_many: Callable[[str | None], bool] = lambda _: False,
    ) -> None:
        self._most = most
        self._most_each = most_each
        self._brings_many = brings_many
        self._connections: Counter[str] = Counter()

    def enter(self, address: str | None) -> bool:
        """Count a connection; whether there is room for it."""
        client = client_of(address)
        self._connections[client] += 1
        if self._connections.total() > self._most:
            return False
        return self._connections[client] <= self._most_each or self._brings_many(address)

    def leave(self, address: str | None) -> None:
        """A connection that was counted has ended."""
        client = client_of(address)
        self._connections[client] -= 1
        if not self._connections[client]:
            del self._connections[client]


def client_of(address: str | None) -> str:
    """Who is behind an address: of IPv6 its first half, of which every client has all."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def make_protocol(clients: Clients, refused: Refused) -> type[HttpToolsProtocol]:
    """The protocol class of uvicorn, with the limits that it lacks.

    Every request finds its connection in its scope. Its `when_lost` is called when the client
    goes before it has its answer.

    Args:
        clients: one more than they may be is told 503 and closed.
        refused: told about every connection that is refused or ended.
    """

    class Connection(HttpToolsProtocol):
        when_lost: Callable[[], Any] | None = None
        lost = False
        _late: asyncio.TimerHandle | None = None
        _unread: asyncio.TimerHandle | None = None
        _silent = 0
        _discarded = 0
        _discards = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if not clients.enter(self.client[0] if self.client else None):
                self._refuse("too_many_connections", "There are too many connections.")
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self._silent > HEADER_BYTES:
                self._refuse("headers_too_large", "The headers are too large.")
                return
            self._silent += len(data)
            super().data_received(data)
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self._late is None and self.timeout_keep_alive_task is None:
                self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["extensions"] = {CONNECTION_KEY: {"connection": self}}
            if self._late is None:
                self._wait()

        def on_headers_complete(self) -> None:
            self._silent = self._discarded = 0
            self._discards = False
            self._stop_waiting()
            super().on_headers_complete()
            if len(self.pipeline) > PIPELINED:
                self._end("pipelined")

        def discard_body(self) -> None:
            """Keep nothing more of the present request's body: it is refused."""
            self._discards = True
            self.cycle.body = bytearray()

        def on_body(self, body: bytes) -> None:
            self._silent = 0
            if not self._discards:
                super().on_body(body)
            if self._discards or self.cycle.response_complete:
                self._discarded += len(body)
                if self._discarded > DISCARDED_BYTES:
                    self._end("too_large")

        def on_message_complete(self) -> None:
            self._silent = 0
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self.loop.call_later(READ_SECONDS, self._end, "unread")

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_unread()

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost = True
            clients.leave(self.client[0] if self.client else None)
            self._stop_waiting()
            self._stop_unread()
            super().connection_lost(exc)
            if self.when_lost is not None:
                self.when_lost()

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002
            self._refuse("invalid_http", "This is not HTTP.")

        def _refuse(self, reason: str, sentence: str) -> None:
            """Tell and close."""
            status = {
                "too_many_connections": HTTPStatus.SERVICE_UNAVAILABLE,
                "headers_too_large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            }.get(reason, HTTPStatus.BAD_REQUEST)
            error = {"error": sentence, "reason": reason, "request_id": "", "images": []}
            body = json.dumps(error)
            later = "retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
            head = (
                f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/json\r\n{later}"
                f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            refused(reason)
            self.transport.write((head + body).encode())
            self.transport.close()

        def _end(self, reason: str) -> None:
            """Close without a word, and without waiting until what is buffered was read."""
            if not self.transport.is_closing() or self.transport.get_write_buffer_size():
                refused(reason)
                self.transport.abort()

        def _wait(self) -> None:
            self._late = self.loop.call_later(HEADER_SECONDS, self._end, "silent")

        def _stop_waiting(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _stop_unread(self) -> None:
            if self._unread is not None:
                self._unread.cancel()
                self._unread = None

    return Connection
