"""A place for a worker: it is given images, replaced when it dies, and changed for a newer one.

A worker that is busy has a second batch in its pipe where a whole one waits: it goes on at once,
however long the server is at other things (hundreds of requests that it refuses, say). Images that
a dead worker had begun with go back to the head of the queue, each alone the next time, so that one
that kills workers is found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from foveate.errors import ModelFileError, Reason
from foveate.serve.operations.logs import log
from foveate.serve.operations.metrics import Metrics
from foveate.serve.workers.process import (
    END_SECONDS,
    Batch,
    BatchAnswer,
    NotBegun,
    WorkerDied,
    WorkerProcess,
)
from foveate.serve.workers.queue import ImageQueue, ImageRefusal, QueuedImage, Times

MOST_DEATHS = 3
"""Workers that may die with an image before it is refused: alone in at least two of them."""

ABANDONED_SECONDS = 2.0
"""For a batch that nobody waits for any more; then its worker is killed. So an image that takes a
decoder minutes blocks a worker little longer than the deadline."""

BATCHES = 2
"""That a worker has at once, at most: one that it works on, and the next."""

BATCH_SECONDS = 0.25
"""Of work that a worker is given at once, about: so that on a slow machine, too, an image that was
let in is answered little later than it was promised."""

_NEWEST = 0.2
"""Weight of the newest batch in the running mean: a machine that slows down is noticed within some
ten batches."""

_LONGEST_PAUSE = 30.0
"""Seconds between attempts to start a worker that dies at once, at most."""

Start = Callable[[], Awaitable[WorkerProcess | None]]
"""Start a worker; None where it would be of an older version than what is served by now."""


class Speed:
    """Seconds that a worker takes for an image, as a running mean of the last batches."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def measure(self, images: int, seconds: float) -> None:
        """A worker took so long for so many."""
        now = seconds / images
        before = self._seconds
        self._seconds = now if before is None else (1 - _NEWEST) * before + _NEWEST * now

    def seconds(self, images: int, workers: int) -> float:
        """About how long so many images take so many workers; 0 before the first batch."""
        return images * (self._seconds or 0.0) / max(1, workers)

    def batch(self, most: int) -> int:
        """How many images to give a worker at once: at least 1, at most `most`."""
        if not self._seconds:
            return most
        return max(1, min(most, int(BATCH_SECONDS / self._seconds)))


class WorkerSlot:
    """One place for a worker.

    Args:
        number: from 0.
        queue: where images wait.
        start: a worker.
        most: images a batch.
        answer_seconds: a worker that takes longer for a batch is killed.
        speed: told how long batches take.
        metrics: told what happens.

    Attributes:
        worker: None while there is none.
    """

    def __init__(
        self,
        number: int,
        queue: ImageQueue,
        start: Start,
        most: int,
        answer_seconds: float,
        speed: Speed,
        metrics: Metrics,
    ) -> None:
        self.worker: WorkerProcess | None = None
        self._number = number
        self._queue = queue
        self._start = start
        self._most = most
        self._answer_seconds = answer_seconds
        self._speed = speed
        self._metrics = metrics
        self._next: WorkerProcess | None = None
        self._pause = 0.0
        self._filled = asyncio.Event()
        self._batches: dict[asyncio.Task[None], int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def images(self) -> int:
        """How many the worker has."""
        return sum(self._batches.values())

    async def fill(self) -> None:
        """Start a worker.

        Raises:
            ModelFileError: a classifier cannot be loaded or run.
            WorkerDied: it died while it started.
        """
        worker = await self._start()
        if worker is None:
            return
        self.worker = worker
        self._metrics.workers.inc()

    def change(self, worker: WorkerProcess) -> None:
        """Put a worker of a newer version in place, as soon as the present one has answered."""
        if self._next is not None:
            self._close(self._next, END_SECONDS)
        self._next = worker
        self._change()

    async def work(self) -> None:
        """Take images and have them answered, until cancelled."""
        while True:
            try:
                await self._work_once()
            except Exception as error:  # a place must not stay empty, whatever happened
                log("worker failed", level=logging.ERROR, trace=True, error=str(error))
                if self.worker is not None:
                    await self._lose(self.worker, str(error))

    async def end(self, seconds: float) -> None:
        """End the workers; what they had begun with is given up after so long."""
        for worker in (self.worker, self._next):
            if worker is not None:
                self._close(worker, seconds)
        self.worker = self._next = None
        for batch in self._batches:
            batch.cancel()
        await asyncio.gather(*self._closing, *self._batches, return_exceptions=True)

    async def _work_once(self) -> None:
        """A worker started or changed, images sent to it, or a batch answered."""
        if self._batches and (self.worker is None or self._next is not None):
            await asyncio.wait(self._batches)
        self._change()
        worker = self.worker
        if worker is None:
            await self._start_again()
            return
        images = await self._wait(worker)
        if worker.gone.done() and self.worker is worker:
            self._queue.put_back(images)
            await self._lose(worker, "it ended")
            return
        self._change()
        if self.worker is None or self._next is not None:
            self._queue.put_back(images)
        elif images:
            batch = asyncio.ensure_future(self._answer(self.worker, images))
            self._batches[batch] = len(images)
            batch.add_done_callback(self._batches.pop)

    async def _wait(self, worker: WorkerProcess) -> list[QueuedImage]:
        """Images to send; none where there is something else to do first."""
        busy = bool(self._batches)
        waiting: set[asyncio.Future[Any]] = {worker.gone, *self._batches}
        taking: asyncio.Task[list[QueuedImage]] | None = None
        if len(self._batches) < BATCHES:
            most = self._speed.batch(self._most)
            taking = asyncio.ensure_future(self._queue.take(most, second=busy))
            waiting.add(taking)
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if taking is not None and not taking.done():
                taking.cancel()
        if taking is None:
            return []
        await asyncio.wait({taking})
        return [] if taking.cancelled() else taking.result()

    async def _start_again(self) -> None:
        self._filled.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), self._pause)
        if self.worker is not None:  # of a newer version, meanwhile
            return
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause + 0.5)
        try:
            await self.fill()
        except (ModelFileError, WorkerDied) as error:
            log("worker does not start", level=logging.ERROR, error=str(error))

    async def _answer(self, worker: WorkerProcess, images: list[QueuedImage]) -> None:
        """Have images classified, or give them back."""
        images = [image for image in images if not image.answer.done()]
        if not images:
            return
        batch = worker.send(images[0].model, [image.data for image in images])
        try:
            await batch.begun
            begun = asyncio.get_running_loop().time()
            for image in images:
                self._metrics.stages.labels("queue").observe(begun - image.arrived)
            answered = await self._answered(batch, images)
        except NotBegun:
            self._queue.put_back([image for image in images if not image.answer.done()])
            return
        except WorkerDied as death:
            self._give_back(images)
            await self._lose(worker, str(death))
            return
        self._pause = 0.0
        self._measure(batch, answered)
        times = Times(begun, answered.decode, answered.infer)
        for image, answer in zip(images, answered.answers, strict=True):
            image.times = times
            if not image.answer.done():
                image.answer.set_result(answer)

    async def _answered(self, batch: Batch, images: Sequence[QueuedImage]) -> BatchAnswer:
        """What the worker says, unless nobody waits for it any more.

        Raises:
            WorkerDied: it died, takes too long, or is not waited for.
        """
        # `wait`, unlike `gather`, leaves the answers alone when it is cancelled.
        given_up = asyncio.ensure_future(asyncio.wait([image.answer for image in images]))
        either: set[asyncio.Future[Any]] = {batch.answered, given_up}
        try:
            await asyncio.wait(
                either,
                timeout=self._answer_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not batch.answered.done() and not given_up.done():
                raise WorkerDied(f"no answer within {self._answer_seconds:.0f} s")
            await asyncio.wait({batch.answered}, timeout=ABANDONED_SECONDS)
            if not batch.answered.done():
                raise WorkerDied("nobody waits for its answer any more")
            return batch.answered.result()
        finally:
            given_up.cancel()

    def _give_back(self, images: Sequence[QueuedImage]) -> None:
        """Images of a worker that died: back into the queue, or refused after too many deaths."""
        again = []
        for image in images:
            image.deaths += 1
            if image.answer.done():
                continue
            if image.deaths < MOST_DEATHS:
                again.append(image)
            else:
                sentence = "Decoding it brings the decoder down; save it again to use it."
                image.answer.set_result(ImageRefusal(Reason.UNREADABLE, sentence))
        self._queue.put_back(again)

    def _measure(self, batch: Batch, answered: BatchAnswer) -> None:
        self._metrics.batches.labels(batch.model.name).observe(batch.count)
        self._metrics.stages.labels("decode").observe(answered.decode)
        self._metrics.stages.labels("infer").observe(answered.infer)
        self._speed.measure(batch.count, answered.decode + answered.infer)

    def _change(self) -> None:
        """Put the next worker in place, if there is one and the present one has answered."""
        if self._next is None or self._batches:
            return
        if self.worker is not None:
            self._close(self.worker, END_SECONDS)
        else:
            self._metrics.workers.inc()
        self.worker, self._next = self._next, None
        self._filled.set()

    async def _lose(self, worker: WorkerProcess, why: str) -> None:
        if self.worker is worker:
            self.worker = None
            self._metrics.workers.dec()
            self._metrics.restarts.inc()
            log("worker lost", level=logging.WARNING, place=self._number, why=why)
        await worker.kill()

    def _close(self, worker: WorkerProcess, seconds: float) -> None:
        task = asyncio.create_task(worker.close(seconds))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
