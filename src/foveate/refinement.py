"""Refine a backbone on the training images of a catalog: from rows to a pack and a last layer.

What `preparation` is for frozen features, this is for refined ones. PyTorch comes with the
functions that need it, not with the module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.backbones import Backbone, Card
from foveate.catalog import Workspace
from foveate.files import digest
from foveate.settings import Settings
from foveate.workflow.preparation import Progress, Stopwatch

if TYPE_CHECKING:
    from foveate.backbones.network import PretrainedNetwork
    from foveate.finetune.device import Device
    from foveate.finetune.gather import TrainingRows
    from foveate.finetune.loop import Epoch, Refined
    from foveate.finetune.samples import Samples
    from foveate.heads import Head

START_C = 10.0
"""C of the logistic regression that the last layer starts from."""


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
        watch: gets the seconds of the stages "load", "decode", "refine" and "export".
        progress: told how far it is.

    Raises:
        BackboneError: the backbone's original weights are not here.
        SettingsError: see `finetune.loop.learn`.
    """
    from foveate.backbones.network import load_pretrained
    from foveate.finetune.checkpoint import Checkpoint
    from foveate.finetune.gather import deal, gather
    from foveate.finetune.judging import judged_rows
    from foveate.finetune.learner import Learner
    from foveate.finetune.loop import learn
    from foveate.finetune.task import Task

    network = None
    if settings.depth != "last_only":
        with watch.stage("load"):
            network = load_pretrained(backbone)
    with watch.stage("decode"), after_the_first(device):
        dealt = deal(training, settings)
        samples = gather(training, dealt, settings, workspace.folder / "pixels", progress)
    key = _key(backbone, training, settings)
    checkpoint = Checkpoint(workspace.folder / "refine" / f"{key[:16]}.pt", key)
    with watch.stage("refine"):
        learner = Learner(network, backbone.card.dimension, len(dealt.labels), settings.depth)
        # Not from the images that say when to stop and calibrate: they must be new to all of it.
        first = _first_layer(training.features[dealt.learnt], samples.train_codes)
        learner.start_from(*first)
        refined = learn(
            Task(learner, samples, settings, device),
            checkpoint=checkpoint,
            watch=None if progress is None else partial(_tell, progress),
            foretell=None if progress is None else partial(_foretell, progress, device.name),
        )
    if device.rank != 0:
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
        device=device.name,
        checkpoint=checkpoint.path,
        notes=_notes(settings),
    )


def _exported(network: PretrainedNetwork) -> bytes:
    """The network as ONNX, compared with PyTorch."""
    from foveate.backbones.export import export_onnx
    from foveate.backbones.proof import prove

    network = network.cpu().float().eval()
    pack = export_onnx(network)
    prove(pack, network)
    return pack


def _head(refined: Refined, samples: Samples) -> Head:
    """The last layer, calibrated on the validation images."""
    from foveate.heads import LastLayer, head_of_last_layer

    last = refined.learner.last
    weight, bias = (value.detach().cpu().numpy() for value in (last.weight, last.bias))
    layer = LastLayer(weight, bias)
    scores, codes = refined.validation_scores, samples.validation_codes
    return head_of_last_layer(samples.labels, layer, scores, codes)


def _notes(settings: Settings) -> tuple[str, ...]:
    """What of the settings came to nothing, and what their reader should know."""
    found = []
    unused = [
        f"{name} = {value}"
        for name, value, at_rest in (
            ("augment", settings.augment, ("none", "light")),
            ("orientation", settings.orientation, ("upright",)),
        )
        if value not in at_rest
    ]
    if settings.depth == "last_only" and unused:
        found.append(
            f"With depth = last_only images are seen once and only their features learned from: "
            f"{' and '.join(unused)} had no effect. Use --depth head or all."
        )
    if settings.validation_share == 0:
        spoilt = " and the probabilities are not calibrated" * (settings.classifier == "dnn")
        found.append(
            f"With validation_share = 0 no image said when to stop, so the last epoch was taken"
            f"{spoilt}."
        )
    return tuple(found)


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
