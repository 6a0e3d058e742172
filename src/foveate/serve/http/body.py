"""The body of a request: within the limits of one and of all, in time, and decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Message, Receive

from foveate.serve.http.encoding import Decoder
from foveate.serve.http.refusals import RequestRefused, busy
from foveate.serve.settings import ServerSettings

DISCARDED = 4
"""A body over the limit is read on up to so many times the limit, and thrown away: a client
that is cut off while it still sends often never sees why."""

_SMALL = 2**20
"""Bytes of a body that is still taken when large ones are refused for want of room."""


@dataclass(slots=True)
class Bodies:
    """Bytes of bodies in memory, of all requests together."""

    held: int = 0


class Body:
    """The body of one request.

    Args:
        receive: where it comes from.
        settings: limits.
        bodies: of all requests.
        until: by the event loop's clock; then it has to be here.
        arrived: called when all of it is here, before it is taken apart; may refuse it.

    Attributes:
        received: bytes that came so far.
        decoder: of its content, where it was compressed. The limits hold for what is sent and
            for what comes of it.
    """

    def __init__(
        self,
        receive: Receive,
        settings: ServerSettings,
        bodies: Bodies,
        until: float,
        arrived: Callable[[], None] | None = None,
    ) -> None:
        self.received = 0
        self.decoder: Decoder | None = None
        self._receive = receive
        self._settings = settings
        self._bodies = bodies
        self._until = until
        self._arrived = arrived
        self._complete = False
        self._ended = False
        self._decoded = 0
        self._held = 0

    async def receive(self) -> Message:
        """The next message.

        Raises:
            RequestRefused: 408 too slow, 413 too large, 422 not what its encoding says, 503 all
                bodies together are too large.
        """
        if self._ended:  # what comes now is the end of the connection: wait as long as it takes
            return await self._receive()
        message = await (self._next() if self.decoder is None else self._next_decoded(self.decoder))
        limit = self._settings.max_body_bytes
        if max(self.received, self._decoded) > limit:
            self.release()
            while not self._complete and self.received <= DISCARDED * limit:
                await self._next()
                self.release()
            self._ended = True
            raise too_large(self._settings)
        most = self._settings.bodies_bytes
        held = self._bodies.held
        # Large bodies first: a few of them that come slowly must not keep out all small ones.
        if held > 2 * most or (held > most and self._held > _SMALL):
            raise busy("queue_full", "Too much is being sent at once; try again later.")
        if self._ended and self._arrived is not None:
            self._arrived()
        return message

    def release(self) -> None:
        """The body is not in memory any more."""
        self._bodies.held -= self._held
        self._held = 0

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self._complete = self._ended = True
            raise RequestRefused(
                HTTPStatus.REQUEST_TIMEOUT,
                "too_slow",
                f"The request did not arrive within {self._settings.deadline:g} s.",
                headers={"connection": "close"},
            ) from None
        count = len(message.get("body", b""))
        self.received += count
        self._hold(count)
        self._complete = self._ended = not message.get("more_body", False)
        return message

    async def _next_decoded(self, decoder: Decoder) -> Message:
        """A piece of what the body is when decoded; in a thread, as it takes the time it takes."""
        message: Message = {"type": "http.request"}
        if not decoder.pending:
            message = await self._next()
            self._ended = False
            if message["type"] != "http.request":  # the client has gone
                self._ended = True
                return message
        piece = await asyncio.to_thread(decoder.feed, message.get("body", b""))
        self._decoded += len(piece)
        self._hold(len(piece))
        self._ended = self._complete and not decoder.pending
        if self._ended:
            decoder.finish()
        return {"type": "http.request", "body": piece, "more_body": not self._ended}

    def _hold(self, count: int) -> None:
        self._held += count
        self._bodies.held += count


def too_large(settings: ServerSettings) -> RequestRefused:
    """A refusal of a body over the limit."""
    return RequestRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"The body is larger than {settings.max_body} MiB.",
        headers={"connection": "close"},
    )
