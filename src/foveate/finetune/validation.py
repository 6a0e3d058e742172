"""How a training stands after an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foveate.finetune.device import halved, out_of_memory
from foveate.finetune.fused import freeze_norms
from foveate.finetune.learner import Task
from foveate.finetune.samples import Pixels, Samples
from foveate.finetune.views import render

MOST_JUDGED = 1000
"""Training images that an epoch is judged on, at most."""

SMOOTHING = 0.1
"""Of the labels in the validation loss: without it, a single image that is wrong and sure of it
outweighs a hundred others, and which epoch is best is chance."""

_AT_ONCE = 64
"""Images that are judged together; fewer where memory does not suffice."""


@dataclass(frozen=True, slots=True)
class Validation:
    """What a learner does to images it does not learn from at that moment.

    Attributes:
        train_error: share of some training images that are told wrongly, as the finished classifier
            sees them.
        validation_error: the same of the validation images; None where there are none.
        validation_loss: cross-entropy on them.
        validation_scores: (m, K) float32, on the CPU.
    """

    train_error: float
    validation_error: float | None
    validation_loss: float | None
    validation_scores: Tensor


def validate(task: Task) -> Validation:
    """Scores of training and validation images, and what they come to, for all processes."""
    samples = task.samples
    judged = judged_rows(samples, task.settings.seed)
    on_train = _scores(task, samples.train, judged)
    train_codes = torch.from_numpy(samples.train_codes[judged])
    rows = np.arange(len(samples.validation_codes))
    scores = _scores(task, samples.validation, rows)
    codes = torch.from_numpy(samples.validation_codes)
    figures = torch.stack(
        [
            (on_train.argmax(1) != train_codes).float().mean(),
            (scores.argmax(1) != codes).float().mean(),
            functional.cross_entropy(scores, codes, label_smoothing=SMOOTHING),
        ]
    ).to(task.device.torch)
    # The last bit may differ from device to device, and with it which epoch is the best.
    task.device.as_the_first([figures])
    train_error, error, loss = figures.tolist()
    if len(codes) == 0:
        error = loss = None
    return Validation(train_error, error, loss, scores)


def judged_rows(samples: Samples, seed: int) -> NDArray[np.intp]:
    """Training images that every epoch is judged on: about as many as there are to validate on."""
    n = max(min(MOST_JUDGED, len(samples.validation_codes)), 64)
    return np.sort(np.random.default_rng(seed).permutation(len(samples.train_codes))[:n])


@contextmanager
def swapped(learned: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Within, the parameters have other values."""
    kept = [parameter.detach().clone() for parameter in learned]
    copy_values(values, learned)
    try:
        yield
    finally:
        copy_values(kept, learned)


def copy_values(values: Sequence[Tensor], into: Sequence[Tensor]) -> None:
    """Give parameters other values."""
    with torch.no_grad():
        for parameter, value in zip(into, values, strict=True):
            parameter.copy_(value)


def _scores(task: Task, pixels: Pixels, rows: NDArray[np.intp]) -> Tensor:
    """Scores (n, K) float32, on the CPU, of n images as the finished classifier sees them."""
    learner, device = task.learner, task.device
    scores = [torch.zeros(0, learner.last.out_features)]
    learner.eval()
    at_once, start = _AT_ONCE, 0
    while start < len(rows):
        try:
            part = torch.from_numpy(pixels[rows[start : start + at_once]]).to(device.torch)
            shown = part if part.ndim == 2 else render(part, None, task.settings.resolution)
            with torch.no_grad(), device.autocast():
                scores.append(learner(shown).float().cpu())
            start += at_once
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            at_once = halved(at_once)
    freeze_norms(learner)
    return torch.cat(scores)
