"""A finished classifier in another form: its backbone in int8, or all of it for OpenVINO.

Training images say how to quantise, and images that the classifier has never seen say what that
cost. They decide nothing but whether the result is handed over at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import ImageRow, read_file
from foveate.classifier import Classifier
from foveate.errors import FoveateError, ImageRefused, ModelFileError, SourceError
from foveate.evaluation import Comparison, Estimate, compare_paired
from foveate.image import Limits, Resize, open_image
from foveate.model_file import Quantisation, replace_backbone
from foveate.preparation import Extractor, Prepared, Progress, Stopwatch, limits_of, prepare
from foveate.runtime import Network, open_network
from foveate.runtime.quantisation import Quantised, is_quantised, quantise
from foveate.runtime.rate import measure_rates
from foveate.scoring import predict_rows, score, unseen
from foveate.settings import Settings

CALIBRATION_IMAGES = 300
"""Measured on EfficientNet-Lite0: 50 and 200 images leave the same error of the features."""

MOST_LOST = 0.01
"""Accuracy that int8 may cost, as a share of the test images."""

BATCH = 8

GENERATED = 8
"""Generated images that an OpenVINO export is compared on."""


class NotWorthIt(FoveateError):  # noqa: N818 - reads as the sentence it is
    """Int8 costs too much accuracy, or brings no speed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A classifier before or after.

    Attributes:
        precision: what its backbone computes in on this machine.
        accuracy: on the test images, Wilson interval.
        images_per_second: of the network alone, all cores at work.
        size: bytes of the file.
    """

    precision: str
    accuracy: Estimate
    images_per_second: float
    size: int

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "precision": self.precision,
            "accuracy": self.accuracy.value,
            "accuracy_ci95": [self.accuracy.low, self.accuracy.high],
            "images_per_second": self.images_per_second,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class Int8Export:
    """A classifier whose backbone was brought to int8, and what came of it.

    Attributes:
        classifier: the new one.
        quantisation: what its file says about that.
        before: the original.
        after: the new one.
        comparison: the new one, as a, with the original, as b, on the same test images.
        prepared: the source.
        seconds: by stage.
    """

    classifier: Classifier
    quantisation: Quantisation
    before: Measured
    after: Measured
    comparison: Comparison
    prepared: Prepared
    seconds: dict[str, float]

    @property
    def objection(self) -> str | None:
        """Why this should not be used, in one sentence; None where nothing speaks against it."""
        lost = self.comparison.only_b - self.comparison.only_a
        if lost > MOST_LOST * self.comparison.n:
            return (
                f"Int8 costs {100 * lost / self.comparison.n:.1f} points of accuracy on "
                f"{self.comparison.n:,} test images, more than {100 * MOST_LOST:g}."
            )
        if self.after.images_per_second <= self.before.images_per_second:
            return (
                f"Int8 gains nothing on this machine: {self.after.images_per_second:,.0f} "
                f"images/s, {self.before.images_per_second:,.0f} in {self.before.precision}."
            )
        return None

    def check(self) -> None:
        """Refuse what costs too much or gains nothing.

        Raises:
            NotWorthIt: the message says which.
        """
        if self.objection is not None:
            raise NotWorthIt(
                f"{self.objection} Nothing was written; `--force` writes it all the same."
            )

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "comparison": self.comparison.to_json(),
            "n_test": self.comparison.n,
            "n_calibration": self.quantisation.n_calibration,
            "layers": self.quantisation.layers,
            "left_out": list(self.quantisation.left_out),
            "objection": self.objection,
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
        }


def export_int8(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    images: int = CALIBRATION_IMAGES,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Int8Export:
    """Quantise a classifier's backbone, and measure what that costs and gains.

    Args:
        classifier: the original, from its file.
        source: holds images it was trained on, to calibrate on, and labelled ones that it has not
            seen, to test on: the folder it was trained on, as a rule.
        settings: those that concern reading and running; `seed` draws the calibration images.
        images: to calibrate on, drawn evenly over the labels.
        limit: use at most so many files, taken evenly.
        progress: told how far each stage is.

    Raises:
        ModelFileError: it is in int8 already, or its backbone cannot be quantised.
        SourceError: the source has no image it was trained on, or none to test on.
    """
    settings = settings or Settings()
    if is_quantised(classifier.backbone):
        raise ModelFileError("This classifier is in int8 already. Give the one it was made from.")
    scoring = score(classifier, source, settings, limit=limit, progress=progress)
    prepared, watch = scoring.prepared, Stopwatch(scoring.seconds)
    test = _test_rows(classifier, prepared, settings)
    with watch.stage("calibrate"):
        rows = calibration_rows(classifier, prepared, images, seed=settings.seed)
        quantised = _quantise(classifier, rows, settings, progress)
    data = replace_backbone(classifier.onnx_bytes, quantised.onnx_bytes)
    other = Classifier(data, precision=settings.precision, runtime=settings.runtime)
    extractor = Extractor(other.backbone, other.metadata.backbone, other.resize)
    tested = prepared.source.of(row.entry for row in test)
    found = prepare(tested, settings, watch, progress, extractor)
    comparison = compare_paired(
        predict_rows(other, found, test).right, predict_rows(classifier, prepared, test).right
    )
    with watch.stage("measure"):
        networks = [_open(one.backbone, classifier, settings) for one in (classifier, other)]
        rates = measure_rates(
            networks, classifier.metadata.resolution, workers=settings.workers or None
        )
    before, after = (
        Measured(network.precision, accuracy, rate, size)
        for network, accuracy, rate, size in zip(
            networks,
            (comparison.accuracy_b, comparison.accuracy_a),
            rates,
            (len(classifier.onnx_bytes), len(data)),
            strict=True,
        )
    )
    quantisation = _describe(classifier, quantised, len(rows), before, after)
    data = replace_backbone(classifier.onnx_bytes, quantised.onnx_bytes, quantisation=quantisation)
    return Int8Export(
        Classifier(data, precision=settings.precision, runtime=settings.runtime),
        quantisation,
        before,
        after,
        comparison,
        prepared,
        watch.seconds,
    )


def calibration_rows(
    classifier: Classifier, prepared: Prepared, images: int, *, seed: int
) -> list[ImageRow]:
    """Images that a classifier was trained on, evenly over the labels, each at most once.

    Args:
        classifier: it knows its training images.
        prepared: a source that holds some of them.
        images: how many, if there are so many.
        seed: of the drawing.

    Raises:
        SourceError: there is none.
    """
    by_label: dict[str, dict[str, ImageRow]] = {}
    for row in prepared.catalog.usable:
        if classifier.was_trained_on(row.facts.id):
            by_label.setdefault(row.entry.label or "", {}).setdefault(row.facts.id, row)
    if not by_label:
        raise SourceError(
            f"‘{prepared.source.root}’ holds none of the images that this classifier was trained "
            "on, and int8 is calibrated on those. Give the SOURCE it was trained on."
        )
    rng = np.random.default_rng(seed)
    drawn = [
        [rows[i] for i in rng.permutation(len(rows))]
        for rows in (list(by_label[label].values()) for label in sorted(by_label))
    ]
    rounds = (row for turn in zip_longest(*drawn) for row in turn if row is not None)
    unique = {row.facts.id: row for row in rounds}  # an image may be there under two labels
    return list(unique.values())[:images]


def _test_rows(classifier: Classifier, prepared: Prepared, settings: Settings) -> list[ImageRow]:
    """What `evaluate` would measure the classifier on."""
    catalog = prepared.catalog
    keep, trained_on = unseen(classifier, catalog, settings)
    rows = [
        catalog.rows[index]
        for index in keep
        if catalog.rows[index].facts.reason is None
        and catalog.rows[index].entry.label in classifier.labels
    ]
    if not rows:
        why = (
            "Every labelled image of it is one that this classifier was trained on, or a copy."
            if trained_on
            else f"It has no image of a label that this classifier knows: "
            f"{', '.join(classifier.labels)}."
        )
        raise SourceError(
            f"What int8 costs cannot be measured on ‘{prepared.source.root}’. {why} Add labelled "
            "images that the classifier has not seen."
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Pixels:
    """The pixels of some images, batch by batch; opened anew each time, so memory stays flat."""

    rows: Sequence[ImageRow]
    resize: Resize
    limits: Limits
    progress: Progress | None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(self.rows), BATCH):
            if self.progress is not None:
                self.progress("calibrate", start, len(self.rows))
            yield np.stack([self._of(row) for row in self.rows[start : start + BATCH]])

    def _of(self, row: ImageRow) -> NDArray[np.uint8]:
        return open_image(read_file(row.entry.file, self.limits)).pixels(self.resize)


def _quantise(
    classifier: Classifier,
    rows: Sequence[ImageRow],
    settings: Settings,
    progress: Progress | None,
) -> Quantised:
    """Quantise, judged by how many of the calibration images keep the label they have."""
    pixels = _Pixels(rows, classifier.resize, limits_of(settings), progress)

    def labels(backbone: bytes) -> NDArray[np.intp]:
        network = _open(backbone, classifier, settings)
        features = np.concatenate([network.run(batch) for batch in replace(pixels, progress=None)])
        best: NDArray[np.intp] = classifier.probabilities(features).argmax(axis=1)
        return best

    try:
        known = labels(classifier.backbone)
        return quantise(
            classifier.backbone,
            pixels,
            lambda backbone: float((labels(backbone) == known).mean()),
        )
    except ValueError as error:
        raise ModelFileError(
            f"The backbone of this classifier cannot be quantised: {error}."
        ) from None
    except ImageRefused as refusal:
        raise SourceError(
            f"An image of this source changed while it was read ({refusal}). Start again."
        ) from None


def _open(backbone: bytes, classifier: Classifier, settings: Settings) -> Network:
    return open_network(
        backbone,
        resolution=classifier.metadata.resolution,
        precision=settings.precision,
        runtime=settings.runtime,
        workers=settings.workers or None,
    )


def _describe(
    classifier: Classifier, quantised: Quantised, images: int, before: Measured, after: Measured
) -> Quantisation:
    from foveate import __version__

    return Quantisation(
        n_calibration=images,
        layers=quantised.layers,
        left_out=quantised.left_out,
        n_test=before.accuracy.n,
        precision_before=before.precision,
        accuracy_before=before.accuracy.value,
        accuracy_before_ci95=(before.accuracy.low, before.accuracy.high),
        accuracy_after=after.accuracy.value,
        accuracy_after_ci95=(after.accuracy.low, after.accuracy.high),
        images_per_second_before=before.images_per_second,
        images_per_second_after=after.images_per_second,
        original=classifier.id,
        foveate=__version__,
    )


def export_openvino(
    classifier: Classifier, path: Path, images: Sequence[NDArray[np.uint8]] = ()
) -> float:
    """Write a whole classifier as OpenVINO's `.xml` and `.bin`, once it answers as the original.

    Both are compared on generated images and on those given: probabilities within 0.001, and the
    same label wherever one is more probable than the others. In float32 they are compared with
    ONNX Runtime's, in int8 with those of OpenVINO's own reading of the ONNX file.

    Args:
        classifier: the original.
        path: of the `.xml`.
        images: pixels (resolution, resolution, 3) of some real images.

    Returns:
        The largest difference of a probability.

    Raises:
        ModelFileError: OpenVINO cannot run it, or answers something else; nothing is written.
    """
    metadata = classifier.metadata
    try:
        from foveate.runtime.openvino_ir import save_ir

        return save_ir(
            classifier.onnx_bytes,
            path,
            resolution=metadata.resolution,
            info={
                "labels": json.dumps(metadata.labels, ensure_ascii=False),
                "metadata": metadata.model_dump_json(),
                "original": classifier.id,
            },
            pixels=np.stack([*generated_pixels(metadata.resolution), *images]),
        )
    except ImportError:
        raise ModelFileError("OpenVINO is not installed. `pip install openvino`.") from None
    except RuntimeError as error:
        raise ModelFileError(
            f"This classifier cannot be exported for OpenVINO: {_in_short(error)}. Run the ONNX "
            "file with ONNX Runtime instead."
        ) from None


def generated_pixels(resolution: int, n: int = GENERATED) -> NDArray[np.uint8]:
    """Pixels (n, resolution, resolution, 3) of coloured patches, coarse and fine."""
    rng = np.random.default_rng(0)
    images = np.empty((n, resolution, resolution, 3), np.uint8)
    for number, image in enumerate(images):
        cells = 2 << (number % 5)
        index = np.arange(resolution) * cells // resolution
        patches = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        image[:] = patches[index][:, index]
    return images


def _in_short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
