"""One worker process, seen from the server."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.errors import ModelFileError
from foveate.serve.frames import Frame, read_frame
from foveate.serve.line import Answer, Refusal
from foveate.serve.models import ServedModel
from foveate.serve.tokens import VARIABLE

END_SECONDS = 5
"""For what a worker has begun, when it is told to end."""

START_SECONDS = 120
"""A worker that is not ready after so long never will be."""


class WorkerDied(Exception):  # noqa: N818 - reads as the sentence it is
    """The worker is gone, or does not answer in time."""


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
class Answered:
    """What a worker said about a batch.

    Attributes:
        answers: one an image.
        decode: seconds that decoding took.
        infer: seconds that the network and the head took.
    """

    answers: list[Answer | Refusal]
    decode: float
    infer: float


class WorkerProcess:
    """A worker that is ready. Make one with `start`.

    Attributes:
        gone: done when the process has ended.
    """

    def __init__(self, process: Process, setup: Setup) -> None:
        if process.stdin is None or process.stdout is None:
            raise WorkerDied("it has no pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._setup = setup
        self.gone = asyncio.ensure_future(process.wait())

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
                "foveate.serve.worker",
                stdin=PIPE,
                stdout=PIPE,
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
            ready = await worker._exchange(setup.frame(), START_SECONDS)
            if "error" in ready.header:
                raise ModelFileError(ready.header["error"])
        except BaseException:
            await worker.kill()
            raise
        return worker

    async def answer(self, name: str, images: Sequence[bytes], seconds: float) -> Answered:
        """Have images classified.

        Args:
            name: of the classifier.
            images: bytes of their files.
            seconds: after which the worker counts as dead.

        Raises:
            WorkerDied: it died, or took longer.
        """
        frame = await self._exchange(Frame({"model": name}, images), seconds)
        if "error" in frame.header:
            raise WorkerDied(frame.header["error"])
        model = self._setup.models[name]
        refused = {int(index): refusal for index, refusal in frame.header["refused"].items()}
        shape = (-1, len(model.labels))
        rows: NDArray[np.float32] = np.frombuffer(frame.parts[0], np.float32).reshape(shape)
        remaining = iter(rows)
        answers = [
            Refusal(*refused[index]) if index in refused else Answer(model, next(remaining))
            for index in range(len(images))
        ]
        return Answered(answers, frame.header["decode"], frame.header["infer"])

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
        with suppress(ConnectionError):
            await self._stdout.read()
            await self._stdin.wait_closed()

    async def _exchange(self, frame: Frame, seconds: float) -> Frame:
        try:
            async with asyncio.timeout(seconds):
                self._stdin.writelines(frame.pack())
                await self._stdin.drain()
                return await read_frame(self._stdout)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerDied("it ended") from None
        except TimeoutError:
            raise WorkerDied(f"no answer within {seconds:.0f} s") from None
