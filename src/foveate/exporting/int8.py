"""The verb: a classifier's backbone in int8, and what that costs and gains."""

from __future__ import annotations

from pathlib import Path

from foveate import __version__
from foveate.catalog import ImageRow
from foveate.classifier import Classifier
from foveate.errors import ModelFileError, SourceError
from foveate.evaluation import compare_paired
from foveate.exporting.calibration import calibration_rows, open_backbone, quantise_on
from foveate.exporting.measured import Int8Export, Measured
from foveate.model_file import Quantisation, replace_backbone
from foveate.progress import Progress, Stopwatch
from foveate.runtime.exactness import is_quantised
from foveate.runtime.quantisation import Quantised
from foveate.runtime.rate import measure_rates
from foveate.settings import CALIBRATION_IMAGES, Settings
from foveate.workflow.preparation import Extractor, Prepared, prepare_part
from foveate.workflow.scoring import predict_rows, score_source, unseen


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
    scored = score_source(classifier, source, settings, limit=limit, progress=progress)
    prepared, watch = scored.prepared, Stopwatch(scored.seconds)
    test = _test_rows(classifier, prepared, settings)
    with watch.stage("calibrate"):
        rows = calibration_rows(classifier, prepared, images, seed=settings.seed)
        quantised = quantise_on(classifier, rows, settings, progress)
    data = replace_backbone(classifier.onnx_bytes, quantised.onnx_bytes)
    other = Classifier(data, precision=settings.precision, runtime=settings.runtime)
    extractor = Extractor(other.backbone, other.metadata.backbone, other.resize)
    tested = prepared.source.of(row.entry for row in test)
    prepared_int8 = prepare_part(tested, settings, watch, progress, extractor)
    comparison = compare_paired(
        predict_rows(other, prepared_int8, test).right,
        predict_rows(classifier, prepared, test).right,
    )
    with watch.stage("measure"):
        networks = [
            open_backbone(one.backbone, classifier, settings) for one in (classifier, other)
        ]
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


def _describe(
    classifier: Classifier, quantised: Quantised, images: int, before: Measured, after: Measured
) -> Quantisation:
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
