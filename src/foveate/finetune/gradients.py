"""One step's gradients: forwards, backwards, in as many parts as memory asks for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from foveate.finetune.batches import Batch
from foveate.finetune.device import Device, halved, out_of_memory
from foveate.finetune.learner import Learner
from foveate.finetune.plan import Views
from foveate.finetune.views import mix, render, side_of_views
from foveate.settings import Settings


@dataclass(slots=True)
class Gradients:
    """Adds up the gradients of batches.

    Attributes:
        learner: whose parameters they are of.
        settings: all of them.
        device: where to compute, and with how many others.
        minibatch: images that go through the device at once; halved when its memory is full.
    """

    learner: Learner
    settings: Settings
    device: Device
    minibatch: int

    @property
    def _side(self) -> int:
        """Pixels a side of the views to learn from."""
        network = self.learner.network
        fixed = None if network is None else network.fixed_resolution
        return side_of_views(self.settings.resolution, fixed)

    def of(self, batch: Batch) -> Tensor:
        """Leave the gradients of a step in the parameters; returns its mean loss.

        Raises:
            SettingsError: the device has no memory even for one image.
        """
        while True:
            try:
                loss = self._accumulate(batch)
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self.minibatch = halved(min(self.minibatch, len(batch)))
        if self.device.count > 1:
            # One message a step: a process that halves its minibatch does not confuse the others.
            gradients = [loss]
            for parameter in self.learner.learned:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
            self.device.add_up(gradients)
        return loss

    def _accumulate(self, batch: Batch) -> Tensor:
        self.learner.zero_grad()
        total = torch.zeros((), device=self.device.torch)
        for start in range(0, len(batch), self.minibatch):
            part = slice(start, start + self.minibatch)
            # Not within autocast: coordinates in bfloat16 would be off by half a pixel.
            images = self._show(batch, part)
            with self.device.autocast():
                scores = self.learner(images, self._there(batch.kept[part]))
                losses = functional.cross_entropy(
                    scores.float(),
                    self._there(batch.targets[part]),
                    label_smoothing=self.settings.label_smoothing,
                    reduction="none",
                )
                loss = (losses * self._there(batch.counts[part])).sum() / batch.whole
            loss.backward()
            total += loss.detach()
        return total

    def _show(self, batch: Batch, part: slice) -> Tensor:
        """Views of a part of a batch, on the device; of features, the features."""
        images = self._render(batch.inputs, batch.views, part)
        if batch.mixed_in is None:
            return images
        others = self._render(batch.mixed_in, batch.partner_views, part)
        return mix(images, others, self._there(batch.share[part]))

    def _render(self, inputs: Tensor, views: Views | None, part: slice) -> Tensor:
        images = self._there(inputs[part])
        if images.ndim == 2:
            return images
        if views is None:
            return render(images, None, self.settings.resolution)
        return render(images, views[part], self._side)

    def _there(self, values: Tensor) -> Tensor:
        return values.to(self.device.torch, non_blocking=True)
