"""Connections that bring their headers in time, and not too many of them."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""For the headers of a request, from the opening of the connection or from their first byte."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s"
)
_FULL_BODY = (
    b'{"error":"There are too many connections; try again later.","reason":"too_many_connections",'
    b'"request_id":"","images":[]}'
)


def make_protocol(max_connections: int) -> type[HttpToolsProtocol]:
    """The protocol class of uvicorn, with two limits that it lacks.

    Without them a client that opens connections and says nothing, or a header a minute, keeps as
    many as it likes ("slowloris").

    Args:
        max_connections: at once; one more is told 503 and closed.
    """

    class Connection(HttpToolsProtocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                transport.write(_FULL % (len(_FULL_BODY), _FULL_BODY))
                transport.close()
                return
            self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._late is None:
                self._wait()

        def on_headers_complete(self) -> None:
            self._stop_waiting()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._late = self.loop.call_later(HEADER_SECONDS, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Connection
