"""The workers of a server: as many slots as wanted, over one queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from foveate.serve.models import ServedModel
from foveate.serve.operations.metrics import Metrics
from foveate.serve.workers.process import Setup, WorkerProcess
from foveate.serve.workers.queue import ImageQueue
from foveate.serve.workers.slot import Speed, WorkerSlot

_STOP_SECONDS = 1.0
"""For workers to end when the server does: nobody waits for what they do."""


class Pool:
    """As many workers as wanted, over one queue.

    Args:
        queue: where images wait.
        setup: what every worker has to know.
        size: how many workers.
        answer_seconds: a worker that takes longer for a batch is killed.
        metrics: told what happens.
    """

    def __init__(
        self, queue: ImageQueue, setup: Setup, size: int, answer_seconds: float, metrics: Metrics
    ) -> None:
        self._queue = queue
        self._setup = setup
        self._metrics = metrics
        self._speed = Speed()
        self._slots = [
            WorkerSlot(
                number, queue, self._start, setup.batch, answer_seconds, self._speed, metrics
            )
            for number in range(size)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def models(self) -> dict[str, ServedModel]:
        """What is served now, by name."""
        return dict(self._setup.models)

    @property
    def ready(self) -> int:
        """Workers that are ready."""
        return sum(slot.worker is not None for slot in self._slots)

    @property
    def pids(self) -> list[int]:
        """Of the workers that are ready."""
        return [slot.worker.pid for slot in self._slots if slot.worker is not None]

    def seconds_to_wait(self, images: int) -> float:
        """About how long so many images wait for their answers, after those in work.

        It is told from the last batches; 0 before the first.
        """
        begun = sum(slot.images for slot in self._slots)
        return self._speed.seconds(begun + images, self.ready)

    async def start(self) -> None:
        """Start every worker and wait until all are ready.

        Raises:
            ModelFileError: a classifier cannot be loaded or run.
            WorkerDied: a worker died while it started.
        """
        filling = [slot.fill() for slot in self._slots]
        outcomes = await asyncio.gather(*filling, return_exceptions=True)
        for error in outcomes:
            if error is not None:
                await self._end()
                raise error
        self._metrics.served(self._setup.models.values())
        self._tasks = [asyncio.create_task(slot.work()) for slot in self._slots]

    async def take_over(self, models: Sequence[ServedModel]) -> None:
        """Serve other versions: start a new worker for each slot, then change all at once.

        Until then the old ones answer, and what they have taken they finish.

        Raises:
            ModelFileError: a classifier cannot be loaded or run; the old ones stay.
            WorkerDied: a worker died while it started; the old ones stay.
        """
        setup = replace(self._setup, models={model.name: model for model in models})
        started: list[WorkerProcess] = []
        try:
            while len(started) < len(self._slots):
                # One after the other: requests go on on the same cores.
                started.append(await WorkerProcess.start(setup))
        except BaseException:
            await asyncio.gather(*(worker.close() for worker in started))
            raise
        self._setup = setup
        for slot, worker in zip(self._slots, started, strict=True):
            slot.change(worker)
        self._metrics.served(models)

    async def stop(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end()

    async def _start(self) -> WorkerProcess | None:
        setup = self._setup
        worker = await WorkerProcess.start(setup)
        if setup is not self._setup:  # replaced meanwhile: a newer one is in place, or on its way
            await worker.close()
            return None
        return worker

    async def _end(self) -> None:
        await asyncio.gather(*(slot.end(_STOP_SECONDS) for slot in self._slots))
