"""The training, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.errors import SettingsError
from foveate.finetune.batches import Loader
from foveate.finetune.checkpoint import Checkpoint, TrainingState
from foveate.finetune.device import Device, enough_memory
from foveate.finetune.forecast import Forecast, Foretell
from foveate.finetune.fused import freeze_norms, fused
from foveate.finetune.gradients import Gradients
from foveate.finetune.learner import Learner, Task
from foveate.finetune.malloc import kept_memory
from foveate.finetune.optimiser import follow, make_optimiser, set_rate
from foveate.finetune.validation import copy_values, swapped, validate
from foveate.finetune.views import centre
from foveate.settings import LEARNING_RATES

SECONDS_BETWEEN_CHECKPOINTS = 60.0
SECONDS_BETWEEN_NEWS = 0.2
"""A GPU works ahead of the program until somebody asks for a number, so not every step may."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """How a training stood after an epoch; errors are shares in [0, 1].

    Attributes:
        loss: mean over its batches, as trained: augmented, mixed, smoothed.
        train_error: on training images as the finished classifier sees them.
        validation_error: the same on the validation images; None where there are none.
        validation_loss: cross-entropy on them.
        images_per_second: while training.
        waited: share of that time in which the device waited for images.
    """

    loss: float
    train_error: float
    validation_error: float | None
    validation_loss: float | None
    images_per_second: float
    waited: float


@dataclass(frozen=True, slots=True)
class Refined:
    """What a training made.

    Attributes:
        learner: network and last layer with the weights of the best epoch.
        epochs: how it went.
        best: the epoch whose weights these are, from 0.
        stopped_early: whether it was good enough before its last epoch.
        validation_scores: (m, K) float32 of the validation images, by these weights.
        minibatch: images that went through the device at once; fewer than the setting where its
            memory did not suffice for more.
    """

    learner: Learner
    epochs: tuple[Epoch, ...]
    best: int
    stopped_early: bool
    validation_scores: NDArray[np.float32]
    minibatch: int


Watch = Callable[[int, int, float, float | None], None]
"""Told how many images were learned from, of how many at most, the mean loss of this epoch, and the
validation error after the last one."""


@enough_memory()
def learn(
    task: Task,
    *,
    checkpoint: Checkpoint | None = None,
    watch: Watch | None = None,
    foretell: Foretell | None = None,
) -> Refined:
    """Train a network and its new last layer.

    Args:
        task: what to train, on what, how and where.
        checkpoint: where to keep how far it is; one that is there is gone on from.
        watch: told how far it is.
        foretell: told how long it will take.

    Raises:
        SettingsError: the device has not enough memory, the loss is not a number any more, or the
            processes do not see the same checkpoint.
    """
    learner, settings, device = task.learner, task.settings, task.device
    learner.to(device.torch).eval()
    optimiser = make_optimiser(learner, settings)
    state = TrainingState([p.detach().clone() for p in learner.learned], settings.minibatch)
    if checkpoint is not None:
        checkpoint.load(learner.learned, optimiser, state)
    _check_together(state, device)
    device.as_the_first([p.data for p in learner.learned])
    loader = Loader(task.samples, learner.last.in_features, settings, device)
    all_steps = loader.steps * settings.epochs
    stopped = _good_enough(task, state)
    with _in_training(task):
        gradients = Gradients(learner, settings, device, state.minibatch)
        loss = torch.tensor(state.loss, device=device.torch)
        forecast = Forecast(task, loader, state.step, foretell)
        saved = told = time.monotonic()
        for batch in loader.batches(state.step):
            if stopped:
                break
            set_rate(optimiser, settings, state.step / all_steps)
            loss += gradients.of(batch)
            optimiser.step()
            state.step += 1
            follow(state.average, learner.learned, settings.ema, state.step)
            forecast.after(state.step)
            within = state.step % loader.steps
            now = time.monotonic()
            due = within == 0 or now - told > SECONDS_BETWEEN_NEWS
            if watch is not None and forecast.told and due:
                error = state.epochs[-1]["validation_error"] if state.epochs else None
                done, most = loader.images(state.step), loader.images(all_steps)
                watch(done, most, float(loss) / (within or loader.steps), error)
                told = now
            if within == 0:
                _end_epoch(task, state, loader, float(loss) / loader.steps)
                loss.zero_()
                stopped = _good_enough(task, state)
            late = now - saved > SECONDS_BETWEEN_CHECKPOINTS
            if checkpoint is not None and device.rank == 0 and (within == 0 or late):
                state.loss, state.minibatch = float(loss), gradients.minibatch
                checkpoint.save(learner.learned, optimiser, state)
                saved = now
    copy_values(state.best, learner.learned)
    learner.eval()
    return Refined(
        learner,
        tuple(Epoch(**epoch) for epoch in state.epochs),
        state.best_epoch,
        stopped_early=len(state.epochs) < settings.epochs,
        validation_scores=_as_array(task, state),
        minibatch=gradients.minibatch,
    )


@contextmanager
def _in_training(task: Task) -> Iterator[None]:
    """Within, the network is made to learn: fused, its normalisation frozen, its memory kept."""
    network = task.learner.network
    with ExitStack() as stack:
        stack.enter_context(kept_memory())
        if network is not None:
            first = torch.from_numpy(task.samples.train[np.arange(1)])
            example = centre(first, task.settings.resolution)
            stack.enter_context(fused(network, example.to(task.device.torch)))
        freeze_norms(task.learner)
        yield


def _end_epoch(task: Task, state: TrainingState, loader: Loader, loss: float) -> None:
    """Judge the averaged weights, and remember them if they are the best so far."""
    images_per_second, waited = loader.rate()
    with swapped(task.learner.learned, state.average):
        validated = validate(task)
    epoch = Epoch(
        loss=loss,
        train_error=validated.train_error,
        validation_error=validated.validation_error,
        validation_loss=validated.validation_loss,
        images_per_second=images_per_second,
        waited=waited,
    )
    if not math.isfinite(loss) or not math.isfinite(validated.validation_loss or 0):
        rate = task.settings.learning_rate or LEARNING_RATES[task.settings.schedule]
        raise SettingsError(
            f"The training broke off in epoch {len(state.epochs) + 1}: its loss is not a number "
            f"any more. A lower learning rate than {rate:g} may help (--set learning_rate=…)."
        )
    state.epochs.append(asdict(epoch))
    losses = [each["validation_loss"] for each in state.epochs]
    if validated.validation_loss is None or validated.validation_loss <= min(losses):
        state.best = [value.clone() for value in state.average]
        state.best_epoch, state.scores = len(state.epochs) - 1, validated.validation_scores


def _good_enough(task: Task, state: TrainingState) -> bool:
    """Whether the validation images have not been told apart better for `patience` epochs."""
    done, settings = len(state.epochs), task.settings
    if done >= settings.epochs:
        return True
    waited = done - 1 - state.best_epoch
    return 0 < settings.patience <= waited and len(task.samples.validation_codes) > 0


def _check_together(state: TrainingState, device: Device) -> None:
    """All processes must go on from the same step."""
    steps = torch.zeros(device.count, device=device.torch)
    steps[device.rank] = state.step
    device.add_up([steps])
    if steps.min() != steps.max():
        raise SettingsError(
            "The machines do not go on from the same checkpoint. FOVEATE_CACHE must be a folder "
            "that all of them share."
        )


def _as_array(task: Task, state: TrainingState) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = (
        np.zeros((0, len(task.samples.labels)), np.float32)
        if state.scores is None
        else state.scores.numpy()
    )
    return scores
