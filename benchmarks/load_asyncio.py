"""Open and closed loops over a pool of connections, in one thread and at little cost."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.load_http import Connection

SEND_BUFFER = 1 << 20
"""Asked of the system for every connection, so that a body goes out in one call."""

IDLE_SECONDS = 2.0
"""Servers close idle connections after 5 s or more; a request sent at that moment would be lost."""


@dataclass
class Tally:
    """What happened, while it happens.

    Attributes:
        start: when the load began, on the clock of the loop.
        statuses: answers by status.
        errors: requests without an answer, by kind.
        latencies: seconds from the moment that a request was due to the end of its answer, by
            status.
        by_second: answers by second since the start, and status.
        lags: seconds from the moment that a request was due to the moment it was handed to the
            system; empty where requests wait for answers.
        connections: the most that were open at once.
        waited: requests that had to wait because no more connections were allowed.
        ended: when the last request was due.
        drained: when the last answer had come.
    """

    start: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)
    by_second: Counter[tuple[int, int]] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    connections: int = 0
    waited: int = 0
    ended: float = 0.0
    drained: float = 0.0


class Pool:
    """Connections to one server, and the requests that wait for one.

    Args:
        address: host and port.
        requests: whole requests, sent in turns.
        most: connections at once, at most.
        timeout: seconds after which a request counts as failed.
    """

    def __init__(
        self, address: tuple[str, int], requests: Sequence[bytes], most: int, timeout: float
    ) -> None:
        self.tally = Tally()
        self.closed_until: float | None = None
        self.pending = 0
        self._address, self._requests, self._most = address, requests, most
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds them weakly
        self._queue: deque[float] = deque()

    def arrive(self, due: float) -> None:
        """A request is due: send it, over a new connection if all are busy."""
        self.pending += 1
        self._retire()
        if self._idle:
            self._send(self._idle.pop(), due)
            return
        self._queue.append(due)
        if not self._grow():
            self.tally.waited += 1

    def idle(self, connection: Connection) -> None:
        """A connection can take the next request."""
        if self._queue:
            self._send(connection, self._queue.popleft())
        elif self._goes_on:
            self.pending += 1
            self._send(connection, self._loop.time())
        else:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)

    def answered(self, connection: Connection, status: int) -> None:
        """A whole answer has come."""
        if connection.due is None:
            self.tally.errors["answer without a request"] += 1
            return
        now, due = self._loop.time(), connection.due
        connection.due = None
        self.pending -= 1
        self.tally.statuses[status] += 1
        self.tally.latencies.setdefault(status, []).append(now - due)
        self.tally.by_second[int(now - self.tally.start), status] += 1

    def failed(self, connection: Connection, kind: str) -> None:
        """A request will have no answer."""
        if connection.due is not None:
            connection.due = None
            self.pending -= 1
            self.tally.errors[kind] += 1

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self.failed(connection, "closed before the answer")
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._goes_on:
            self.arrive(self._loop.time())
        else:
            self._grow()

    async def drain(self) -> None:
        """Wait for the answers that are due, then close everything."""
        while self.pending and self._loop.time() < self.tally.ended + self._timeout:
            await asyncio.sleep(0.02)
        self.tally.drained = self._loop.time()
        for connection in list(self._all):
            self.failed(connection, "no answer in time")
            connection.abort()
        self.tally.errors["never sent"] += len(self._queue)
        self.tally.errors += Counter()  # drops what is zero

    @property
    def _goes_on(self) -> bool:
        """Whether every client sends again as soon as it can."""
        return self.closed_until is not None and self._loop.time() < self.closed_until

    def _retire(self) -> None:
        """Close what lay idle for long: the server may be about to do the same."""
        old = self._loop.time() - IDLE_SECONDS
        while self._idle and self._idle[0].idle_since < old:
            self._idle.pop(0).abort()

    def _grow(self) -> bool:
        """Open a connection if requests wait for one; whether that was possible."""
        if self._opening >= len(self._queue):
            return True
        if len(self._all) + self._opening >= self._most:
            return False
        self._opening += 1
        task = self._loop.create_task(self._open())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _open(self) -> None:
        raw = socket.socket()
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            await self._loop.sock_connect(raw, self._address)
            _, connection = await self._loop.create_connection(lambda: Connection(self), sock=raw)
        except OSError as error:
            self._opening -= 1
            raw.close()
            if self._queue:
                self._queue.popleft()
                self.pending -= 1
                self.tally.errors[f"cannot connect ({error.strerror})"] += 1
            return
        self._opening -= 1
        self._all.add(connection)
        self.tally.connections = max(self.tally.connections, len(self._all))
        self.idle(connection)

    def _send(self, connection: Connection, due: float) -> None:
        if self.closed_until is None:
            self.tally.lags.append(self._loop.time() - due)
        connection.send(self._requests[self._next], due)
        self._next = (self._next + 1) % len(self._requests)


async def open_loop(
    address: tuple[str, int],
    requests: Sequence[bytes],
    *,
    rate: float,
    seconds: float,
    poisson: bool = True,
    most: int = 2000,
    timeout: float = 30.0,
) -> Tally:
    """Requests at a rate that does not care for answers."""
    pool = Pool(address, requests, most, timeout)
    loop = asyncio.get_running_loop()
    pool.tally.start = start = loop.time() + 0.05
    pool.tally.ended = start + seconds
    for after in _arrivals(rate, seconds, poisson):
        ahead = start + after - loop.time()
        # The clock of epoll ticks in milliseconds; between two arrivals, answers are read anyway.
        await asyncio.sleep(max(ahead, 0))
        pool.arrive(start + after)
    await asyncio.sleep(pool.tally.ended - loop.time())
    await pool.drain()
    return pool.tally


async def closed_loop(
    address: tuple[str, int],
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    timeout: float = 30.0,
) -> Tally:
    """As many clients as connections; each sends as soon as it has its answer."""
    pool = Pool(address, requests, connections, timeout)
    now = asyncio.get_running_loop().time()
    pool.tally.start = now
    pool.closed_until = pool.tally.ended = now + seconds
    for _ in range(connections):
        pool.arrive(now)
    await asyncio.sleep(seconds)
    await pool.drain()
    return pool.tally


def _arrivals(rate: float, seconds: float, poisson: bool) -> Iterator[float]:
    rng = random.Random(0)
    at = 0.0
    while True:
        at += rng.expovariate(rate) if poisson else 1 / rate
        if at >= seconds:
            return
        yield at
