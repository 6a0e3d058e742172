"""The arithmetic of a forecast, on a clock of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.finetune import forecast
from foveate.finetune.batches import Loader
from foveate.finetune.device import Device
from foveate.finetune.forecast import FORWARD, Forecast
from foveate.finetune.learner import Task
from foveate.finetune.samples import Samples
from foveate.settings import Settings

EPOCHS, LEARNING = 40, 0.5
"""Passes, and seconds an image."""

Told = list[tuple[int, int, float]]


def loader_of(minibatch: int, most: int = 0) -> tuple[Task, Loader]:
    """83 images to learn from, 20 to validate on."""
    images, codes = np.zeros((103, 8, 8, 3), np.uint8), np.arange(103) % 2
    samples = Samples(("a", "b"), images[:83], codes[:83], images[83:], codes[83:])
    settings = Settings(classifier="dnn", epochs=EPOCHS, minibatch=minibatch, images_per_epoch=most)
    device = Device(torch.device("cpu"), bfloat16=False)
    learner: Any = None
    return Task(learner, samples, settings, device), Loader(samples, 4, settings, device)


@pytest.mark.parametrize(("minibatch", "most"), [(10, 0), (4, 0), (64, 0), (100, 0), (10, 25)])
@pytest.mark.parametrize("part", [0.0, 0.4, 0.999])
def test_what_is_left_is_foretold(
    monkeypatch: pytest.MonkeyPatch, part: float, minibatch: int, most: int
) -> None:
    clock, told = [0.0], Told()
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: clock[0])
    task, loader = loader_of(minibatch, most)
    last = loader.steps * EPOCHS
    step = int(part * last)
    found = Forecast(task, loader, step, lambda *said: told.append(said))
    clock[0] += 100 * (last - step > 1)  # the first step makes its kernels
    while not found.told:
        clock[0] += LEARNING * (loader.images(step + 1) - loader.images(step))
        step += 1
        found.after(step)
    [(done, all_of_them, seconds)] = told
    assert (done, all_of_them) == (loader.images(step), EPOCHS * (most or 83))
    judged = EPOCHS - (step - 1) // loader.steps
    wanted = LEARNING * (all_of_them - done) + FORWARD * LEARNING * judged * (64 + 20)
    assert seconds == pytest.approx(wanted)
    found.after(step)
    assert len(told) == 1


@pytest.mark.parametrize(("minibatch", "timed"), [(64, 3), (10, 7), (4, 10)])
def test_a_few_steps_are_timed(minibatch: int, timed: int) -> None:
    told = Told()
    task, loader = loader_of(minibatch)
    found = Forecast(task, loader, 0, lambda *said: told.append(said))
    for step in range(timed):
        assert not found.told
        found.after(step + 1)
    assert found.told
    assert told[0][0] == loader.images(timed)


def test_nobody_is_told() -> None:
    found = Forecast(*loader_of(10), 0, None)
    assert found.told
    found.after(1)
