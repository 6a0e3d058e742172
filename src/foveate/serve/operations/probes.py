"""Health and metrics on a port of their own, answered by a thread of its own.

Whatever the event loop is busy with, and however many connections there are, a probe is answered at
once: so nobody restarts a server for being busy. It is told apart from one that hangs by a beat: an
event loop that has not turned for long is not alive.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from foveate.errors import SettingsError

HANGING_SECONDS = 30.0
"""Without a turn of the event loop, after which the server is not alive any more."""

_BEAT_SECONDS = 0.5
_READ_SECONDS = 2.0
_MOST = 32
"""Probes at once; more are cut off."""


@dataclass(frozen=True, slots=True)
class State:
    """What a probe may ask.

    Attributes:
        ready: whether images can be sent.
        metrics: the page for Prometheus.
        allowed: whether one with this `Authorization` header may see the metrics.
    """

    ready: Callable[[], bool]
    metrics: Callable[[], bytes]
    allowed: Callable[[str | None], bool]


class Probes:
    """Answers probes until it is closed. Made where the event loop runs.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        state: of the server.

    Raises:
        SettingsError: the port cannot be listened on.
    """

    def __init__(self, host: str, port: int, state: State) -> None:
        self._loop = asyncio.get_running_loop()
        self._beaten = time.monotonic()
        self._beat()
        try:
            self._server = _Server((host, port), _handler(state, self._alive))
        except OSError as error:
            self._timer.cancel()
            raise SettingsError(
                f"Probes cannot be answered on {host}, port {port}: {error.strerror}."
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="probes"
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Answer no more."""
        self._timer.cancel()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _beat(self) -> None:
        self._beaten = time.monotonic()
        self._timer = self._loop.call_later(_BEAT_SECONDS, self._beat)

    def _alive(self) -> bool:
        return time.monotonic() - self._beaten < HANGING_SECONDS


class _Server(ThreadingHTTPServer):
    """One short-lived thread a probe, within a limit."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            import socket

            self.address_family = socket.AF_INET6
        self._room = threading.BoundedSemaphore(_MOST)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A probe that has gone, or is none: nothing to tell."""


def _handler(state: State, alive: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_SECONDS
        server_version = "foveate"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer a probe."""
            path = self.path.partition("?")[0]
            if path == "/health/live":
                self._say(alive(), b'{"status":"live"}')
            elif path == "/health/ready":
                self._say(alive() and state.ready(), b'{"status":"ready"}')
            elif path == "/metrics" and not state.allowed(self.headers.get("authorization")):
                self._answer(HTTPStatus.UNAUTHORIZED, b"", "text/plain")
            elif path == "/metrics":
                self._answer(HTTPStatus.OK, state.metrics(), CONTENT_TYPE_LATEST)
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")

        do_HEAD = do_GET  # noqa: N815 - a name of the library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Probes are not logged."""

        def _say(self, well: bool, body: bytes) -> None:
            if well:
                self._answer(HTTPStatus.OK, body, "application/json")
            else:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"{}", "application/json")

        def _answer(self, status: HTTPStatus, body: bytes, media: str) -> None:
            self.send_response(status)
            self.send_header("content-type", media)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
