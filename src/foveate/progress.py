"""How far a verb is: told to a callback, timed by stage, and stopped from another thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from foveate.errors import Stopped


class Progress(Protocol):
    """Told the stage, how many images are done, of how many, and perhaps how well it goes."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show it."""
        ...


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Wall time in seconds, by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def stoppable(progress: Progress | None, stop: Event | None) -> Progress | None:
    """A progress that ends the verb once `stop` is set, from whatever thread.

    What is left behind is what Ctrl-C leaves: the same verb goes on from there.
    """
    if stop is None:
        return progress

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        if stop.is_set():
            raise Stopped
        if progress is not None:
            progress(stage, done, total, note)

    return tell
