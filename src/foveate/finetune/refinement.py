"""Refine a backbone on the training images of a catalog: from rows to a pack and a last layer.

The way into this room. What `preparation` is for frozen features, a `Refiner` is for refined ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from numpy.typing import NDArray

from foveate import __version__
from foveate.backbones import Backbone, Card
from foveate.backbones.export import export_onnx
from foveate.backbones.network import PretrainedNetwork, load_pretrained
from foveate.backbones.proof import prove
from foveate.catalog import ImageRow, Workspace
from foveate.files import digest
from foveate.finetune.checkpoint import Checkpoint
from foveate.finetune.device import Device, open_device
from foveate.finetune.gather import TrainingRows, deal, gather
from foveate.finetune.learner import Learner, Task
from foveate.finetune.loop import Epoch, Refined, learn
from foveate.finetune.samples import Samples
from foveate.finetune.validation import judged_rows
from foveate.heads import Head, LastLayer, LogisticRegression, head_of_last_layer, unit_rows
from foveate.image import Resize
from foveate.progress import Progress, Stopwatch
from foveate.settings import EPOCHS, Settings

START_C = 10.0
"""C of the logistic regression that the last layer starts from."""

RESOLUTIONS = (224, 256, 320, 448)
"""What `Refiner.settled` chooses from."""

FEW_IMAGES = 1000
"""So many are refined at 320 px on a CPU within two minutes or three."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """A refined backbone.

    Attributes:
        pack: ONNX, `pixels` → `features`.
        card: of the refined network.
        head: its last layer, calibrated on the validation images.
        epochs: how it was trained.
        best: the epoch whose weights these are, from 0.
        stopped_early: whether it was good enough before its last epoch.
        n_judged: training images that the training error of an epoch was measured on.
        held: (n,) which training images said when to stop, and did not train the network.
        minibatch: images that went through the device at once.
        device: its name.
        checkpoint: the file that a killed training goes on from; not needed any more.
        notes: what a reader should know about the settings, in plain sentences.
    """

    pack: bytes
    card: Card
    head: Head
    epochs: tuple[Epoch, ...]
    best: int
    stopped_early: bool
    n_judged: int
    held: NDArray[np.bool_]
    minibatch: int
    device: str
    checkpoint: Path
    notes: tuple[str, ...] = ()

    @property
    def n_validation(self) -> int:
        """How many said when to stop."""
        return int(self.held.sum())

    @property
    def images_per_second(self) -> float:
        """While training; the median of the epochs."""
        return median(epoch.images_per_second for epoch in self.epochs)

    @property
    def waited(self) -> float:
        """The share of that time in which the device waited for images."""
        return mean(epoch.waited for epoch in self.epochs)


@contextmanager
def open_refiner(settings: Settings) -> Iterator[Refiner]:
    """What refines on the device of the settings, together with other processes of torchrun's.

    Raises:
        SettingsError: the device that was asked for is not there.
    """
    with open_device(settings.device, settings.precision, settings.workers) as device:
        yield Refiner(device)


@dataclass(frozen=True, slots=True)
class Refiner:
    """Refines backbones on a device.

    Attributes:
        device: where to compute.
    """

    device: Device

    @contextmanager
    def after_the_first(self) -> Iterator[None]:
        """Let the first process do something alone; the others find it in the cache."""
        if self.device.rank > 0:
            self.device.wait()
        yield
        if self.device.rank == 0:
            self.device.wait()

    def settled(self, settings: Settings, backbone: Backbone, rows: Sequence[ImageRow]) -> Settings:
        """The settings with what the user left open: the resolution to refine at, and the epochs.

        The resolution is the highest of `RESOLUTIONS` that half of the images have the detail for,
        and the device the time: on a CPU, where 448 px take four times as long as 224, 320 px for a
        few images and 256 px for many.
        """
        epochs = settings.epochs or EPOCHS[settings.schedule]
        resolution = settings.resolution
        if "resolution" not in settings.model_fields_set and rows:
            affordable: tuple[int, ...] = RESOLUTIONS
            if self.device.torch.type == "cpu":
                affordable = RESOLUTIONS[: 3 if len(rows) <= FEW_IMAGES else 2]
            resolution = max(
                (r for r in affordable if _detail(rows, Resize(r, settings.resize)) >= r),
                default=RESOLUTIONS[0],
            )
            resolution = backbone.card.fixed_resolution or resolution
        return settings.model_copy(update={"resolution": resolution, "epochs": epochs})

    def refine(
        self,
        backbone: Backbone,
        training: TrainingRows,
        settings: Settings,
        workspace: Workspace,
        watch: Stopwatch,
        progress: Progress | None = None,
    ) -> Refinement:
        """Train the network of a backbone on training images, and export it.

        Under torchrun all processes train; only the first one comes back, the others end here.

        Args:
            backbone: where to start from.
            training: the images; a part of them says when to stop.
            settings: all of them.
            workspace: for decoded images and checkpoints.
            watch: gets the seconds of the stages "load", "decode", "refine" and "export".
            progress: told how far it is.

        Raises:
            BackboneError: the backbone's original weights are not here.
            SettingsError: see `finetune.loop.learn`.
        """
        network, name = None, self.device.name
        if settings.depth != "last_only":
            with watch.stage("load"):
                network = load_pretrained(backbone)
        with watch.stage("decode"), self.after_the_first():
            dealt = deal(training, settings)
            samples = gather(training, dealt, settings, workspace.folder / "pixels", progress)
        key = _key(backbone, training, settings)
        checkpoint = Checkpoint(workspace.folder / "refine" / f"{key[:16]}.pt", key)
        with watch.stage("refine"):
            learner = Learner(network, backbone.card.dimension, len(dealt.labels), settings.depth)
            # Not from the images that say when to stop: they must be new to all of it.
            first = _first_layer(training.features[dealt.learnt], samples.train_codes)
            learner.start_from(*first)
            refined = learn(
                Task(learner, samples, settings, self.device),
                checkpoint=checkpoint,
                watch=None if progress is None else partial(_tell, progress),
                foretell=None
                if progress is None
                else partial(_foretell, progress, self.device.name),
            )
        if self.device.rank != 0:
            raise SystemExit(0)
        pack = backbone.onnx_bytes()
        if network is not None:
            with watch.stage("export"):
                pack = _exported(network)
        return Refinement(
            pack=pack,
            card=_card(backbone, pack, len(samples.train_codes)),
            head=_head(refined, samples),
            epochs=refined.epochs,
            best=refined.best,
            stopped_early=refined.stopped_early,
            n_judged=len(judged_rows(samples, settings.seed)),
            held=np.isin(np.arange(len(dealt.codes)), dealt.held),
            minibatch=refined.minibatch,
            device=name,
            checkpoint=checkpoint.path,
            notes=_notes(settings),
        )


def _detail(rows: Sequence[ImageRow], resize: Resize) -> float:
    """Pixels a side that images have where the classifier sees them, the median."""
    boxes = [resize.box(row.facts.width, row.facts.height) for row in rows]
    return median(min(right - left, lower - upper) for left, upper, right, lower in boxes)


def _exported(network: PretrainedNetwork) -> bytes:
    """The network as ONNX, compared with PyTorch."""
    network = network.cpu().float().eval()
    pack = export_onnx(network)
    prove(pack, network)
    return pack


def _head(refined: Refined, samples: Samples) -> Head:
    """The last layer, calibrated on the validation images."""
    last = refined.learner.last
    weight, bias = (value.detach().cpu().numpy() for value in (last.weight, last.bias))
    layer = LastLayer(weight, bias)
    scores, codes = refined.validation_scores, samples.validation_codes
    return head_of_last_layer(samples.labels, layer, scores, codes)


def _notes(settings: Settings) -> tuple[str, ...]:
    """What of the settings came to nothing, and what their reader should know."""
    notes = []
    unused = [
        f"{name} = {value}"
        for name, value, at_rest in (
            ("augment", settings.augment, ("none", "light")),
            ("orientation", settings.orientation, ("upright",)),
        )
        if value not in at_rest
    ]
    if settings.depth == "last_only" and unused:
        notes.append(
            f"With depth = last_only images are seen once and only their features learned from: "
            f"{' and '.join(unused)} had no effect. Use --depth head or all."
        )
    if settings.validation_share == 0:
        spoilt = " and the probabilities are not calibrated" * (settings.classifier == "dnn")
        notes.append(
            f"With validation_share = 0 no image said when to stop, so the last epoch was taken"
            f"{spoilt}."
        )
    return tuple(notes)


def _first_layer(
    features: NDArray[np.float32], codes: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A last layer (K, d), (K,) that fits the frozen features.

    From a random one, the first steps would change a network that is good already in order to fit
    a layer that is not (Kumar et al., "Fine-tuning can distort pretrained features and underperform
    out-of-distribution", ICLR 2022).
    """
    fitted = LogisticRegression(START_C).fit(unit_rows(features), codes)
    length = float(np.linalg.norm(features, axis=1).mean())
    return fitted.coef_ / np.float32(length), fitted.intercept_


def _tell(progress: Progress, done: int, total: int, loss: float, error: float | None) -> None:
    judged = "" if error is None else f", error {100 * error:.1f} %"
    progress("refine", done, total, f"loss {loss:.3f}{judged}")


def _foretell(progress: Progress, device: str, done: int, total: int, seconds: float) -> None:
    length = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 1):.0f} s"
    progress("refine", done, total, f"about {length} on {device}, less when it is good enough")


def _card(backbone: Backbone, pack: bytes, n: int) -> Card:
    """The card of the refined network: what was said of the pretrained one's accuracy is gone."""
    return backbone.card.model_copy(
        update={
            "description": f"{backbone.card.description} Refined on {n} images.",
            "pack_sha256": digest(pack),
            "imagenet_top1": None,
            "imagenet_sample_top1": None,
            "imagenet_sample_n": None,
        }
    )


def _key(backbone: Backbone, training: TrainingRows, settings: Settings) -> str:
    """Stands for everything that decides what the training comes to."""
    labelled = [f"{row.facts.id} {row.entry.label}" for row in training.rows]
    parts = [
        backbone.card.pack_sha256,
        settings.model_dump_json(exclude={"workers", "runtime", "trees", "c", "folds", "tracking"}),
        torch.__version__,
        __version__,
        *labelled,
    ]
    return digest("\n".join(parts).encode())
