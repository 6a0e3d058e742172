"""Takes connections from a listening socket, many a turn of the event loop.

uvloop's own server takes one a turn: when a turn is long, because hundreds of requests have to be
refused in it, new connections, those of health checks among them, wait for many seconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from foveate.serve.http.connection import HEADER_SECONDS
from foveate.serve.operations.logs import log

AT_ONCE = 256
"""Connections a turn, at most: a turn with so many new ones takes some ten milliseconds."""

_PAUSE_SECONDS = 0.2
"""After the system had no file or memory for a connection: those that wait go on waiting."""

Context = Callable[[], ssl.SSLContext | None]
"""The context of TLS for a new connection, which may be another one than before; None without."""


class Acceptor:
    """A server for `uvicorn.Server`: it takes connections until it is closed.

    Args:
        listening: the socket.
        connect: makes the protocol of a connection.
        context: see there.
    """

    def __init__(
        self, listening: socket.socket, connect: Callable[[], asyncio.Protocol], context: Context
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._connect = connect
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._starting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        self._resume()

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)

    async def wait_closed(self) -> None:
        """Until the handshakes that have begun are over, one way or the other."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)

    def _resume(self) -> None:
        self._pause = None
        if not self._closed:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:  # it has gone already
                continue
            except OSError as error:  # no more files, or memory
                log("no connection taken", level=logging.ERROR, error=error.strerror)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return
            task = self._loop.create_task(self._start(connection))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _start(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = self._context()
        try:
            await self._loop.connect_accepted_socket(
                self._connect,
                connection,
                ssl=context,
                ssl_handshake_timeout=HEADER_SECONDS if context else None,
            )
        except OSError:  # of the client, or of its handshake
            connection.close()
