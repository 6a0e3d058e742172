"""The minutes that a search may take."""

from __future__ import annotations

import time

from foveate.progress import Progress


class OutOfTime(Exception):  # noqa: N818 - not an error: the search ends with what it has
    """The minutes are up."""


class Budget:
    """Minutes, counted from now on.

    Args:
        minutes: how many.
    """

    def __init__(self, minutes: float) -> None:
        self._total = 60 * minutes
        self._end = time.monotonic() + self._total
        self._kept_back = 0.0

    def keep_back(self, seconds: float) -> None:
        """Leave at least so many seconds, but at most half of all, for what comes in the end."""
        self._kept_back = max(self._kept_back, min(seconds, self._total / 2))

    def release(self) -> None:
        """The end has come: nothing is kept back any more."""
        self._kept_back = 0.0

    def check(self, seconds: float = 0.0) -> None:
        """Stop where the minutes are up.

        Args:
            seconds: what comes next will take, as far as that is known, and cannot be stopped.

        Raises:
            OutOfTime: they are, or will be by then, but for what is kept back.
        """
        if time.monotonic() + seconds > self._end - self._kept_back:
            raise OutOfTime

    def watched(self, progress: Progress | None) -> Progress:
        """The same progress, which also stops the work it is told of when the minutes are up."""

        def told(stage: str, done: int, total: int, note: str = "") -> None:
            if progress is not None:
                progress(stage, done, total, note)
            self.check()

        return told
