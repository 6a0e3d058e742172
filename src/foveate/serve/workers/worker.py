"""A worker: a process that decodes images and runs the classifiers, on one core.

It stands alone so that an image which brings a decoder down, or takes all memory, brings down
one worker and not the server. It is started by `workers.process`, reads frames from its standard
input and answers on its standard output, until the input ends.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin

from foveate.classifier import Classifier, are_probabilities
from foveate.errors import FoveateError, ImageRefused, Reason
from foveate.image import Limits, open_image
from foveate.serve.workers.memory_limit import confine_memory, image_bytes
from foveate.serve.workers.pipe import Frame, read_frame_blocking

MAX_SLOW_BYTES = 2**20
"""Of an image whose decoder takes seconds a megabyte."""

_NO_MEMORY = "Decoding it takes more memory than a worker has. Save it smaller, or as a JPEG."


NO_PROBABILITIES = "The classifier gives no probabilities for it."


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker has in memory.

    Attributes:
        classifiers: by the name they are served under, ready to run.
        limits: the largest image to accept.
    """

    classifiers: dict[str, Classifier]
    limits: Limits

    @classmethod
    def from_frame(cls, frame: Frame) -> Worker:
        """Load what the server sent.

        Raises:
            ModelFileError: a classifier cannot be loaded or run, or gives no probabilities.
        """
        header = frame.header
        classifiers = {
            name: Classifier(data, workers=1, batch=header["batch"])
            for name, data in zip(header["names"], frame.parts, strict=True)
        }
        for classifier in classifiers.values():
            # Compile for one image and for full batches now, not in front of a client.
            side = classifier.metadata.resolution
            for count in {1, classifier.network.batch}:
                noise = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
                classifier.probabilities(classifier.network.run(noise))
        limits = Limits(
            max_bytes=header["max_bytes"],
            max_pixels=header["max_pixels"],
            max_slow_bytes=MAX_SLOW_BYTES,
            max_memory=image_bytes(header["max_pixels"]),
        )
        return cls(classifiers, limits)

    def answer(self, frame: Frame) -> Frame:
        """Probabilities of the images in a frame, all for one classifier.

        Returns:
            A frame whose header names the refused images, by index, with reason and sentence,
            and the seconds it took; its part is float32 (n, K), a row for each image that was
            not refused.

        Raises:
            ModelFileError: the classifier cannot be run.
        """
        start = time.perf_counter()
        classifier = self.classifiers[frame.header["model"]]
        pixels: list[NDArray[np.uint8]] = []
        refused: dict[int, tuple[str, str]] = {}
        for index, data in enumerate(frame.parts):
            try:
                pixels.append(open_image(data, self.limits).pixels(classifier.resize))
            except ImageRefused as refusal:
                refused[index] = (refusal.reason, refusal.detail)
            except MemoryError:
                refused[index] = (Reason.TOO_LARGE, _NO_MEMORY)
        decoded = time.perf_counter()
        parts = [
            classifier.unchecked_probabilities(classifier.network.run(np.stack(part)))
            for part in _portions(pixels, classifier.network.batch)
        ]
        rows = np.concatenate(parts) if parts else np.zeros((0, len(classifier.labels)), np.float32)
        sound = are_probabilities(rows)
        for index in np.array([i for i in range(len(frame.parts)) if i not in refused])[~sound]:
            refused[int(index)] = (Reason.UNREADABLE, NO_PROBABILITIES)
        inferred = time.perf_counter()
        header = {"refused": refused, "decode": decoded - start, "infer": inferred - decoded}
        return Frame(header, [rows[sound].tobytes()])


def _portions(
    pixels: Sequence[NDArray[np.uint8]], batch: int
) -> Iterator[Sequence[NDArray[np.uint8]]]:
    """Full batches, and what is left one by one: a padded batch would take longer than those."""
    full = len(pixels) - len(pixels) % batch
    for start in range(0, full, batch):
        yield pixels[start : start + batch]
    for start in range(full, len(pixels)):
        yield pixels[start : start + 1]


def _read_ahead(source: BinaryIO) -> Iterator[Frame]:
    """Frames, of which the next one is read while the present one is worked on.

    So it comes through the pipe, however large it is, before it is wanted.
    """
    frames: queue.Queue[Frame | None] = queue.Queue(maxsize=1)

    def read() -> None:
        try:
            while (frame := read_frame_blocking(source)) is not None:
                frames.put(frame)
        finally:
            frames.put(None)

    threading.Thread(target=read, name="reader", daemon=True).start()
    while (frame := frames.get()) is not None:
        yield frame


def _failed(error: Exception) -> Frame:
    return Frame({"error": str(error) or "there is not enough memory"})


def main() -> None:
    """Load, say so, and answer until the server closes the pipe."""
    # Ctrl-C on a terminal reaches the whole group; the server says when workers end.
    # So does a SIGTERM of systemd, say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    source = sys.stdin.buffer
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the frames
    status = 0
    try:
        _serve(source, sink)
    except Exception:
        traceback.print_exc()
        status = 1
    # Not by the interpreter, which would wait for the thread that still reads.
    sys.stderr.flush()
    os._exit(status)


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    def tell(frame: Frame) -> None:
        for buffer in frame.pack():
            sink.write(buffer)
        sink.flush()

    setup = read_frame_blocking(source)
    if setup is None:
        return
    try:
        worker = Worker.from_frame(setup)
    except (FoveateError, RuntimeError, MemoryError) as error:
        tell(_failed(error))
        return
    limits = worker.limits
    del setup  # the files' bytes
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as all else here; each would want a stack
    confine_memory(limits.max_pixels, limits.max_bytes)
    tell(Frame({"ready": True}))
    try:
        for frame in _read_ahead(source):
            try:
                answer = worker.answer(frame)
            except (FoveateError, RuntimeError, MemoryError) as error:
                tell(_failed(error))  # the server gives its images to another
                return
            tell(answer)
    except BrokenPipeError:
        pass  # the server is gone


if __name__ == "__main__":
    main()
