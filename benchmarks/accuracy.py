"""Accuracy of the linear SVM on frozen features, over repeated splits.

Every split is made by `foveate train` itself, with its seed: near duplicates on one side, C chosen
inside the training set. The same splits then compare bfloat16 with float32, and the scaled decode
with a full decode by Pillow.
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
from sklearn.model_selection import train_test_split

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
    # folder, resolution, splits, promise in per cent
    ("fashion_texture", 224, 10, 93.5),
    ("fashion_texture", 448, 10, 95.0),
    ("ucmerced", 224, 10, 96.0),
    ("eurosat_5k", 224, 10, 93.0),
)
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

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.each.std(ddof=1):.2f}"


def main() -> Result:
    """Measure all data sets."""
    bars, rows = [], []
    for name, resolution, splits, promise in SETS:
        source = DATA / name
        settings = Settings(resolution=resolution)
        prepared, _ = featurize_source(source, settings)
        ours = _accuracy(prepared, _features(prepared), splits)
        float32, _ = featurize_source(source, settings.model_copy(update={"precision": "float32"}))
        exact = _accuracy(prepared, _features(float32), splits)
        full = _accuracy(prepared, _full_decode(prepared, Resize(resolution)), splits)
        shuffled = _on_shuffled_splits(prepared, splits)
        what = f"{name} at {resolution} px"
        n = str(len(prepared.catalog.usable))
        rows.append([what, n, str(splits), *map(str, (ours, exact, full, shuffled))])
        print("  ".join(rows[-1]), flush=True)
        bars += [
            Bar(f"{what}: SVM accuracy", ours.mean, "%", promise, at_least=True),
            Bar(f"{what}: on shuffled splits", shuffled.mean, "%", promise, at_least=True),
            Bar(
                f"{what}: bfloat16 against float32",
                abs(ours.mean - exact.mean),
                "points",
                MAY_DIFFER,
                at_least=False,
            ),
            Bar(
                f"{what}: scaled against full decode",
                abs(ours.mean - full.mean),
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
            "Columns: as foveate does it (bfloat16 where the CPU has it, scaled decode); features "
            "in float32; full decode by Pillow and bicubic resize instead of the scaled decode; "
            "foveate's features on scikit-learn's shuffled splits, which know nothing of near "
            "duplicates: how the plain look that the promises come from was taken.",
        ],
        bars,
        [["data", "images", "splits", "foveate", "float32", "full decode", "shuffled"], *rows],
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
        split = split_by_image(prepared.catalog, duplicates, test_share=0.25, seed=seed)
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


def _on_shuffled_splits(prepared: Prepared, splits: int) -> Accuracy:
    rows = prepared.catalog.labelled
    features = prepared.features_of(rows)
    labels = np.array([str(row.entry.label) for row in rows])
    each = []
    for seed in range(splits):
        train, test = train_test_split(
            np.arange(len(labels)), test_size=0.25, stratify=labels, random_state=seed
        )
        head = fit_head(features[train], labels[train], seed=seed)
        best = np.array(head.labels)[head.probabilities(features[test]).argmax(axis=1)]
        each.append(100 * float((best == labels[test]).mean()))
    return Accuracy(np.array(each))


def _full_decode(prepared: Prepared, resize: Resize) -> dict[str, NDArray[np.float32]]:
    pack = find_backbone("efficientnet-lite0").onnx_bytes()
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
