"""The training, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from foveate.finetune.checkpoint import Progress, load_checkpoint, save_checkpoint
from foveate.finetune.device import Device, out_of_memory
from foveate.finetune.fused import freeze_norms, fused
from foveate.finetune.learner import Learner
from foveate.finetune.plan import AUGMENTATIONS, BatchPlan, epoch_rows, plan_batch
from foveate.finetune.samples import Pixels, Samples
from foveate.finetune.schedule import layer_factors, rate_factor
from foveate.finetune.views import mix, render
from foveate.settings import Settings

SECONDS_BETWEEN_CHECKPOINTS = 60.0
MOST_JUDGED = 1000
"""Images of each side that an epoch is judged on, at most."""

DEFAULT_RATES = {"cosine": 5e-4, "step": 0.01}
"""The peak learning rate where the settings leave it open."""


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
        foretell: told, before it begins, how many seconds it may take at most.
    """
    learner.to(device.torch)
    optimiser = make_optimiser(learner, settings)
    state = Progress([p.detach().clone() for p in learner.learned], settings.minibatch)
    if checkpoint is not None:
        load_checkpoint(checkpoint, key, learner.learned, optimiser, state)
    per_epoch = _images_per_epoch(samples, settings)
    steps = math.ceil(per_epoch / settings.minibatch)
    stopped = _good_enough(state, settings)
    with ExitStack() as stack:
        # What a network itself leaves out is drawn from the seed of the step; others keep theirs.
        stack.enter_context(torch.random.fork_rng())
        parallel: nn.Module = learner
        if learner.network is not None:
            freeze_norms(learner)
            example = torch.from_numpy(samples.train[np.arange(1)]).to(device.torch)
            stack.enter_context(fused(learner.network, example))
        if device.count > 1:
            parallel = DistributedDataParallel(learner)
        loader = _Loader(samples, settings, steps)
        if foretell is not None and not stopped:
            step_seconds = _try_a_step(parallel, loader, samples, state, settings, device)
            foretell(step_seconds * (steps * settings.epochs - state.step))
        saved = time.monotonic()
        for plan, inputs in loader.batches(state.step):
            if stopped:
                break
            set_rate(optimiser, settings, state.step / (steps * settings.epochs))
            state.loss += _step(parallel, optimiser, plan, inputs, samples, state, settings, device)
            state.step += 1
            _follow(state.average, learner.learned, settings.ema, state.step)
            epoch, within = divmod(state.step, steps)
            if watch is not None:
                done = epoch * per_epoch + within * settings.minibatch
                error = state.epochs[-1]["validation_error"] if state.epochs else None
                watch(done, settings.epochs * per_epoch, state.loss / (within or steps), error)
            if within == 0:
                _end_epoch(learner, samples, state, settings, device, loader, steps)
                stopped = _good_enough(state, settings)
            late = time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS
            if checkpoint is not None and device.rank == 0 and (within == 0 or late):
                save_checkpoint(checkpoint, key, learner.learned, optimiser, state)
                saved = time.monotonic()
    _copy(state.best, learner.learned)
    learner.eval()
    return Refined(
        learner,
        tuple(Epoch(**epoch) for epoch in state.epochs),
        state.best_epoch,
        stopped_early=len(state.epochs) < settings.epochs,
        validation_scores=_as_array(state.scores, len(samples.labels)),
        minibatch=state.minibatch,
    )


def make_optimiser(learner: Learner, settings: Settings) -> torch.optim.Optimizer:
    """AdamW with a rate for each group of layers ("cosine"), or SGD with one for all ("step")."""
    peak = settings.learning_rate or DEFAULT_RATES[settings.schedule]
    learned = {id(parameter) for parameter in learner.learned}
    stages = [[p for p in stage if id(p) in learned] for stage in learner.stages]
    decay = settings.layer_decay if settings.schedule == "cosine" else 1.0
    factors = [*layer_factors(len(stages), decay), 1.0]
    groups = [
        {"params": parameters, "peak": peak * factor, "weight_decay": weight_decay}
        for stage, factor in zip([*stages, list(learner.last.parameters())], factors, strict=True)
        for parameters, weight_decay in (
            # Biases and the factors of normalisation are not drawn to zero.
            ([p for p in stage if p.ndim > 1], settings.weight_decay),
            ([p for p in stage if p.ndim <= 1], 0.0),
        )
        if parameters
    ]
    if settings.schedule == "step":
        return torch.optim.SGD(groups, peak, momentum=settings.momentum)
    return torch.optim.AdamW(groups, peak)


def set_rate(optimiser: torch.optim.Optimizer, settings: Settings, done: float) -> None:
    """The learning rate of every group of layers, when a share `done` of the steps is done."""
    factor = rate_factor(settings.schedule, done)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def _step(
    parallel: nn.Module,
    optimiser: torch.optim.Optimizer,
    plan: BatchPlan,
    inputs: NDArray[np.generic],
    samples: Samples,
    state: Progress,
    settings: Settings,
    device: Device,
) -> float:
    """One step on a batch, in as many parts as memory asks for; returns its mean loss."""
    while True:
        try:
            optimiser.zero_grad()
            loss = _accumulate(parallel, plan, inputs, samples, state, settings, device)
            optimiser.step()
            return loss
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or state.minibatch == 1:
                raise
            state.minibatch = math.ceil(state.minibatch / 2)


def _try_a_step(
    parallel: nn.Module,
    loader: _Loader,
    samples: Samples,
    state: Progress,
    settings: Settings,
    device: Device,
) -> float:
    """Seconds that a step takes; nothing is learned from it."""
    plan, inputs = loader.load(state.step)
    seconds = 0.0
    for _ in range(2):  # the first has to make its kernels
        started = time.perf_counter()
        try:
            _accumulate(parallel, plan, inputs, samples, state, settings, device)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        seconds = time.perf_counter() - started
    parallel.zero_grad()
    return seconds


def _accumulate(
    parallel: nn.Module,
    plan: BatchPlan,
    inputs: NDArray[np.generic],
    samples: Samples,
    state: Progress,
    settings: Settings,
    device: Device,
) -> float:
    """Add up the gradients of this process's part of a batch."""
    n, mine = len(plan.rows), np.arange(len(plan.rows))[device.share(len(plan.rows))]
    targets = _targets(plan, samples)
    width = getattr(parallel, "module", parallel).last.in_features
    generator = torch.Generator().manual_seed(plan.seed)
    torch.manual_seed(plan.seed)
    kept = torch.rand(n, width, generator=generator) >= settings.dropout
    factors = kept / (1 - settings.dropout)
    total, counts = 0.0, 1.0
    if len(mine) == 0:  # fewer images than processes: the others wait for this one's gradients
        mine, counts = np.arange(1), 0.0
    parts = [mine[i : i + state.minibatch] for i in range(0, len(mine), state.minibatch)]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        alone = nullcontext() if last or device.count == 1 else parallel.no_sync()
        with alone, device.autocast():
            shown = _show(inputs, plan, part, settings, device)
            scores = parallel(shown, factors[part].to(device.torch))
            loss = functional.cross_entropy(
                scores.float(),
                targets[part].to(device.torch),
                label_smoothing=settings.label_smoothing,
                reduction="sum",
            )
            # Gradients are averaged over processes, whose parts may differ in size.
            (loss * (counts * device.count / n)).backward()
        total += counts * float(loss.detach()) / n
    return device.mean(total * device.count)


def _show(
    inputs: NDArray[np.generic],
    plan: BatchPlan,
    part: NDArray[np.intp],
    settings: Settings,
    device: Device,
) -> Tensor:
    """Views of a part of a batch, on the device; of features, the features."""

    def shown(rows: NDArray[np.intp]) -> Tensor:
        found = torch.from_numpy(inputs[rows]).to(device.torch, non_blocking=True)
        if found.ndim == 2:
            return found
        return render(found, None if plan.views is None else plan.views[rows], settings.resolution)

    images = shown(part)
    if (plan.share == 1).all():
        return images
    share = torch.from_numpy(plan.share[part]).to(device.torch)
    return mix(images, shown(plan.partner[part]), share)


def _targets(plan: BatchPlan, samples: Samples) -> Tensor:
    """(n, K) what each view shows, as shares."""
    own = np.eye(len(samples.labels), dtype=np.float32)[samples.train_codes[plan.rows]]
    share = plan.share[:, None]
    return torch.from_numpy(own * share + own[plan.partner] * (1 - share))


def _follow(average: Sequence[Tensor], learned: Sequence[Tensor], ema: float, step: int) -> None:
    """Move the average towards the parameters; in the first steps faster, to forget the start."""
    weight = 1 - min(ema, step / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(average), [p.detach() for p in learned], weight)


def _end_epoch(
    learner: Learner,
    samples: Samples,
    state: Progress,
    settings: Settings,
    device: Device,
    loader: _Loader,
    steps: int,
) -> None:
    """Judge the averaged weights, and remember them if they are the best so far."""
    judged = judged_rows(samples, settings.seed)
    with _swapped(learner.learned, state.average):
        on_train = _scores(learner, samples.train, judged, settings, device)
        rows = np.arange(len(samples.validation_codes))
        scores = _scores(learner, samples.validation, rows, settings, device)
    train_codes = torch.from_numpy(samples.train_codes[judged])
    codes = torch.from_numpy(samples.validation_codes)
    error = loss = None
    if len(codes):
        error = float((scores.argmax(1) != codes).float().mean())
        loss = float(functional.cross_entropy(scores, codes, label_smoothing=0.1))
    epoch = Epoch(
        loss=state.loss / steps,
        train_error=float((on_train.argmax(1) != train_codes).float().mean()),
        validation_error=error,
        validation_loss=loss,
        images_per_second=loader.rate(),
        waited=loader.waited(),
    )
    state.epochs.append(asdict(epoch))
    state.loss = 0.0
    losses = [each["validation_loss"] for each in state.epochs]
    if loss is None or loss <= min(losses):
        state.best = [value.clone() for value in state.average]
        state.best_epoch, state.scores = len(state.epochs) - 1, scores


def judged_rows(samples: Samples, seed: int) -> NDArray[np.intp]:
    """Training images that every epoch is judged on: about as many as there are to validate on."""
    n = max(min(MOST_JUDGED, len(samples.validation_codes)), 64)
    return np.sort(np.random.default_rng(seed).permutation(len(samples.train_codes))[:n])


def _good_enough(state: Progress, settings: Settings) -> bool:
    """Whether the validation images have not been told apart better for `patience` epochs."""
    done = len(state.epochs)
    if done >= settings.epochs:
        return True
    waited = done - 1 - state.best_epoch
    return 0 < settings.patience <= waited and state.scores is not None and len(state.scores) > 0


def _scores(
    learner: Learner, pixels: Pixels, rows: NDArray[np.intp], settings: Settings, device: Device
) -> Tensor:
    """Scores (n, K) float32, on the CPU, of images as the finished classifier sees them."""
    found = [torch.zeros(0, learner.last.out_features)]
    learner.eval()
    with torch.no_grad(), device.autocast():
        for start in range(0, len(rows), 64):
            part = torch.from_numpy(pixels[rows[start : start + 64]]).to(device.torch)
            shown = part if part.ndim == 2 else render(part, None, settings.resolution)
            found.append(learner(shown).float().cpu())
    freeze_norms(learner)
    return torch.cat(found)


class _Loader:
    """Reads the images of the next step while the device is busy with this one."""

    def __init__(self, samples: Samples, settings: Settings, steps: int) -> None:
        self._samples = samples
        self._settings = settings
        self._steps = steps
        self._start()

    def batches(self, step: int) -> Iterator[tuple[BatchPlan, NDArray[np.generic]]]:
        """Plans and images of all steps from `step` on."""
        last = self._steps * self._settings.epochs
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
            ahead = pool.submit(self.load, step) if step < last else None
            while ahead is not None:
                waiting = time.perf_counter()
                found = ahead.result()
                self._waiting += time.perf_counter() - waiting
                step += 1
                ahead = pool.submit(self.load, step) if step < last else None
                yield found
                self._images += len(found[0].rows)

    def rate(self) -> float:
        """Images a second since this was last asked."""
        return self._images / (time.perf_counter() - self._started)

    def waited(self) -> float:
        """The share of the time since then in which the device had nothing to do; starts anew."""
        share = self._waiting / (time.perf_counter() - self._started)
        self._start()
        return share

    def _start(self) -> None:
        self._started, self._waiting, self._images = time.perf_counter(), 0.0, 0

    def load(self, step: int) -> tuple[BatchPlan, NDArray[np.generic]]:
        """Plan and images of one step."""
        epoch, within = divmod(step, self._steps)
        settings = self._settings
        rows = epoch_rows(
            self._samples.train_codes,
            balance=settings.class_weight == "balanced",
            most=settings.images_per_epoch or None,
            seed=settings.seed,
            epoch=epoch,
        )[within * settings.minibatch : (within + 1) * settings.minibatch]
        plan = plan_batch(
            rows,
            AUGMENTATIONS[settings.augment],
            orientation=settings.orientation,
            mixup=settings.mixup,
            seed=settings.seed,
            epoch=epoch,
            step=within,
        )
        return plan, self._samples.train[rows]


def _images_per_epoch(samples: Samples, settings: Settings) -> int:
    rows = epoch_rows(
        samples.train_codes,
        balance=settings.class_weight == "balanced",
        most=settings.images_per_epoch or None,
        seed=settings.seed,
        epoch=0,
    )
    return len(rows)


@contextmanager
def _swapped(learned: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Within, the parameters have other values."""
    kept = [parameter.detach().clone() for parameter in learned]
    _copy(values, learned)
    try:
        yield
    finally:
        _copy(kept, learned)


def _copy(values: Sequence[Tensor], into: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(into, values, strict=True):
            parameter.copy_(value)


def _as_array(scores: Tensor | None, n_labels: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (
        np.zeros((0, n_labels), np.float32) if scores is None else scores.numpy()
    )
    return found
