"""What int8 costs and gains: `foveate export --int8` against bfloat16 and float32 in OpenVINO.

A classifier is trained by `foveate train`, exported, and all three forms are evaluated on the same
images that it was not trained on. The networks then run in turn.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.common import DATA, Bar, Result, foveate, scratch

SETS = ("fashion_texture", "ucmerced")
RESOLUTION = 224
MAY_COST = 1.0
"""Points of accuracy."""


def main() -> Result:
    """Train, export, evaluate and measure on each data set."""
    bars, rows = [], []
    for name in SETS:
        with scratch() as folder:
            model, int8 = folder / "model.onnx", folder / "int8.onnx"
            cache = folder / "cache"
            foveate("train", DATA / name, "--out", model, "--resolution", RESOLUTION, cache=cache)
            # Forced: what would be refused has to show here, as a bar that is missed.
            exported = foveate(
                "export",
                model,
                DATA / name,
                "--int8",
                "--force",
                "--out",
                int8,
                "--json",
                cache=cache,
            ).json
            forms = [(model, "float32"), (model, "bfloat16"), (int8, "auto")]
            rates = _rates(forms)
            found = []
            for (path, precision), rate in zip(forms, rates, strict=True):
                evaluated = foveate(
                    "evaluate",
                    path,
                    DATA / name,
                    "--set",
                    f"precision={precision}",
                    "--report",
                    folder / "report.html",
                    "--json",
                    cache=cache,
                ).json
                low, high = evaluated["accuracy_ci95"]
                found.append(100 * evaluated["accuracy"])
                rows.append(
                    [
                        name,
                        "int8" if path == int8 else precision,
                        f"{rate:.0f}",
                        f"{found[-1]:.1f} % ({100 * low:.1f} to {100 * high:.1f}, "
                        f"n = {evaluated['n_test']})",
                        f"{path.stat().st_size / 2**20:.1f} MB",
                    ]
                )
                print(*rows[-1], flush=True)
        lost = max(found[0], found[1]) - found[2]
        left_out = len(exported["left_out"])
        print(f"{name}: {left_out} of {exported['layers']} layers left out", flush=True)
        bars += [
            Bar(f"{name}: int8 costs", lost, "points", MAY_COST, at_least=False),
            Bar(f"{name}: int8 against bfloat16", rates[2] / rates[1], "×", 1.0, at_least=True),
        ]
    return Result(
        "Int8",
        [
            f"`foveate export --int8` of an SVM on EfficientNet-Lite0 at {RESOLUTION} px, "
            "calibrated on 300 training images. Accuracy on images that the classifier was not "
            "trained on, the same for all three; the cost is against the better of bfloat16 and "
            "float32. images/s of the network alone, in OpenVINO on all cores, in turn, the "
            "median of five rounds."
        ],
        bars,
        [["data", "network", "images/s", "accuracy, 95 % interval", "file"], *rows],
    )


def _rates(forms: list[tuple[Path, str]]) -> list[float]:
    """Images/s of each form of a classifier."""
    from foveate.classifier import load_classifier
    from foveate.runtime.rate import measure_rates

    networks = [load_classifier(path, precision=how).network for path, how in forms]
    return measure_rates(networks, RESOLUTION)
