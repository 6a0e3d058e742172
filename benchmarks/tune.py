"""What `foveate tune` finds in ten minutes, against the best of the settings to start with."""

from __future__ import annotations

from benchmarks.common import DATA, Bar, Result, foveate, scratch
from foveate.settings import Settings
from foveate.tuning.candidates import HEADS
from foveate.workflow.training import train_classifier

SOURCE = DATA / "fashion_texture"
SEEDS = range(3)
MINUTES = 10
LEAVE = 10.0
"""Seconds over the minutes: to start, and to write the page."""


def main() -> Result:
    """Search on three splits, each with an empty cache; train the defaults on the same splits."""
    bars, rows = [], []
    for seed in SEEDS:
        with scratch() as folder:
            report = folder / "tune.html"
            ran = foveate(
                "tune",
                SOURCE,
                *("--minutes", MINUTES, "--backbone", "efficientnet-lite0"),
                *("--seed", seed, "--report", report, "--json"),
                cache=folder,
            )
        found = ran.json
        chosen = "{classifier} at {resolution} px".format(**found["chosen"])
        defaults = {
            kind: train_classifier(SOURCE, Settings(classifier=kind, seed=seed)).evaluation.accuracy
            for kind in HEADS
        }
        best = max(defaults, key=lambda kind: defaults[kind].value)
        accuracy = 100 * found["accuracy"]
        bars += [
            Bar(
                f"fashion_texture, seed {seed}: test accuracy of what tune chose ({chosen})",
                accuracy,
                "%",
                100 * defaults[best].value,
                at_least=True,
            ),
            Bar(f"seed {seed}: wall time", ran.seconds, "s", 60 * MINUTES + LEAVE, at_least=False),
        ]
        low, high = (100 * end for end in found["accuracy_ci95"])
        rows.append(
            [
                str(seed),
                str(found["n_test"]),
                f"{chosen}: {accuracy:.1f} ({low:.1f} to {high:.1f})",
                *(f"{100 * one.value:.1f}" for one in defaults.values()),
                f"{ran.seconds:.0f}",
            ]
        )
        print("  ".join(rows[-1]), flush=True)
    return Result(
        "Tuning",
        [
            f"`foveate tune` with {MINUTES} minutes and an empty cache, the embedded backbone "
            "alone, against the best of svm, logistic and forest at 224 px on the same test "
            "images. Which of the three is best is known from the test images themselves; what "
            "tune chose is not.",
        ],
        bars,
        [
            ["seed", "test images", "tune, %", *(f"{kind} at 224 px, %" for kind in HEADS), "s"],
            *rows,
        ],
    )
