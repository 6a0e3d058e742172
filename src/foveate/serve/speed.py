"""How fast the workers are just now, and so how long images wait."""

from __future__ import annotations

BATCH_SECONDS = 0.25
"""Of work that a worker is given at once, about: so that on a slow machine, too, an image that was
let in is answered little later than it was promised."""

_NEWEST = 0.2
"""Weight of the newest batch in the running mean: a machine that slows down is noticed within some
ten batches."""


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
