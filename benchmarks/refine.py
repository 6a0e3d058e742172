"""Accuracy of refined networks over repeated splits, against the frozen features they start from.

Every split is made by `foveate train` itself, with its seed; what is not named is at its default.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.common import DATA, Bar, Result, scratch
from foveate.backbones.add import add_backbone
from foveate.evaluation import Comparison, compare_paired
from foveate.settings import Settings
from foveate.workflow.training import train_classifier

SPLITS = 5


@dataclass(frozen=True)
class Promise:
    """One data set and what was promised on it.

    Attributes:
        name: of its folder.
        accuracy: of the refined network, in %, at least.
        gain: points over the frozen SVM at the same resolution, at least; None where nothing
            was promised.
        settings: what is not at its default.
        first: a first accuracy in %, within so many seconds; None where nothing was promised.
    """

    name: str
    accuracy: float
    gain: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    first: tuple[float, float] | None = None


@dataclass(frozen=True)
class Found:
    """One split; accuracies in %."""

    frozen: float
    refined: float
    seconds: float
    epochs: int
    resolution: int
    n_test: int
    pair: Comparison


FASHION = Promise("fashion_texture", 97.5, gain=1.5, first=(97.0, 180.0))
AERIAL = {"orientation": "any", "epochs": 8, "validation_share": 0.0, "mixup": 0.2}
"""For images from above: no side is up; all training images are learned from, in pairs."""

UCMERCED = Promise("ucmerced", 98.5, settings={"test_share": 0.2, **AERIAL})
EUROSAT = Promise("eurosat_5k", 97.0, settings=AERIAL)


def refine_split(promise: Promise, seed: int) -> Found:
    """Refine on one split, with an empty cache: nothing is decoded or half trained before."""
    settings = Settings(classifier="dnn", seed=seed, **promise.settings)
    with scratch() as cache, patch.dict(os.environ, FOVEATE_CACHE=str(cache)):
        training = train_classifier(DATA / promise.name, settings)
    if training.baseline is None or training.refinement is None:
        raise AssertionError("refining always has a baseline")
    found = Found(
        frozen=100 * float(training.baseline.right.mean()),
        refined=100 * training.evaluation.accuracy.value,
        seconds=sum(training.seconds.values()),
        epochs=len(training.refinement.epochs),
        resolution=training.settings.resolution,
        n_test=len(training.predictions.right),
        pair=compare_paired(training.predictions.right, training.baseline.right),
    )
    print(f"{promise.name} {seed}: {found}", flush=True)
    return found


def main(promise: Promise) -> Result:
    """Refine on every split of a data set."""
    add_backbone(Settings(**promise.settings).backbone)
    splits = [refine_split(promise, seed) for seed in range(SPLITS)]
    refined, frozen = (
        np.array([getattr(one, name) for one in splits]) for name in ("refined", "frozen")
    )
    slowest = max(one.seconds for one in splits)
    bars = [Bar("refined, mean", float(refined.mean()), "%", promise.accuracy, at_least=True)]
    if promise.gain is not None:
        gain = float((refined - frozen).mean())
        bars.append(Bar("gain over the frozen SVM", gain, "points", promise.gain, at_least=True))
    if promise.first is not None:
        accuracy, seconds = promise.first
        in_time = [one.refined if one.seconds <= seconds else 0.0 for one in splits]
        name = f"refined within {seconds:.0f} s of an empty cache, mean (0 where it took longer)"
        bars.append(Bar(name, float(np.mean(in_time)), "%", accuracy, at_least=True))
        bars.append(Bar("wall time of the slowest run", slowest, "s", seconds, at_least=False))
    changed = ", ".join(f"`{name} = {value}`" for name, value in promise.settings.items())
    rows = [
        [
            str(seed),
            str(one.resolution),
            str(one.n_test),
            f"{one.frozen:.2f}",
            f"{one.refined:.2f}",
            f"{one.pair.only_a} : {one.pair.only_b}",
            f"{one.pair.p:.4f}" if one.pair.p >= 1e-4 else "< 0.0001",
            str(one.epochs),
            f"{one.seconds:.0f}",
        ]
        for seed, one in enumerate(splits)
    ]
    header = [
        "split",
        "px",
        "test images",
        "frozen %",
        "refined %",
        "only refined : only frozen right",
    ]
    return Result(
        f"Refined networks: {promise.name}",
        [
            f"`--classifier dnn`, {SPLITS} seeded splits, settings at their "
            f"defaults{f' but for {changed}' if changed else ''}. "
            f"Refined {refined.mean():.2f} ± {refined.std(ddof=1):.2f} %, frozen "
            f"{frozen.mean():.2f} ± {frozen.std(ddof=1):.2f} %. Frozen: a linear SVM on the "
            "features before refining, at the same resolution, on the same test images; "
            "p: McNemar's exact test of the images that only one of them is right on.",
        ],
        bars,
        [[*header, "p", "epochs", "seconds"], *rows],
    )


BENCHMARKS = {
    "refine_fashion": partial(main, FASHION),
    "refine_ucmerced": partial(main, UCMERCED),
    "refine_eurosat": partial(main, EUROSAT),
}
