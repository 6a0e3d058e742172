"""The training, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.errors import SettingsError
from foveate.finetune.batches import Loader
from foveate.finetune.checkpoint import Progress, load_checkpoint, save_checkpoint
from foveate.finetune.device import Device
from foveate.finetune.fused import freeze_norms, fused
from foveate.finetune.gradients import Gradients
from foveate.finetune.judging import copy_values, judge, swapped
from foveate.finetune.learner import Learner
from foveate.finetune.memory import kept_memory
from foveate.finetune.optimiser import DEFAULT_RATES, follow, make_optimiser, set_rate
from foveate.finetune.samples import Samples
from foveate.finetune.views import centre
from foveate.settings import Settings

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


def learn(
    learner: Learner,
    samples: Samples,
    settings: Settings,
    device: Device,
    *,
    checkpoint: Path | None = None,
    key: str = "",
    watch: Watch | None = None,
    foretell: Callable[[float], None] | None = None,
) -> Refined:
    """Train a network and its new last layer.

    Args:
        learner: the network and its last layer; trained in place.
        samples: what to learn from and to validate on.
        settings: all of them.
        device: where to compute, and with how many others.
        checkpoint: where to keep how far it is; one that is there and has the same key is
            gone on from.
        key: stands for data and settings.
        watch: told how far it is.
        foretell: told, before it begins, about how many seconds it takes at most.

    Raises:
        SettingsError: the device has not enough memory, the loss is not a number any more, or the
            processes do not see the same checkpoint.
    """
    learner.to(device.torch).eval()
    optimiser = make_optimiser(learner, settings)
    state = Progress([p.detach().clone() for p in learner.learned], settings.minibatch)
    if checkpoint is not None:
        load_checkpoint(checkpoint, key, learner.learned, optimiser, state)
    _check_together(state, device)
    device.as_the_first([p.data for p in learner.learned])
    loader = Loader(samples, learner.last.in_features, settings, device)
    steps, all_steps = loader.steps, loader.steps * settings.epochs
    stopped = _good_enough(state, samples, settings)
    with ExitStack() as stack:
        # What a network itself leaves out is drawn from the seed of the step; others keep theirs.
        gpus = [device.torch] if device.torch.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(gpus))
        stack.enter_context(kept_memory())
        if learner.network is not None:
            example = centre(torch.from_numpy(samples.train[np.arange(1)]), settings.resolution)
            stack.enter_context(fused(learner.network, example.to(device.torch)))
        freeze_norms(learner)
        gradients = Gradients(learner, settings, device, state.minibatch)
        if foretell is not None and not stopped:
            foretell(gradients.seconds(loader.load(state.step)) * (all_steps - state.step))
        saved = told = time.monotonic()
        loss = torch.tensor(state.loss, device=device.torch)
        for batch in loader.batches(state.step):
            if stopped:
                break
            set_rate(optimiser, settings, state.step / all_steps)
            loss += gradients.of(batch)
            optimiser.step()
            state.step += 1
            follow(state.average, learner.learned, settings.ema, state.step)
            epoch, within = divmod(state.step, steps)
            now = time.monotonic()
            if watch is not None and (within == 0 or now - told > SECONDS_BETWEEN_NEWS):
                done = epoch * loader.per_epoch + within * settings.minibatch
                error = state.epochs[-1]["validation_error"] if state.epochs else None
                most = settings.epochs * loader.per_epoch
                watch(done, most, float(loss) / (within or steps), error)
                told = now
            if within == 0:
                mean = float(loss) / steps
                _end_epoch(learner, samples, state, settings, device, loader, mean)
                loss.zero_()
                stopped = _good_enough(state, samples, settings)
            late = now - saved > SECONDS_BETWEEN_CHECKPOINTS
            if checkpoint is not None and device.rank == 0 and (within == 0 or late):
                state.loss, state.minibatch = float(loss), gradients.minibatch
                save_checkpoint(checkpoint, key, learner.learned, optimiser, state)
                saved = now
    copy_values(state.best, learner.learned)
    learner.eval()
    return Refined(
        learner,
        tuple(Epoch(**epoch) for epoch in state.epochs),
        state.best_epoch,
        stopped_early=len(state.epochs) < settings.epochs,
        validation_scores=_as_array(state, samples),
        minibatch=gradients.minibatch,
    )


def _end_epoch(
    learner: Learner,
    samples: Samples,
    state: Progress,
    settings: Settings,
    device: Device,
    loader: Loader,
    loss: float,
) -> None:
    """Judge the averaged weights, and remember them if they are the best so far."""
    images_per_second, waited = loader.rate()
    with swapped(learner.learned, state.average):
        found = judge(learner, samples, settings, device)
    epoch = Epoch(
        loss=loss,
        train_error=found.train_error,
        validation_error=found.validation_error,
        validation_loss=found.validation_loss,
        images_per_second=images_per_second,
        waited=waited,
    )
    if not math.isfinite(loss) or not math.isfinite(found.validation_loss or 0):
        rate = settings.learning_rate or DEFAULT_RATES[settings.schedule]
        raise SettingsError(
            f"The training broke off in epoch {len(state.epochs) + 1}: its loss is not a number "
            f"any more. A lower learning rate than {rate:g} may help (--set learning_rate=…)."
        )
    state.epochs.append(asdict(epoch))
    losses = [each["validation_loss"] for each in state.epochs]
    if found.validation_loss is None or found.validation_loss <= min(losses):
        state.best = [value.clone() for value in state.average]
        state.best_epoch, state.scores = len(state.epochs) - 1, found.validation_scores


def _good_enough(state: Progress, samples: Samples, settings: Settings) -> bool:
    """Whether the validation images have not been told apart better for `patience` epochs."""
    done = len(state.epochs)
    if done >= settings.epochs:
        return True
    waited = done - 1 - state.best_epoch
    return 0 < settings.patience <= waited and len(samples.validation_codes) > 0


def _check_together(state: Progress, device: Device) -> None:
    """All processes must go on from the same step."""
    steps = torch.zeros(device.count, device=device.torch)
    steps[device.rank] = state.step
    device.add_up([steps])
    if steps.min() != steps.max():
        raise SettingsError(
            "The machines do not go on from the same checkpoint. FOVEATE_CACHE must be a folder "
            "that all of them share."
        )


def _as_array(state: Progress, samples: Samples) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (
        np.zeros((0, len(samples.labels)), np.float32)
        if state.scores is None
        else state.scores.numpy()
    )
    return found
