"""Accuracy of refined networks over repeated splits, against the frozen features they start from.

Every split is made by `foveate train` itself, with its seed, and everything is at its default: the
resolution is the one that the command picks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.common import DATA, Bar, Result
from foveate import pipeline
from foveate.evaluation import compare_paired
from foveate.settings import Settings

SPLITS = 5
GAIN = 1.5
"""Points that refining must gain over the frozen SVM at the same resolution."""

FIRST_SECONDS, FIRST_ACCURACY = 180.0, 97.0


@dataclass(frozen=True)
class Promise:
    """One data set and what was promised on it."""

    name: str
    test_share: float
    accuracy: float


SETS = (
    Promise("fashion_texture", 0.25, 97.5),
    Promise("ucmerced", 0.2, 98.5),
    Promise("eurosat_5k", 0.25, 97.0),
)


def main() -> Result:
    """Refine on every data set."""
    bars, rows = [], []
    for promise in SETS:
        refined, frozen, seconds, before, after = [], [], [], [], []
        for seed in range(SPLITS):
            settings = Settings(classifier="dnn", seed=seed, test_share=promise.test_share)
            training = pipeline.train(DATA / promise.name, settings)
            if training.baseline is None:
                raise AssertionError("refining always has a baseline")
            refined.append(100 * training.evaluation.accuracy.value)
            frozen.append(100 * float(training.baseline.right.mean()))
            seconds.append(sum(training.seconds.values()))
            before.append(training.baseline.right)
            after.append(training.predictions.right)
            print(
                f"{promise.name} {seed}: frozen {frozen[-1]:.2f}, refined {refined[-1]:.2f} %, "
                f"{seconds[-1]:.0f} s, {len(training.refinement.epochs)} epochs",  # type: ignore[union-attr]
                flush=True,
            )
        found = [compare_paired(a, b) for a, b in zip(after, before, strict=True)]
        what = f"{promise.name} at {training.settings.resolution} px"
        rows.append(
            [
                what,
                f"{len(after[0])}",
                f"{np.mean(frozen):.2f} ± {np.std(frozen, ddof=1):.2f}",
                f"{np.mean(refined):.2f} ± {np.std(refined, ddof=1):.2f}",
                ", ".join(f"{one.p:.3f}" for one in found),
                f"{np.median(seconds):.0f}",
            ]
        )
        gain = float(np.mean(refined) - np.mean(frozen))
        bars += [
            Bar(f"{what}: refined", float(np.mean(refined)), "%", promise.accuracy, at_least=True),
            Bar(f"{what}: gain over frozen", gain, "points", GAIN, at_least=True),
        ]
    return Result(
        "Accuracy of refined networks",
        [
            f"Mean and standard deviation over {SPLITS} seeded splits (80/20 for ucmerced, 75/25 "
            "else), all settings at their defaults, EfficientNet-Lite0. Frozen: a linear SVM on "
            "the features before refining, at the same resolution, on the same test images; p: "
            "McNemar's exact test of the two, split by split.",
        ],
        bars,
        [["data", "test images", "frozen", "refined", "p", "seconds"], *rows],
    )
