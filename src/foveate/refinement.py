"""Refine a backbone on the training images of a catalog: from rows to a pack and a last layer.

What `preparation` is for frozen features, this is for refined ones. PyTorch comes with the
functions that need it, not with the module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.backbones import Backbone, Card
from foveate.catalog import ImageRow, Workspace
from foveate.files import digest
from foveate.image import Resize
from foveate.preparation import Progress, Stopwatch, limits_of
from foveate.settings import Settings

if TYPE_CHECKING:
    from foveate.finetune.device import Device
    from foveate.finetune.loop import Epoch
    from foveate.finetune.samples import Samples
    from foveate.heads import Head

RESOLUTIONS = (224, 256, 320, 448)
"""What `settled` chooses from."""

EPOCHS = {"cosine": 5, "step": 45}
"""Passes over the images where the settings leave it open. A pretrained network whose last layer
fits already has learned a few hundred images after four or five; then it learns them by heart."""

FEW_IMAGES = 1000
"""So many are refined at 320 px on a CPU within two minutes or three."""

START_C = 10.0
"""C of the logistic regression that the last layer starts from."""

_GIGABYTE = 10**9
MOST_PIXELS = 16 * _GIGABYTE
"""Bytes of decoded images kept on disk, at most; of more, each is decoded anew."""


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


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The training images of a split.

    Attributes:
        rows: (n,) of the catalog.
        groups: (n,) copies of each other have equal numbers.
        features: (n, d) by the frozen backbone.
    """

    rows: Sequence[ImageRow]
    groups: NDArray[np.intp]
    features: NDArray[np.float32]


def settled(
    settings: Settings, backbone: Backbone, rows: Sequence[ImageRow], device: Device
) -> Settings:
    """The settings with what the user left open: the resolution to refine at, and the epochs.

    The resolution is the highest of `RESOLUTIONS` that half of the images have the detail for, and
    the device the time: on a CPU, where 448 px take four times as long as 224, 320 px for a few
    images and 256 px for many.
    """
    epochs = settings.epochs or EPOCHS[settings.schedule]
    resolution = settings.resolution
    if "resolution" not in settings.model_fields_set and rows:
        affordable: tuple[int, ...] = RESOLUTIONS
        if device.torch.type == "cpu":
            affordable = RESOLUTIONS[: 3 if len(rows) <= FEW_IMAGES else 2]
        resolution = max(
            (r for r in affordable if _detail(rows, Resize(r, settings.resize)) >= r),
            default=RESOLUTIONS[0],
        )
        resolution = backbone.card.fixed_resolution or resolution
    return settings.model_copy(update={"resolution": resolution, "epochs": epochs})


def _detail(rows: Sequence[ImageRow], resize: Resize) -> float:
    """Pixels a side that images have where the classifier sees them, the median."""
    boxes = [resize.box(row.facts.width, row.facts.height) for row in rows]
    return median(min(right - left, lower - upper) for left, upper, right, lower in boxes)


@contextmanager
def after_the_first(device: Device | None) -> Iterator[None]:
    """Let the first of several processes do something alone; the others find it in the cache."""
    if device is not None and device.rank > 0:
        device.wait()
    yield
    if device is not None and device.rank == 0:
        device.wait()


def refine_backbone(
    backbone: Backbone,
    training: TrainingRows,
    settings: Settings,
    device: Device,
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
        device: where to compute.
        workspace: for decoded images and checkpoints.
        watch: gets the seconds of the stages "decode", "refine" and "export".
        progress: told how far it is.

    Raises:
        BackboneError: the backbone's original weights are not here.
    """
    from foveate.backbones.export import export_onnx
    from foveate.backbones.network import load_pretrained
    from foveate.backbones.proof import prove
    from foveate.finetune.judging import judged_rows
    from foveate.finetune.learner import Learner
    from foveate.finetune.loop import learn
    from foveate.finetune.plan import hold_out
    from foveate.heads import LastLayer, head_of_last_layer

    labels = tuple(sorted({str(row.entry.label) for row in training.rows}))
    codes = np.array([labels.index(str(row.entry.label)) for row in training.rows])
    network = None
    if settings.depth != "last_only":
        with watch.stage("load"):
            network = load_pretrained(backbone)
    with watch.stage("decode"), after_the_first(device):
        learnt, held = hold_out(codes, training.groups, settings.validation_share, settings.seed)
        samples = _samples(training, labels, codes, learnt, held, settings, workspace, progress)
    key = _key(backbone, training, settings)
    checkpoint = workspace.folder / "refine" / f"{key[:16]}.pt"
    with watch.stage("refine"):
        learner = Learner(network, backbone.card.dimension, len(labels), settings.depth)
        # Not from the images that say when to stop and calibrate: they must be new to all of it.
        learner.start_from(*_first_layer(training.features[learnt], codes[learnt]))
        refined = learn(
            learner,
            samples,
            settings,
            device,
            checkpoint=checkpoint,
            key=key,
            watch=None if progress is None else partial(_tell, progress),
            foretell=None if progress is None else partial(_foretell, progress, device.name),
        )
    if device.rank != 0:
        raise SystemExit(0)
    pack = backbone.onnx_bytes()
    if network is not None:
        with watch.stage("export"):
            network = network.cpu().float().eval()
            pack = export_onnx(network)
            prove(pack, network)
    layer = LastLayer(
        refined.learner.last.weight.detach().cpu().numpy(),
        refined.learner.last.bias.detach().cpu().numpy(),
    )
    head = head_of_last_layer(labels, layer, refined.validation_scores, samples.validation_codes)
    return Refinement(
        pack=pack,
        card=_card(backbone, pack, len(samples.train_codes)),
        head=head,
        epochs=refined.epochs,
        best=refined.best,
        stopped_early=refined.stopped_early,
        n_judged=len(judged_rows(samples, settings.seed)),
        held=np.isin(np.arange(len(codes)), held),
        minibatch=refined.minibatch,
        device=device.name,
        checkpoint=checkpoint,
    )


def _samples(
    training: TrainingRows,
    labels: tuple[str, ...],
    codes: NDArray[np.intp],
    learnt: NDArray[np.intp],
    held: NDArray[np.intp],
    settings: Settings,
    workspace: Workspace,
    progress: Progress | None,
) -> Samples:
    """The images as the training wants them; features where only the last layer learns."""
    from foveate.finetune.samples import Pixels, Samples, decode_once

    if settings.depth == "last_only":
        features = training.features
        return Samples(labels, features[learnt], codes[learnt], features[held], codes[held])

    def decoded(rows: NDArray[np.intp], resize: Resize) -> Pixels:
        chosen = [training.rows[row] for row in rows]
        return decode_once(
            [row.entry for row in chosen],
            [row.facts.id for row in chosen],
            resize,
            folder=workspace.folder / "pixels",
            limits=limits_of(settings),
            most_bytes=MOST_PIXELS,
            progress=None if progress is None else lambda n, of: progress("decode", n, of),
        )

    shown = Resize(settings.resolution, settings.resize)
    return Samples(
        labels,
        decoded(learnt, _squares(shown, training.rows)),
        codes[learnt],
        decoded(held, shown),
        codes[held],
    )


def _squares(shown: Resize, rows: Sequence[ImageRow]) -> Resize:
    """What views are cut from: the square that the classifier sees, with what it crops away.

    Where it crops nothing away (squashed images, and those with no pixels to spare), the same.
    """
    detail = median(min(row.facts.width, row.facts.height) for row in rows)
    if shown.rule == "squash" or detail < shown.resolution:
        return shown
    margin = round(shown.resolution / 14)
    return Resize(shown.resolution + 2 * margin, shown.rule, to_edge=True)


def _first_layer(
    features: NDArray[np.float32], codes: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A last layer (K, d), (K,) that fits the frozen features.

    From a random one, the first steps would change a network that is good already in order to fit
    a layer that is not (Kumar et al., "Fine-tuning can distort pretrained features and underperform
    out-of-distribution", ICLR 2022).
    """
    from foveate.heads import LogisticRegression, unit_rows

    found = LogisticRegression(START_C).fit(unit_rows(features), codes)
    length = float(np.linalg.norm(features, axis=1).mean())
    return found.coef_ / np.float32(length), found.intercept_


def _tell(progress: Progress, done: int, total: int, loss: float, error: float | None) -> None:
    judged = "" if error is None else f", error {100 * error:.1f} %"
    progress("refine", done, total, f"loss {loss:.3f}{judged}")


def _foretell(progress: Progress, device: str, seconds: float) -> None:
    length = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    progress("refine", 0, 0, f"about {length} at most on {device}, less when it is good enough")


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
    import torch

    from foveate import __version__

    labelled = [f"{row.facts.id} {row.entry.label}" for row in training.rows]
    parts = [
        backbone.card.pack_sha256,
        settings.model_dump_json(exclude={"workers", "runtime", "trees", "c", "folds", "tracking"}),
        torch.__version__,
        __version__,
        *labelled,
    ]
    return digest("\n".join(parts).encode())
