"""Tries mutated classifiers, by number, as `predict` would: a process that may die of them.

A line with a number comes in, a line of JSON goes out: `outcome`, `detail`, `seconds`. Outcomes
are `refused` (with the sentence), `answered`, and `wrong`, which no file may bring about.
"""

from __future__ import annotations

import json
import sys
import time
import traceback

import numpy as np

from foveate.classifier import Classifier
from foveate.errors import ModelFileError
from support.hostile_models import LABELS, SIDE, mutated


def attempt(seed: int, runtime: str) -> tuple[str, str]:
    """What becomes of one file in one runtime."""
    pixels = np.random.default_rng(seed).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    try:
        classifier = Classifier(mutated(seed), workers=1, runtime=runtime)  # type: ignore[arg-type]
        predictions = classifier.predict(list(pixels))
    except ModelFileError as error:
        sentence = str(error)
        return ("refused" if sentence[:1].isupper() and len(sentence) < 1500 else "wrong"), sentence
    except BaseException:
        return "wrong", traceback.format_exc()
    for prediction in predictions:
        values = np.array(list(prediction.probabilities.values()))
        if not (
            len(values) == len(LABELS) and (values >= 0).all() and abs(values.sum() - 1) < 0.01
        ):
            return "wrong", f"{prediction}"
    return "answered", ""


def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        seed = int(line)
        for runtime in ("auto", "onnxruntime"):
            start = time.perf_counter()
            outcome, detail = attempt(seed, runtime)
            found = {"outcome": outcome, "detail": detail, "seconds": time.perf_counter() - start}
            sys.stdout.write(f"foveate-child:{json.dumps(found | {'runtime': runtime})}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
