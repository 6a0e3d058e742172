"""One step's gradients: forwards, backwards, in as many parts as memory asks for."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from foveate.finetune.batches import Batch
from foveate.finetune.device import Device, out_of_memory
from foveate.finetune.plan import Views
from foveate.finetune.views import mix, render
from foveate.settings import Settings


@dataclass(slots=True)
class Gradients:
    """Adds up the gradients of batches.

    Attributes:
        parallel: the learner, in the wrapper that averages gradients over processes where there
            are several.
        settings: all of them.
        device: where to compute.
        minibatch: images that go through the device at once; halved when its memory is full.
    """

    parallel: nn.Module
    settings: Settings
    device: Device
    minibatch: int

    def of(self, batch: Batch) -> Tensor:
        """Leave the gradients of a batch in the parameters; returns its mean loss.

        Raises:
            torch.OutOfMemoryError: the device has no memory even for one image.
        """
        while True:
            try:
                return self._accumulate(batch)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.minibatch == 1:
                    raise
                self.minibatch = math.ceil(self.minibatch / 2)

    def seconds(self, batch: Batch) -> float:
        """How long a batch takes; nothing is learned from it."""
        seconds = 0.0
        for _ in range(2):  # the first has to make its kernels
            started = time.perf_counter()
            float(self.of(batch))
            seconds = time.perf_counter() - started
        self.parallel.zero_grad()
        return seconds

    def _accumulate(self, batch: Batch) -> Tensor:
        self.parallel.zero_grad()
        torch.manual_seed(batch.seed)
        total = torch.zeros((), device=self.device.torch)
        starts = range(0, len(batch), self.minibatch)
        for start in starts:
            part = slice(start, start + self.minibatch)
            last = start == starts[-1]
            alone = nullcontext() if last or self.device.count == 1 else self.parallel.no_sync()
            # Not within autocast: coordinates in bfloat16 would be off by half a pixel.
            images = self._show(batch, part)
            with alone, self.device.autocast():
                scores = self.parallel(images, self._there(batch.kept[part]))
                losses = functional.cross_entropy(
                    scores.float(),
                    self._there(batch.targets[part]),
                    label_smoothing=self.settings.label_smoothing,
                    reduction="none",
                )
                loss = (losses * self._there(batch.counts[part])).sum() / batch.whole
                # Gradients are averaged over processes, whose parts may differ in size.
                (loss * self.device.count).backward()
            total += loss.detach()
        return self.device.total(total)

    def _show(self, batch: Batch, part: slice) -> Tensor:
        """Views of a part of a batch, on the device; of features, the features."""
        images = self._render(batch.inputs, batch.views, part)
        if batch.mixed_in is None:
            return images
        others = self._render(batch.mixed_in, batch.partner_views, part)
        return mix(images, others, self._there(batch.share[part]))

    def _render(self, inputs: Tensor, views: Views | None, part: slice) -> Tensor:
        found = self._there(inputs[part])
        if found.ndim == 2:
            return found
        return render(found, None if views is None else views[part], self.settings.resolution)

    def _there(self, values: Tensor) -> Tensor:
        return values.to(self.device.torch, non_blocking=True)
