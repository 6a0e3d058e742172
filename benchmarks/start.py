"""How long a person waits for the command line, cold."""

from __future__ import annotations

from benchmarks.common import DATA, Bar, Result, foveate, median, scratch

ROUNDS = 7


def main() -> Result:
    """Time `foveate --help` and `foveate predict` of one image."""
    image = next(iter(sorted((DATA / "fashion_texture" / "dotted").iterdir())))
    with scratch() as folder:
        model = folder / "model.onnx"
        foveate("train", DATA / "fashion_texture", "--out", model, "--json", cache=folder)
        helped = [foveate("--help").seconds for _ in range(ROUNDS)]
        predicted = [foveate("predict", model, image).seconds for _ in range(ROUNDS)]
    return Result(
        "Start",
        [f"Wall time of the whole process, medians of {ROUNDS}."],
        [
            Bar("foveate --help", median(helped), "s", 0.3, at_least=False),
            Bar("foveate predict, one image", median(predicted), "s", 2.0, at_least=False),
        ],
    )
