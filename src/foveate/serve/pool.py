"""The workers of a server: kept alive, given images, replaced when a model file is.

Every place in the pool has a task of its own that takes images from the line, has them answered,
and starts a new process when the one it has dies. Images that a dead worker had go back to the
head of the line, each alone the next time, so that one that kills workers is found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from foveate.errors import ModelFileError, Reason
from foveate.serve.line import Job, Line, Refusal, Times
from foveate.serve.logs import log
from foveate.serve.metrics import Metrics
from foveate.serve.models import ServedModel
from foveate.serve.process import END_SECONDS, Answered, Setup, WorkerDied, WorkerProcess

MOST_DEATHS = 3
"""Workers that may die with an image before it is refused: alone in at least two of them."""

ABANDONED_SECONDS = 2.0
"""For a batch that nobody waits for any more; then its worker is killed. So an image that takes a
decoder minutes blocks a worker little longer than the deadline."""

_STOP_SECONDS = 1.0
"""For workers to end when the server does: nobody waits for what they do."""

_LONGEST_PAUSE = 30.0
"""Seconds between attempts to start a worker that dies at once, at most."""


@dataclass(eq=False, slots=True)
class _Place:
    """One place for a worker.

    Attributes:
        number: from 0.
        worker: None while there is none.
        busy: whether it has images.
        next: of a newer version, to be put in place.
        pause: seconds before the next start; 0 after a worker has answered.
        filled: set when a worker is put in place.
    """

    number: int
    worker: WorkerProcess | None = None
    busy: bool = False
    next: WorkerProcess | None = None
    pause: float = 0.0
    filled: asyncio.Event = field(default_factory=asyncio.Event)


class Pool:
    """As many workers as wanted, over one line.

    Args:
        line: where images wait.
        setup: what every worker has to know.
        size: how many workers.
        answer_seconds: a worker that takes longer for a batch is killed.
        metrics: told what happens.
    """

    def __init__(
        self, line: Line, setup: Setup, size: int, answer_seconds: float, metrics: Metrics
    ) -> None:
        self._line = line
        self._setup = setup
        self._answer_seconds = answer_seconds
        self._metrics = metrics
        self._places = [_Place(number) for number in range(size)]
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._seconds_per_image: float | None = None

    @property
    def models(self) -> dict[str, ServedModel]:
        """What is served now, by name."""
        return dict(self._setup.models)

    @property
    def ready(self) -> int:
        """Workers that are ready."""
        return sum(place.worker is not None for place in self._places)

    @property
    def pids(self) -> list[int]:
        """Of the workers that are ready."""
        return [place.worker.pid for place in self._places if place.worker is not None]

    def seconds_to_wait(self, images: int) -> float:
        """About how long so many images take, from the last batches; 0 before the first."""
        return images * (self._seconds_per_image or 0.0) / max(1, self.ready)

    async def start(self) -> None:
        """Start every worker and wait until all are ready.

        Raises:
            ModelFileError: a classifier cannot be loaded or run.
            WorkerDied: a worker died while it started.
        """
        filling = [self._fill(place) for place in self._places]
        found = await asyncio.gather(*filling, return_exceptions=True)
        for error in found:
            if error is not None:
                await self._end_workers()
                raise error
        self._metrics.served(self._setup.models.values())
        self._tasks = [asyncio.create_task(self._work(place)) for place in self._places]

    async def take_over(self, models: Sequence[ServedModel]) -> None:
        """Serve other versions: start a new worker for each place, then change all at once.

        Until then the old ones answer, and what they have taken they finish.

        Raises:
            ModelFileError: a classifier cannot be loaded or run; the old ones stay.
            WorkerDied: a worker died while it started; the old ones stay.
        """
        setup = replace(self._setup, models={model.name: model for model in models})
        started: list[WorkerProcess] = []
        try:
            while len(started) < len(self._places):
                # One after the other: requests go on on the same cores.
                started.append(await WorkerProcess.start(setup))
        except BaseException:
            for worker in started:
                self._close(worker)
            raise
        self._setup = setup
        for place, worker in zip(self._places, started, strict=True):
            if place.next is not None:
                self._close(place.next)
            place.next = worker
            if not place.busy:
                self._change(place)
        self._metrics.served(models)

    async def stop(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_workers()

    async def _work(self, place: _Place) -> None:
        while True:
            try:
                await self._work_once(place)
            except Exception as error:  # a place must not stay empty, whatever happened
                log("worker failed", level=logging.ERROR, trace=True, error=str(error))
                if place.worker is not None:
                    await place.worker.kill()
                    self._lost(place, str(error))

    async def _work_once(self, place: _Place) -> None:
        """One worker started, or one batch answered."""
        self._change(place)
        if place.worker is None:
            await self._start_again(place)
            return
        jobs = await self._next_jobs(place, place.worker)
        self._change(place)
        if jobs and place.worker is not None:
            place.busy = True
            try:
                await self._answer(place, place.worker, jobs)
            finally:
                place.busy = False
        elif jobs:
            self._line.put_back(jobs)

    async def _start_again(self, place: _Place) -> None:
        place.filled.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(place.filled.wait(), place.pause)
        if place.worker is not None:  # of a newer version, meanwhile
            return
        place.pause = min(_LONGEST_PAUSE, 2 * place.pause + 0.5)
        try:
            await self._fill(place)
        except (ModelFileError, WorkerDied) as error:
            log("worker does not start", level=logging.ERROR, error=str(error))

    async def _next_jobs(self, place: _Place, worker: WorkerProcess) -> list[Job]:
        """Images to work on; none where the worker died while it waited for them."""
        taking = asyncio.ensure_future(self._line.take(self._setup.batch))
        try:
            await asyncio.wait({taking, worker.gone}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            taking.cancel()
            raise
        if place.worker is worker and worker.gone.done():
            self._lost(place, "it ended while it was idle")
        if not taking.done():
            taking.cancel()
            await asyncio.wait({taking})
        return [] if taking.cancelled() else taking.result()

    async def _answer(self, place: _Place, worker: WorkerProcess, jobs: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        jobs = [job for job in jobs if not job.answer.done()]
        if not jobs:
            return
        start = loop.time()
        for job in jobs:
            self._metrics.stages.labels("queue").observe(start - job.arrived)
        try:
            answered = await self._answered(worker, jobs)
        except WorkerDied as death:
            await worker.kill()
            self._lost(place, str(death))
            self._give_back(jobs)
            return
        place.pause = 0.0
        self._measure(jobs[0].model, answered, loop.time() - start)
        times = Times(start, answered.decode, answered.infer)
        for job, answer in zip(jobs, answered.answers, strict=True):
            job.times = times
            if not job.answer.done():
                job.answer.set_result(answer)

    async def _answered(self, worker: WorkerProcess, jobs: Sequence[Job]) -> Answered:
        """What the worker says, unless nobody waits for it any more.

        Raises:
            WorkerDied: it died, takes too long, or is not waited for.
        """
        data = [job.data for job in jobs]
        answering = asyncio.ensure_future(worker.answer(jobs[0].model, data, self._answer_seconds))
        # `wait`, unlike `gather`, leaves the answers alone when it is cancelled.
        given_up = asyncio.ensure_future(asyncio.wait([job.answer for job in jobs]))
        try:
            await asyncio.wait({answering, given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                await asyncio.wait({answering}, timeout=ABANDONED_SECONDS)
            if not answering.done():
                raise WorkerDied("nobody waits for its answer any more")
            return answering.result()
        finally:
            answering.cancel()
            given_up.cancel()

    def _give_back(self, jobs: Sequence[Job]) -> None:
        """Images of a worker that died: back into the line, or refused after too many deaths."""
        again = []
        for job in jobs:
            job.deaths += 1
            if job.answer.done():
                continue
            if job.deaths < MOST_DEATHS:
                again.append(job)
            else:
                sentence = "Decoding it brings the decoder down; save it again to use it."
                job.answer.set_result(Refusal(Reason.UNREADABLE, sentence))
        self._line.put_back(again)

    def _measure(self, name: str, answered: Answered, seconds: float) -> None:
        count = len(answered.answers)
        self._metrics.batches.labels(name).observe(count)
        self._metrics.stages.labels("decode").observe(answered.decode)
        self._metrics.stages.labels("infer").observe(answered.infer)
        before = self._seconds_per_image
        now = seconds / count
        self._seconds_per_image = now if before is None else 0.9 * before + 0.1 * now

    async def _fill(self, place: _Place) -> None:
        setup = self._setup
        worker = await WorkerProcess.start(setup)
        if setup is not self._setup:  # replaced meanwhile: a newer one is in place, or on its way
            self._close(worker)
            return
        place.worker = worker
        self._metrics.workers.set(self.ready)

    def _change(self, place: _Place) -> None:
        """Put the next worker in place, if there is one."""
        if place.next is None:
            return
        if place.worker is not None:
            self._close(place.worker)
        place.worker, place.next = place.next, None
        place.filled.set()
        self._metrics.workers.set(self.ready)

    def _lost(self, place: _Place, why: str) -> None:
        log("worker lost", level=logging.WARNING, place=place.number, why=why)
        place.worker = None
        self._metrics.restarts.inc()
        self._metrics.workers.set(self.ready)

    def _close(self, worker: WorkerProcess, seconds: float = END_SECONDS) -> None:
        task = asyncio.create_task(worker.close(seconds))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _end_workers(self) -> None:
        for place in self._places:
            for worker in (place.worker, place.next):
                if worker is not None:
                    self._close(worker, _STOP_SECONDS)
            place.worker = place.next = None
        await asyncio.gather(*self._closing)
