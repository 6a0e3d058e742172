"""Refusals for want of room, spaced out: clients that retry at once cost the others little.

A client that is told 503 and `Retry-After: 1` and asks again at once would, with some hundred like
it, keep a server busy with refusing, and the workers without a processor. So the first refusals of
a second are told at once, as is good for a balancer that asks another server; the others are held
for a while: what a patient client would wait after them, an impatient one waits before.
"""

from __future__ import annotations

import asyncio
from logging import WARNING

from foveate.serve.operations.logs import log

AT_ONCE = 50.0
"""Refusals a second that are told at once. One of a request of 75 kB takes both ends about 0.5 ms
of a core together: so many take 2 % of one."""

HOLD_SECONDS = 3.0
"""For which others are held: of 800 clients that retry at once, 300 refusals a second are left,
which take a sixth of a slow core. Clients give up later than that, so none comes again sooner."""


_SUMMARY_SECONDS = 1.0


class Pacing:
    """Decides how long a refusal is held: a bucket of tokens, and a line of those that wait.

    Args:
        most: refusals that may be held; one more, and the first of them is told. So they do not
            take all connections.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tokens = AT_ONCE
        self._filled = 0.0
        self._held: dict[asyncio.Future[None], None] = {}
        self._count = 0

    async def wait(self) -> bool:
        """Wait before a refusal is told; whether it had to, as there are many.

        Those that had to are logged together, in a line a second.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._tokens = min(AT_ONCE, self._tokens + (now - self._filled) * AT_ONCE)
        self._filled = now
        if self._tokens >= 1:
            self._tokens -= 1
            return False
        if not self._count:
            loop.call_later(_SUMMARY_SECONDS, self._summarise)
        self._count += 1
        told: asyncio.Future[None] = loop.create_future()
        self._held[told] = None
        if len(self._held) > self._most:
            first = next(iter(self._held))
            del self._held[first]
            _tell(first)
        timer = loop.call_later(HOLD_SECONDS, _tell, told)
        try:
            await told
        finally:
            timer.cancel()
            self._held.pop(told, None)
        return True

    def _summarise(self) -> None:
        log("requests held and refused", level=WARNING, count=self._count, held=len(self._held))
        self._count = 0


def _tell(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)
