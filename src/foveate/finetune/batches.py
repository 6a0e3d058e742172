"""The images of each step, read while the device is busy with the step before."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveate.finetune.device import Device
from foveate.finetune.plan import AUGMENTATIONS, Views, epoch_rows, plan_batch
from foveate.finetune.samples import Samples
from foveate.settings import Settings


@dataclass(frozen=True, slots=True)
class Batch:
    """A process's part of the images of one step: m of n.

    Attributes:
        inputs: (m, s, s, 3) uint8 squares, or features (m, d) float32.
        mixed_in: of the same shape, what is mixed into each; None where nothing is.
        share: (m,) float32, how much of the image itself stays.
        targets: (m, K) float32, what each view shows, as shares.
        views: how each is shown; None: as the finished classifier will see it.
        partner_views: how what is mixed in is shown.
        kept: (m, d) float32, what dropout multiplies the features by.
        counts: (m,) float32, 0 for an image that is there only because each process needs one.
        whole: n, images of the step in all processes.
    """

    inputs: Tensor
    mixed_in: Tensor | None
    share: Tensor
    targets: Tensor
    views: Views | None
    partner_views: Views | None
    kept: Tensor
    counts: Tensor
    whole: int

    def __len__(self) -> int:
        return len(self.inputs)

    def pinned(self) -> Self:
        """The same in pinned memory: only from there a copy goes on while a GPU computes."""
        tensors = {
            field.name: value.pin_memory()
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **tensors)


class Loader:
    """Makes the batches of a training, one ahead of the device.

    Args:
        samples: what to learn from.
        dimension: d, features that dropout chooses from.
        settings: all of them.
        device: where the batches go, and which part of them.

    Attributes:
        per_epoch: images of an epoch, in all processes.
        steps: of an epoch.
    """

    def __init__(
        self, samples: Samples, dimension: int, settings: Settings, device: Device
    ) -> None:
        self._samples = samples
        self._dimension = dimension
        self._settings = settings
        self._device = device
        self._own = np.eye(len(samples.labels), dtype=np.float32)
        self._rows_of = (-1, np.zeros(0, np.intp))
        self.per_epoch = len(self._epoch_rows(0))
        self.steps = math.ceil(self.per_epoch / settings.minibatch)
        self._start()

    def batches(self, step: int) -> Iterator[Batch]:
        """The batches of all steps from `step` on."""
        last = self.steps * self._settings.epochs
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
            ahead = pool.submit(self.load, step) if step < last else None
            self._start()
            while ahead is not None:
                if not ahead.done():
                    self._device.finish()  # a GPU may still have work: only then it waits
                    waiting = time.perf_counter()
                    ahead.result()
                    self._waiting += time.perf_counter() - waiting
                batch = ahead.result()
                step += 1
                ahead = pool.submit(self.load, step) if step < last else None
                self._images += batch.whole
                yield batch
                if step % self.steps == 0:
                    self._start()  # whoever counts has asked by now

    def load(self, step: int) -> Batch:
        """This process's part of one step."""
        epoch, within = divmod(step, self.steps)
        settings = self._settings
        start = within * settings.minibatch
        rows = self._epoch_rows(epoch)[start : start + settings.minibatch]
        # Everything is drawn for the whole batch, so that it does not depend on who computes it.
        augmentation = AUGMENTATIONS[settings.augment]
        plan = plan_batch(rows, augmentation, settings, epoch=epoch, step=within)
        generator = torch.Generator().manual_seed(plan.seed)
        kept = torch.rand(len(rows), self._dimension, generator=generator) >= settings.dropout
        mine = np.arange(len(rows))[self._device.share(len(rows))]
        counts = np.ones(len(mine), np.float32)
        if len(mine) == 0:  # fewer images than processes: the others wait for this one's gradients
            mine, counts = np.arange(1), np.zeros(1, np.float32)
        partner, share = plan.partner[mine], plan.share[mine]
        own = self._own[self._samples.train_codes[rows]]
        mixed = bool((share != 1).any())
        batch = Batch(
            inputs=self._images_of(rows[mine]),
            mixed_in=self._images_of(rows[partner]) if mixed else None,
            share=torch.from_numpy(share),
            targets=torch.from_numpy(
                own[mine] * share[:, None] + own[partner] * (1 - share)[:, None]
            ),
            views=None if plan.views is None else plan.views[mine],
            partner_views=None if plan.views is None else plan.views[partner],
            kept=kept[mine] / (1 - settings.dropout),
            counts=torch.from_numpy(counts),
            whole=len(rows),
        )
        return batch.pinned() if self._device.torch.type == "cuda" else batch

    def images(self, step: int) -> int:
        """How many images all steps before `step` learn from, in all processes."""
        epochs, within = divmod(step, self.steps)
        return epochs * self.per_epoch + within * self._settings.minibatch

    def rate(self) -> tuple[float, float]:
        """Images a second in this epoch, and the share of the time the device waited for them."""
        self._device.finish()
        seconds = time.perf_counter() - self._started
        return self._images / seconds, self._waiting / seconds

    def _start(self) -> None:
        self._started, self._waiting, self._images = time.perf_counter(), 0.0, 0

    def _images_of(self, rows: NDArray[np.intp]) -> Tensor:
        return torch.from_numpy(self._samples.train[rows])

    def _epoch_rows(self, epoch: int) -> NDArray[np.intp]:
        if self._rows_of[0] != epoch:
            rows = epoch_rows(self._samples.train_codes, self._settings, epoch)
            self._rows_of = (epoch, rows)
        return self._rows_of[1]
