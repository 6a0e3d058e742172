"""Does a GPU wait for images? ResNet-50, 224 px, bfloat16, against images already on the device.

`python -m benchmarks.gpu --try` runs the same code with a tiny network on the CPU, to see that it
runs; its figures say nothing and are not kept.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.common import Bar, Result, median, scratch

LEAST = 0.85
LABELS = 10


@dataclass(frozen=True)
class Trial:
    """What is trained, and how long.

    Attributes:
        backbone: the network, with random weights: they make it no faster.
        resolution: pixels a side of the views.
        squares: pixels a side of the images on disk that views are cut from.
        minibatch: images a step.
        steps: of an epoch.
        epochs: of a training; the first makes the kernels and does not count.
        rounds: trainings of each kind, in turns.
        device: as in the settings.
        precision: likewise.
    """

    backbone: str = "resnet50"
    resolution: int = 224
    squares: int = 256
    minibatch: int = 128
    steps: int = 32
    epochs: int = 4
    rounds: int = 3
    device: str = "cuda"
    precision: str = "bfloat16"

    @property
    def images(self) -> int:
        """On disk."""
        return self.minibatch * self.steps


TINY = Trial("timm:test_resnet", 64, 72, 8, 2, 2, 1, "cpu", "float32")


@dataclass(frozen=True)
class Rates:
    """Images a second while training.

    Attributes:
        from_disk: as `foveate train` does it: read, sent to the device, shown as augmented views.
        on_device: the same loop with random images that are on the device already, unchanged.
        waited: share of the time in which the device waited for images from disk.
    """

    from_disk: float
    on_device: float
    waited: float

    @property
    def share(self) -> float:
        """The first of the second."""
        return self.from_disk / self.on_device


def main() -> Result | None:
    """Measure; None where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        print("PyTorch finds no GPU on this machine: nothing is measured.", flush=True)
        return None
    trial = Trial()
    found = measure(trial)
    shares = [rates.share for rates in found]
    return Result(
        "Refining on a GPU",
        [
            f"{trial.backbone} on {torch.cuda.get_device_name()} (CUDA {torch.version.cuda}, "
            f"PyTorch {torch.__version__}): all parameters trained at {trial.resolution} px, in "
            f"{trial.precision}, {trial.minibatch} images a step, nearly no learning rate, and "
            f"the other settings at their defaults. {trial.images:,} decoded squares of "
            f"{trial.squares} px come from a file that the system holds in memory. Against the "
            "same loop fed with random images that are on the device already and are not "
            f"augmented. {trial.rounds} trainings of each kind in turns; the median."
        ],
        [
            Bar(
                "images/s from disk, of those with images on the device",
                100 * median(shares),
                "%",
                100 * LEAST,
                at_least=True,
            )
        ],
        [
            ["from disk", "on the device", "share", "waited for images"],
            *(
                [
                    f"{rates.from_disk:,.0f} images/s",
                    f"{rates.on_device:,.0f} images/s",
                    f"{100 * rates.share:.1f} %",
                    f"{100 * rates.waited:.1f} %",
                ]
                for rates in found
            ),
        ],
    )


def measure(trial: Trial) -> list[Rates]:
    """One pair of trainings a round."""
    from foveate.finetune import loop

    found = []
    with scratch() as folder:
        path = _draw(trial, folder)
        for _ in range(trial.rounds):
            from_disk, waited = _train(trial, path)
            with patch.object(loop, "Loader", _resident()):
                on_device, _ = _train(trial, path)
            found.append(Rates(from_disk, on_device, waited))
    return found


def _draw(trial: Trial, folder: Path) -> Path:
    """A file of random squares, as `finetune.samples.decode_once` leaves one."""
    path = folder / "squares.npy"
    shape = (trial.images, trial.squares, trial.squares, 3)
    squares = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    rng = np.random.default_rng(0)
    for square in squares:
        square[:] = rng.integers(0, 256, shape[1:], np.uint8)
    squares.flush()
    return path


def _train(trial: Trial, path: Path) -> tuple[float, float]:
    """Images a second, and the share of the time that the device waited: medians of the epochs."""
    from foveate.backbones.names import parse_name
    from foveate.backbones.network import build_network
    from foveate.finetune.device import open_device
    from foveate.finetune.learner import Learner, Task
    from foveate.finetune.loop import learn
    from foveate.finetune.samples import MappedPixels, Samples
    from foveate.settings import Settings

    settings = Settings(
        classifier="dnn",
        resolution=trial.resolution,
        minibatch=trial.minibatch,
        epochs=trial.epochs,
        learning_rate=1e-6,  # nothing is to be learned from noise, nor to run away
    )
    codes = np.arange(trial.images) % LABELS
    nothing = np.zeros((0, trial.resolution, trial.resolution, 3), np.uint8)
    labels = tuple(f"label {number}" for number in range(LABELS))
    samples = Samples(labels, MappedPixels(path), codes, nothing, codes[:0])
    network = build_network(parse_name(trial.backbone), None)
    learner = Learner(network, network.dimension, LABELS, "all")
    with open_device(trial.device, trial.precision) as device:
        epochs = learn(Task(learner, samples, settings, device)).epochs[1:]
    rates = [epoch.images_per_second for epoch in epochs]
    return median(rates), median([epoch.waited for epoch in epochs])


def _resident() -> type[Any]:
    """A loader whose batch is on the device already, for every step the same."""
    import torch

    from foveate.finetune.batches import Batch, Loader

    class Resident(Loader):
        """See above."""

        _batch: Batch | None = None

        def load(self, step: int) -> Batch:
            """The batch."""
            if self._batch is None:
                side, device = self._settings.resolution, self._device.torch
                read = super().load(step)
                there = {
                    field.name: value.to(device)
                    for field in fields(read)
                    if isinstance(value := getattr(read, field.name), torch.Tensor)
                }
                there["inputs"] = torch.randint(
                    0, 256, (len(read), side, side, 3), dtype=torch.uint8, device=device
                )
                unchanged = {"views": None, "mixed_in": None, "partner_views": None}
                self._batch = replace(read, **{**there, **unchanged})
            return self._batch

    return Resident


if __name__ == "__main__":
    if sys.argv[1:] != ["--try"]:
        sys.exit("Use `python -m benchmarks gpu`, or `python -m benchmarks.gpu --try`.")
    for rates in measure(TINY):
        print(
            f"{rates.from_disk:.0f} images/s from disk, {rates.on_device:.0f} with images on the "
            f"device: {100 * rates.share:.0f} %, waited {100 * rates.waited:.0f} %"
        )
