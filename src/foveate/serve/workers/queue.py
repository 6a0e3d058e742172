"""The queue of images that wait for a worker: bounded, first come first served.

Batches form by themselves: a worker that is idle takes what is there at once, so one image alone
never waits for company; while all workers are busy the queue grows, and the next batch is larger.
A worker that is busy takes a second batch only where a whole one waits and nobody is idle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from foveate.serve.models import ServedModel


class QueueFull(Exception):  # noqa: N818 - reads as the sentence it is
    """There is no room for so many more images."""


class TooLate(Exception):  # noqa: N818 - reads as the sentence it is
    """An image waited longer than it was to: the workers have become slower meanwhile."""


@dataclass(frozen=True, slots=True)
class ImageAnswer:
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
class ImageRefusal:
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
class QueuedImage:
    """One image of a request.

    Attributes:
        model: name of the classifier.
        data: bytes of the image's file.
        arrived: when, by the event loop's clock, in seconds.
        answer: what the request waits for; cancelled where it does not wait any more, and ended
            with `TooLate` where no worker took the image in time.
        latest: when it is no more worth beginning, by the event loop's clock.
        deaths: workers that died with this image among those they had.
        times: what it took; None before it was answered.
    """

    model: str
    data: bytes
    arrived: float
    answer: asyncio.Future[ImageAnswer | ImageRefusal] = field(repr=False)
    latest: float = inf
    deaths: int = 0
    times: Times | None = None


@dataclass(eq=False, slots=True)
class _Turn:
    """A worker that waits.

    Attributes:
        whole: images that must be there for it; 0 where it is idle and takes any.
        called: done when it is to look.
    """

    whole: int
    called: asyncio.Future[None]


class ImageQueue:
    """Images that wait.

    Args:
        limit: how many may wait.
        batch_bytes: of their files, in a batch that is taken; one image alone may have more.
    """

    def __init__(self, limit: int, batch_bytes: float = inf) -> None:
        self.limit = limit
        self._batch_bytes = batch_bytes
        self._images: deque[QueuedImage] = deque()
        self._turns: list[_Turn] = []

    def __len__(self) -> int:
        return len(self._images)

    def put(self, images: Sequence[QueuedImage]) -> None:
        """Add the images of a request, all or none.

        An empty queue takes any request, so that one of many images can be served at all.

        Raises:
            QueueFull: there is no room.
        """
        if self._images and len(self._images) + len(images) > self.limit:
            raise QueueFull
        self._images.extend(images)
        self._wake(len(images))

    def put_back(self, images: Sequence[QueuedImage]) -> None:
        """Images whose worker died go before all others, limit or not: they were taken."""
        self._images.extendleft(reversed(images))
        self._wake(len(images))

    def remove(self, images: Iterable[QueuedImage]) -> None:
        """Forget images that nobody waits for any more."""
        gone = set(images)
        self._images = deque(image for image in self._images if image not in gone)

    async def take(self, most: int, *, second: bool = False) -> list[QueuedImage]:
        """The next images for one classifier; waits until there is one.

        Where several workers are idle, each takes its share, so that the images of one
        request are spread over the cores.

        Args:
            most: how many at most.
            second: for a worker that is busy: it waits until so many are there that nobody
                who is idle would take them.
        """
        while not self._enough(most if second else 0):
            turn = _Turn(most if second else 0, asyncio.get_running_loop().create_future())
            self._turns.append(turn)
            try:
                await turn.called
            except asyncio.CancelledError:
                if turn.called.done() and not turn.called.cancelled():
                    self._wake(1, besides=turn)  # it was this worker's turn: the next one's now
                raise
            finally:
                self._turns.remove(turn)
        share = -(-len(self._images) // (1 + self._idle))
        return self._pick(min(most, share))

    @property
    def _idle(self) -> int:
        return sum(not turn.whole for turn in self._turns)

    def _enough(self, whole: int) -> bool:
        """Whether a worker is to take images now, after what waits too long was refused."""
        now = asyncio.get_running_loop().time()
        if any(image.latest < now for image in self._images):
            late = [image for image in self._images if image.latest < now]
            self.remove(late)
            for image in late:
                if not image.answer.done():
                    image.answer.set_exception(TooLate())
        if whole:
            return not self._idle and len(self._images) >= whole
        return bool(self._images)

    def _pick(self, count: int) -> list[QueuedImage]:
        """Up to `count` images for the classifier that the first one is for."""
        first = self._images[0]
        if first.deaths:
            count = 1  # alone: should it bring down this worker too, it is known to be the cause
        picked: list[QueuedImage] = []
        left: deque[QueuedImage] = deque()
        size = 0
        while self._images and len(picked) < count:
            image = self._images.popleft()
            if picked and size + len(image.data) > self._batch_bytes:
                left.append(image)
                break
            fits = image.model == first.model and (image is first or not image.deaths)
            (picked if fits else left).append(image)
            size += len(image.data) if fits else 0
        self._images.extendleft(reversed(left))
        return picked

    def _wake(self, count: int, besides: _Turn | None = None) -> None:
        """Call so many of those that wait, the idle ones first."""
        for turn in sorted(self._turns, key=lambda turn: turn.whole > 0):
            if count == 0:
                return
            if turn is besides or turn.called.done() or len(self._images) < turn.whole:
                continue
            turn.called.set_result(None)
            count -= 1
