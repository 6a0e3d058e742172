"""Accuracy of the linear SVM on frozen features, over repeated splits: of depths, and of the last.

Every split is made by `foveate train` itself, with its seed: near duplicates on one side, C chosen
inside the training set. The same splits then compare features of several depths with those of the
last layer, bfloat16 with float32, and the scaled decode with a full decode by Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.stats import t

from benchmarks.common import DATA, Bar, Result
from foveate.backbones import find_backbone
from foveate.catalog import find_duplicates, split_by_image
from foveate.heads import fit_head
from foveate.image import Resize
from foveate.runtime import open_network
from foveate.settings import Settings
from foveate.workflow.featurize import featurize_source
from foveate.workflow.preparation import Prepared

SETS = (
    # folder, resolution, splits, promises in per cent: of the last layer, of depths
    ("fashion_texture", 224, 10, 93.5, 96.0),
    ("fashion_texture", 448, 10, 95.0, 97.0),
    ("ucmerced", 224, 10, 96.0, 98.0),
    ("eurosat_5k", 224, 10, 93.0, 96.2),
)
TEST_SHARE = 0.25
FEW = 3
"""Splits that bfloat16 and the decode are compared on."""

MAY_DIFFER = 0.3
"""Points of accuracy that bfloat16 or the scaled decode may cost."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracies in per cent over repeated splits."""

    each: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self.each.mean())

    def first(self, splits: int) -> float:
        """The mean over the first splits."""
        return float(self.each[:splits].mean())

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.each.std(ddof=1):.2f}"


@dataclass(frozen=True)
class Gain:
    """Points of accuracy gained, with a 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def main() -> Result:
    """Measure all data sets."""
    bars, rows = [], []
    for name, resolution, splits, promise, promise_of_depths in SETS:
        source = DATA / name
        settings = Settings(resolution=resolution, features="depths")
        prepared, _ = featurize_source(source, settings)
        ours = _accuracy(prepared, _features(prepared), splits)
        only_last, _ = featurize_source(source, settings.model_copy(update={"features": "last"}))
        last = _accuracy(prepared, _features(only_last), splits)
        gain = _gain(ours, last)
        float32, _ = featurize_source(source, settings.model_copy(update={"precision": "float32"}))
        exact = _accuracy(prepared, _features(float32), FEW)
        full = _accuracy(prepared, _full_decode(prepared, Resize(resolution)), FEW)
        what = f"{name} at {resolution} px"
        n = str(len(prepared.catalog.usable))
        rows.append([what, n, str(splits), *map(str, (ours, last, gain, exact, full))])
        print("  ".join(rows[-1]), flush=True)
        bars += [
            Bar(f"{what}: SVM accuracy", last.mean, "%", promise, at_least=True),
            Bar(f"{what}: with depths", ours.mean, "%", promise_of_depths, at_least=True),
            # Above 0 where the gain is significant.
            Bar(
                f"{what}: gain over the last layer, lower end", gain.low, "points", 0, at_least=True
            ),
            Bar(
                f"{what}: bfloat16 against float32",
                abs(ours.first(FEW) - exact.mean),
                "points",
                MAY_DIFFER,
                at_least=False,
            ),
            Bar(
                f"{what}: scaled against full decode",
                abs(ours.first(FEW) - full.mean),
                "points",
                MAY_DIFFER,
                at_least=False,
            ),
        ]
    return Result(
        "Accuracy of the SVM on frozen features",
        [
            "Mean and standard deviation over seeded 75/25 splits, C chosen by cross-validation "
            "inside each training set; near duplicates never straddle a split.",
            "Columns: features of several depths (bfloat16 where the CPU has it, scaled decode); "
            "features of the last layer alone; what depths gain over them, split by split, with "
            "the 95 % interval of the corrected resampled t-test (splits overlap: Nadeau and "
            f"Bengio 2003); of depths, on the first {FEW} splits: in float32, and after a full "
            "decode by Pillow with a bicubic resize.",
        ],
        bars,
        [
            [
                "data",
                "images",
                "splits",
                "depths",
                "last",
                "gain",
                "float32",
                "full decode",
            ],
            *rows,
        ],
    )


def _features(prepared: Prepared) -> dict[str, NDArray[np.float32]]:
    rows = prepared.catalog.labelled
    ids = [row.facts.id for row in rows]
    return dict(zip(ids, prepared.features_of(rows), strict=True))


def _accuracy(
    prepared: Prepared, features: Mapping[str, NDArray[np.float32]], splits: int
) -> Accuracy:
    duplicates = find_duplicates(prepared.catalog, max_bits=Settings().near_duplicate_bits)
    label_of = {row.facts.id: str(row.entry.label) for row in prepared.catalog.labelled}
    each = []
    for seed in range(splits):
        split = split_by_image(prepared.catalog, duplicates, test_share=TEST_SHARE, seed=seed)
        head = fit_head(
            np.stack([features[image] for image in split.train]),
            [label_of[image] for image in split.train],
            groups=[duplicates.group[image] for image in split.train],
            seed=seed,
        )
        best = head.probabilities(np.stack([features[i] for i in split.test])).argmax(axis=1)
        right = [head.labels[k] == label_of[i] for k, i in zip(best, split.test, strict=True)]
        each.append(100 * np.mean(right))
    return Accuracy(np.array(each))


def _gain(ours: Accuracy, others: Accuracy) -> Gain:
    """Over splits that overlap: their variance is too small by what they share.

    Source: Nadeau, C. and Bengio, Y. (2003). Inference for the generalization error. Machine
        Learning 52, 239-281, equation 24.
    """
    differences = ours.each - others.each
    n = len(differences)
    spread = np.sqrt((1 / n + TEST_SHARE / (1 - TEST_SHARE)) * differences.var(ddof=1))
    reach = float(t.ppf(0.975, n - 1) * spread)
    mean = float(differences.mean())
    return Gain(mean, mean - reach, mean + reach)


def _full_decode(prepared: Prepared, resize: Resize) -> dict[str, NDArray[np.float32]]:
    pack = find_backbone("efficientnet-lite0", features="depths").onnx_bytes()
    network = open_network(pack, resolution=resize.resolution)

    def features(path: str) -> NDArray[np.float32]:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(Path(path).read_bytes())))
        square = image.convert("RGB").resize(
            (resize.resolution, resize.resolution),
            Image.Resampling.BICUBIC,
            box=resize.box(*image.size),
        )
        return network.run(np.asarray(square)[None])[0]

    rows = prepared.catalog.labelled
    with ThreadPoolExecutor() as pool:
        found = pool.map(features, [row.entry.file.path for row in rows])
        return {row.facts.id: values for row, values in zip(rows, found, strict=True)}
