"""The line of images that wait for a worker: bounded, first come first served.

Batches form by themselves: a worker that is idle takes what is there at once, so one image alone
never waits for company; while all workers are busy the line grows, and the next batch is larger.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foveate.serve.models import ServedModel


class LineFull(Exception):  # noqa: N818 - reads as the sentence it is
    """There is no room for so many more images."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a classifier said about one image.

    Attributes:
        model: the version of the classifier that answered.
        row: (K,) float32 probabilities.
    """

    model: ServedModel
    row: NDArray[np.float32]

    @property
    def label(self) -> str:
        """The most probable one."""
        return self.model.labels[int(self.row.argmax())]

    @property
    def probability(self) -> float:
        """Of that label."""
        return float(self.row.max())

    @property
    def probabilities(self) -> dict[str, float]:
        """Of every label."""
        return dict(zip(self.model.labels, self.row.tolist(), strict=True))

    def most_probable(self, count: int) -> dict[str, float]:
        """The probabilities of so many labels, or of all if there are fewer; largest first."""
        first = most_probable(self.row, count)
        return {self.model.labels[index]: float(self.row[index]) for index in first}


def most_probable(rows: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Positions of the largest values of each row, largest first; of equal ones the first.

    Args:
        rows: (…, K).
        count: how many.

    Returns:
        (…, min(K, count)).
    """
    return np.argsort(-rows, axis=-1, kind="stable")[..., :count]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one image cannot be used.

    Attributes:
        reason: see `foveate.errors.Reason`.
        detail: one plain sentence.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Times:
    """What the time of an image went to, from when its batch was begun.

    Attributes:
        begun: when, by the event loop's clock, in seconds.
        decode: seconds that decoding the batch took.
        infer: seconds that the network and the head took.
    """

    begun: float
    decode: float
    infer: float


@dataclass(eq=False, slots=True)
class Job:
    """One image of a request.

    Attributes:
        model: name of the classifier.
        data: bytes of the image's file.
        arrived: when, by the event loop's clock, in seconds.
        answer: what the request waits for; cancelled where it does not wait any more.
        deaths: workers that died with this image among those they had.
        times: what it took; None before it was answered.
    """

    model: str
    data: bytes
    arrived: float
    answer: asyncio.Future[Answer | Refusal] = field(repr=False)
    deaths: int = 0
    times: Times | None = None


class Line:
    """Images that wait.

    Args:
        limit: how many may wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._jobs: deque[Job] = deque()
        self._idle: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, jobs: Sequence[Job]) -> None:
        """Add the images of a request, all or none.

        An empty line takes any request, so that one of many images can be served at all.

        Raises:
            LineFull: there is no room.
        """
        if self._jobs and len(self._jobs) + len(jobs) > self.limit:
            raise LineFull
        self._jobs.extend(jobs)
        self._wake(len(jobs))

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Images whose worker died go before all others, limit or not: they were taken."""
        self._jobs.extendleft(reversed(jobs))
        self._wake(len(jobs))

    def remove(self, jobs: Iterable[Job]) -> None:
        """Forget images that nobody waits for any more."""
        gone = set(jobs)
        self._jobs = deque(job for job in self._jobs if job not in gone)

    async def take(self, most: int) -> list[Job]:
        """The next images for one classifier; waits until there is one.

        Where several workers are idle, each takes its share, so that the images of one
        request are spread over the cores.

        Args:
            most: how many at most.
        """
        while not self._jobs:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake(1, besides=turn)  # it was this worker's turn: the next one's now
                raise
            finally:
                self._idle.remove(turn)
        share = -(-len(self._jobs) // (1 + len(self._idle)))
        return self._pick(min(most, share))

    def _pick(self, count: int) -> list[Job]:
        """Up to `count` images for the classifier that the first one is for."""
        first = self._jobs[0]
        if first.deaths:
            count = 1  # alone: should it bring down this worker too, it is known to be the cause
        picked: list[Job] = []
        left: deque[Job] = deque()
        while self._jobs and len(picked) < count:
            job = self._jobs.popleft()
            fits = job.model == first.model and (job is first or not job.deaths)
            (picked if fits else left).append(job)
        self._jobs.extendleft(reversed(left))
        return picked

    def _wake(self, count: int, besides: asyncio.Future[None] | None = None) -> None:
        for turn in self._idle:
            if count == 0:
                return
            if turn is not besides and not turn.done():
                turn.set_result(None)
                count -= 1
