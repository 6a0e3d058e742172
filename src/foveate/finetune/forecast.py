"""How long a training will take, from its first steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from foveate.finetune.batches import Loader
from foveate.finetune.learner import Task
from foveate.finetune.validation import judged_rows

FEWEST_STEPS, MOST_STEPS, STEPS_FOR_EACH = 3, 10, 50
"""Of so many steps one is timed, but at least three and at most ten in all."""

FORWARD = 1 / 3
"""What an image costs that is judged, over one that is learned from: the way backwards takes twice
as long as that forwards."""

Foretell = Callable[[int, int, float], None]
"""Told after the first steps how many images were learned from, of how many at most, and about how
many seconds it will take from there where it does not stop early."""


class Forecast:
    """Times the first steps of a training, and tells about how long the others will take.

    They are steps like any other: a training that is foretold comes to the same result.

    Args:
        task: what is trained.
        loader: of its images.
        step: the first one.
        foretell: who is told; None for nobody.

    Attributes:
        told: whether there is nothing left to tell.
    """

    def __init__(self, task: Task, loader: Loader, step: int, foretell: Foretell | None) -> None:
        self._task = task
        self._loader = loader
        self._foretell = foretell
        self._steps = loader.steps * task.settings.epochs
        left = self._steps - step
        self._until = step + min(max(left // STEPS_FOR_EACH, FEWEST_STEPS), MOST_STEPS, left)
        self._found: list[float] = []
        self._started = time.perf_counter()
        self.told = foretell is None

    def after(self, step: int) -> None:
        """Take the time; to be called after every step, with the number of those done."""
        if self._foretell is None or self.told:
            return
        self._task.device.finish()  # a GPU works ahead of the program
        images = self._loader.images
        now = time.perf_counter()
        self._found.append((now - self._started) / (images(step) - images(step - 1)))
        self._started = now
        if step >= self._until:
            self.told = True
            self._foretell(images(step), images(self._steps), self._seconds_after(step))

    def _seconds_after(self, step: int) -> float:
        each = median(self._found[1:] or self._found)  # the first has to make its kernels
        task, loader = self._task, self._loader
        judged = len(judged_rows(task.samples, task.settings.seed))
        judged += len(task.samples.validation_codes)
        epochs = task.settings.epochs - (step - 1) // loader.steps  # the last is not judged yet
        learned = loader.images(self._steps) - loader.images(step)
        return each * (learned + FORWARD * epochs * judged)
