"""One worker process, seen from the server."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging import WARNING

import numpy as np
from numpy.typing import NDArray

from foveate.errors import ModelFileError
from foveate.serve.http.tokens import VARIABLE
from foveate.serve.models import ServedModel
from foveate.serve.operations.logs import log
from foveate.serve.workers.pipe import Frame, read_frame
from foveate.serve.workers.queue import ImageAnswer, ImageRefusal

END_SECONDS = 5
"""For what a worker has begun, when it is told to end."""

START_SECONDS = 120
"""A worker that is not ready after so long never will be."""


_PIPE_SECONDS = 1.0
"""For the pipes of a process that has ended to end, too: one that it started may hold them."""

PRINTED_BYTES = 4000
"""Of what a worker prints, in one line of the log: a traceback, mostly."""

PRINTED_A_SECOND = 10
"""Lines of the log for what a worker prints; more are counted."""


class WorkerDied(Exception):  # noqa: N818 - reads as the sentence it is
    """The worker is gone, or does not answer in time."""


class NotBegun(WorkerDied):
    """The worker is gone, and had not yet begun with this batch."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker has to know.

    Attributes:
        models: by name.
        batch: images a call of the network.
        max_bytes: of an image.
        max_pixels: of an image.
    """

    models: Mapping[str, ServedModel]
    batch: int
    max_bytes: int
    max_pixels: int

    def frame(self) -> Frame:
        """As it is sent."""
        header = {
            "names": list(self.models),
            "batch": self.batch,
            "max_bytes": self.max_bytes,
            "max_pixels": self.max_pixels,
        }
        return Frame(header, [model.data for model in self.models.values()])


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What a worker said about a batch.

    Attributes:
        answers: one an image.
        decode: seconds that decoding took.
        infer: seconds that the network and the head took.
    """

    answers: list[ImageAnswer | ImageRefusal]
    decode: float
    infer: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images that were sent to a worker, which takes one batch after the other.

    Attributes:
        model: that they are for.
        count: how many.
        begun: done when the worker has answered all batches before this one.
        answered: what it said. Both fail with `WorkerDied` when the worker is gone; `begun` with
            `NotBegun`.
    """

    model: ServedModel
    count: int
    begun: asyncio.Future[None]
    answered: asyncio.Future[BatchAnswer]

    def take(self, frame: Frame) -> None:
        """Answer it with what the worker sent."""
        refused = {int(index): refusal for index, refusal in frame.header["refused"].items()}
        shape = (-1, len(self.model.labels))
        rows: NDArray[np.float32] = np.frombuffer(frame.parts[0], np.float32).reshape(shape)
        remaining = iter(rows)
        answers = [
            ImageRefusal(*refused[index])
            if index in refused
            else ImageAnswer(self.model, next(remaining))
            for index in range(self.count)
        ]
        if not self.answered.done():
            taken = BatchAnswer(answers, frame.header["decode"], frame.header["infer"])
            self.answered.set_result(taken)

    def fail(self, why: str) -> None:
        """The worker is gone."""
        for future, error in ((self.begun, NotBegun(why)), (self.answered, WorkerDied(why))):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody has to look at it


class WorkerProcess:
    """A worker that is ready. Make one with `start`.

    Attributes:
        gone: done when the process has ended.
    """

    def __init__(self, process: Process, setup: Setup) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise WorkerDied("it has no pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._setup = setup
        self._batches: deque[Batch] = deque()
        self.gone = asyncio.ensure_future(process.wait())
        self._telling = asyncio.ensure_future(tell_printed(process.stderr, process.pid))
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @classmethod
    async def start(cls, setup: Setup) -> WorkerProcess:
        """Start a process and wait until it is ready.

        Raises:
            ModelFileError: it cannot load or run a classifier.
            WorkerDied: it died.
        """
        # One core a worker: threads of their own that libraries start would fight over it.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment.pop(VARIABLE, None)  # decoders of strangers' bytes need no tokens
        creating = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "foveate.serve.workers.worker",
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=environment,
            )
        )
        try:
            worker = cls(await asyncio.shield(creating), setup)
        except asyncio.CancelledError:
            await cls(await creating, setup).kill()  # half started, it would be nobody's
            raise
        except OSError as error:  # no more processes, files or memory
            raise WorkerDied(f"it cannot be started: {error.strerror or error}") from None
        try:
            await worker._set_up(START_SECONDS)
        except BaseException:
            await worker.kill()
            raise
        worker._reading = asyncio.ensure_future(worker._read())
        return worker

    def send(self, name: str, images: Sequence[bytes]) -> Batch:
        """Have images classified, after those that it has already.

        Args:
            name: of the classifier.
            images: bytes of their files.
        """
        loop = asyncio.get_running_loop()
        batch = Batch(
            self._setup.models[name], len(images), loop.create_future(), loop.create_future()
        )
        if not self._batches:
            batch.begun.set_result(None)
        self._batches.append(batch)
        if self._reading is None or self._reading.done():
            batch.fail("it ended")
        else:
            # Not waited for: what does not fit into the pipe goes when the worker reads on.
            self._stdin.writelines(Frame({"model": name}, images).pack())
        return batch

    async def close(self, seconds: float = END_SECONDS) -> None:
        """Let it finish and wait until it has ended; after so long it is killed."""
        self._stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.gone), seconds)
        await self.kill()

    async def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.gone
        # The transport ends with its pipes: what is left in them is of no use.
        self._stdin.close()
        tasks = {self._telling} | ({self._reading} if self._reading is not None else set())
        _, hanging = await asyncio.wait(tasks, timeout=_PIPE_SECONDS)
        for task in hanging:
            task.cancel()
        with suppress(ConnectionError, TimeoutError):
            # What is left in it is of no use, but keeps the transport from ending.
            async with asyncio.timeout(_PIPE_SECONDS):
                await self._stdout.read()
                await self._stdin.wait_closed()

    async def _set_up(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                self._stdin.writelines(self._setup.frame().pack())
                await self._stdin.drain()
                ready = await read_frame(self._stdout)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerDied("it ended") from None
        except TimeoutError:
            raise WorkerDied(f"not ready within {seconds:.0f} s") from None
        if "error" in ready.header:
            raise ModelFileError(ready.header["error"])

    async def _read(self) -> None:
        """Take the answers, one batch after the other, until the worker ends."""
        why = "it ended"
        try:
            while True:
                frame = await read_frame(self._stdout)
                if "error" in frame.header:  # it cannot go on, and ends
                    why = frame.header["error"]
                    return
                self._batches[0].take(frame)
                self._batches.popleft()
                if self._batches and not self._batches[0].begun.done():
                    self._batches[0].begun.set_result(None)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:  # whatever a worker says that was taken over by an image
            why = f"what it says is no answer: {error}"
        finally:
            while self._batches:
                self._batches.popleft().fail(why)


async def tell_printed(stderr: asyncio.StreamReader, pid: int) -> None:
    """Log what is printed in a worker, by libraries above all.

    It is read always, so that no worker waits for a reader, and however much it is.
    """
    second, told, dropped = 0, 0, 0
    while printed := await stderr.read(PRINTED_BYTES):
        now = int(asyncio.get_running_loop().time())
        second, told = (second, told + 1) if now == second else (now, 1)
        if told > PRINTED_A_SECOND:
            dropped += len(printed)
            continue
        text = printed.decode(errors="backslashreplace").strip()
        log("worker printed", level=WARNING, pid=pid, text=text, bytes_dropped=dropped)
        dropped = 0
    if dropped:
        log("worker printed", level=WARNING, pid=pid, text="", bytes_dropped=dropped)
