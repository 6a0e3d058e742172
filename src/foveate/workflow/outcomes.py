"""What is kept on record of a verb's result: its numbers, and its files."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.evaluation import Estimate, Evaluation, ReportDetails, figures, write_report
from foveate.evaluation.figure_page import figure_page
from foveate.files import absolute, digest, write_bytes
from foveate.history import Outcome
from foveate.predictions import Predictions, write_predictions
from foveate.settings import Settings
from foveate.workflow.pipeline import Scoring, Training
from foveate.workflow.results import (
    bulk_json,
    evaluation_json,
    rate_json,
    training_json,
    training_report,
)

if TYPE_CHECKING:
    from foveate.classifier import Classifier
    from foveate.spark.bulk import Bulk
    from foveate.tuning import Tuning

MOST_ROWS = 200_000
"""Of more predictions, only the place of the table is on record, not another copy of it."""

MOST_CELLS = 10_000
"""Of the confusion matrix: a page of more is larger than the model."""

_LONGEST_TAG = 4000
_LONGEST_NAME = 150
_NOT_IN_NAMES = re.compile(r"[^\w -]")


def training_outcome(
    training: Training, details: ReportDetails, *, model: Path | None, report: Path | None
) -> Outcome:
    """What is kept of a training.

    Args:
        training: finished.
        details: of its report.
        model: the classifier's file, where it was written.
        report: the report's file; where it was not written, another is made for the record.
    """
    refinement = training.refinement
    epochs = refinement.epochs if refinement is not None else ()
    series = {
        "epoch.loss": [epoch.loss for epoch in epochs],
        "epoch.train_error": [epoch.train_error for epoch in epochs],
        "epoch.validation_error": [
            epoch.validation_error for epoch in epochs if epoch.validation_error is not None
        ],
        "epoch.validation_loss": [
            epoch.validation_loss for epoch in epochs if epoch.validation_loss is not None
        ],
    }
    data = _data(training)
    counts = json.dumps(data["counts"], ensure_ascii=False)
    result = training_json(training, model=model, report=report)

    def write(folder: Path) -> None:
        _write_evaluation(folder, training.evaluation, training.predictions, details, report)
        _write_json(folder / "result.json", result)
        _write_json(folder / "data.json", data)
        training.classifier.save(folder / "model.onnx")

    rate = training.prepared.rate.images_per_second
    return Outcome(
        metrics=_metrics(training.evaluation, training.seconds)
        | _known(
            {
                "n_train": training.classifier.metadata.training.n_train,
                "quarantined": len(training.prepared.catalog.quarantine),
                "c": training.head.c,
                "held_out_accuracy": training.head.held_out_accuracy,
                "baseline_accuracy": training.baseline_accuracy,
                "images_per_second": rate,
            }
        ),
        series={name: values for name, values in series.items() if values},
        settings=training.settings.as_text(),
        tags={
            "data": str(data["fingerprint"]),
            "model": str(model.absolute()) if model else "",
            "reproduce": details.reproduce,
            **({"data.counts": counts} if len(counts) <= _LONGEST_TAG else {}),
        },
        write_artifacts=write,
    )


def tuning_outcome(tuning: Tuning, *, report: Path | None) -> Outcome:
    """What is kept of a search: the training of the chosen setting, and the search's own page."""
    training = tuning.training
    details = training_report(training, model=Path("model.onnx"), source=tuning.source)
    found = training_outcome(training, details, model=None, report=None)
    result = tuning.to_json()

    def write(folder: Path) -> None:
        found.write_artifacts(folder)
        _write_json(folder / "tune.json", result)
        if report is not None and report.is_file():
            shutil.copyfile(report, folder / "tune.html")
        else:
            tuning.report(folder / "tune.html")

    counted = {"candidates": len(tuning.candidates), "tried": len(tuning.tried)}
    return replace(
        found,
        metrics={**found.metrics, **counted, **_seconds(tuning.seconds)},
        tags={**found.tags, "reproduce": tuning.command()},
        write_artifacts=write,
    )


def evaluation_outcome(
    scoring: Scoring, details: ReportDetails, settings: Settings, *, report: Path | None
) -> Outcome:
    """What is kept of an evaluation.

    Raises:
        ValueError: nothing was evaluated.
    """
    evaluation = scoring.evaluation
    if evaluation is None:
        raise ValueError("nothing was evaluated")
    result = evaluation_json(scoring, report=report)

    def write(folder: Path) -> None:
        _write_evaluation(folder, evaluation, scoring.predictions, details, report)
        _write_json(folder / "result.json", result)

    predictions = scoring.predictions
    rows = zip(predictions.ids or predictions.paths, predictions.known, strict=True)
    return Outcome(
        metrics=_metrics(evaluation, scoring.seconds) | {"trained_on": scoring.trained_on},
        series={},
        settings=_settings_of_model(scoring.classifier, settings),
        tags={
            "data": _fingerprint((image, label, "test") for image, label in rows),
            "reproduce": details.reproduce,
        },
        write_artifacts=write,
    )


def score_outcome(scoring: Scoring, settings: Settings, *, out: Path) -> Outcome:
    """What is kept of a scoring."""
    predictions = scoring.predictions
    predicted = Counter(predictions.predicted)
    counts = {label: predicted[label] for label in predictions.labels}
    n = len(predictions.paths)
    names = metric_names(predictions.labels)
    result = rate_json(scoring.prepared, scoring.seconds, out) | {"predicted": counts}

    def write(folder: Path) -> None:
        _write_json(folder / "result.json", result)
        if n <= MOST_ROWS:
            _write_predictions(folder, predictions)

    read = predictions.read
    confidence = float(predictions.probability[read].mean()) if read.any() else math.nan
    return Outcome(
        metrics=_known(
            {
                "images": n,
                "quarantined": int((~read).sum()),
                "mean_confidence": confidence,
                "images_per_second": scoring.prepared.rate.images_per_second,
            }
        )
        | {f"predicted.{names[label]}": float(count) for label, count in counts.items()}
        | _seconds(scoring.seconds),
        series={},
        settings=_settings_of_model(scoring.classifier, settings),
        tags={"out": str(out.absolute())},
        write_artifacts=write,
    )


def bulk_score_outcome(bulk: Bulk, classifier: Classifier, settings: Settings) -> Outcome:
    """What is kept of a scoring on a cluster: its numbers, and where the predictions are."""
    names = metric_names(classifier.labels)
    result = bulk_json(bulk)

    def write(folder: Path) -> None:
        _write_json(folder / "result.json", result)

    return Outcome(
        metrics=_known(
            {
                "images": bulk.images,
                "quarantined": bulk.refused,
                "mean_confidence": bulk.confidence,
                "images_per_second": bulk.images_per_second,
            }
        )
        | {f"predicted.{names[label]}": float(count) for label, count in bulk.predicted.items()}
        | _seconds(bulk.seconds),
        series={},
        settings=_settings_of_model(classifier, settings),
        tags={"out": bulk.out},
        write_artifacts=write,
    )


def _metrics(evaluation: Evaluation, seconds: Mapping[str, float]) -> dict[str, float]:
    """Every measure with its interval, and seconds by stage."""
    found: dict[str, float] = {"n_test": float(evaluation.n)}
    found |= _estimate("accuracy", evaluation.accuracy)
    found |= _estimate("class_average_accuracy", evaluation.class_average_accuracy)
    found |= _estimate("class_average_auc", evaluation.class_average_auc)
    found |= _known(
        {
            "calibration_error": evaluation.calibration.error,
            "log_loss": evaluation.calibration.log_loss,
            "brier": evaluation.calibration.brier,
            "chance": evaluation.chance,
        }
    )
    names = metric_names(evaluation.labels)
    for label, one in evaluation.per_class.items():
        name = names[label]
        found |= _estimate(f"class.{name}.accuracy", one.accuracy)
        found |= _estimate(f"class.{name}.precision", one.precision)
        found |= _estimate(f"class.{name}.auc", one.auc)
        found[f"class.{name}.n"] = float(one.n)
    return found | _seconds(seconds)


def metric_names(labels: Sequence[str]) -> dict[str, str]:
    """What each label is called in the name of a metric, where few characters are allowed.

    The exact labels are in the files of the run.
    """
    found: dict[str, str] = {}
    for label in labels:
        plain = _NOT_IN_NAMES.sub("_", label)[:_LONGEST_NAME].strip() or "_"
        name, number = plain, 2
        while name in found.values():
            name, number = f"{plain} {number}", number + 1
        found[label] = name
    return found


def _estimate(name: str, estimate: Estimate) -> dict[str, float]:
    parts = {"": estimate.value, ".low": estimate.low, ".high": estimate.high}
    return _known({f"{name}{part}": value for part, value in parts.items()})


def _seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    return {f"seconds.{stage}": value for stage, value in seconds.items()}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }


def _settings_of_model(classifier: Classifier, settings: Settings) -> dict[str, str]:
    """The settings of a run whose model decides most of them."""
    metadata = classifier.metadata
    decided = {
        "backbone": metadata.backbone.name,
        "resolution": str(metadata.resolution),
        "classifier": metadata.training.classifier,
    }
    used = ("precision", "runtime", "workers", "max_megabytes", "max_megapixels")
    found = decided | {name: str(getattr(settings, name)) for name in used}
    return found | {"model_id": classifier.id}


def _data(training: Training) -> dict[str, object]:
    """Which images, with which labels, on which side: counted, and as one digest."""
    sides = training.split.sides()
    rows = [
        (row.facts.id, str(row.entry.label), side)
        for row in training.prepared.catalog.labelled
        if (side := sides.get(row.facts.id)) is not None
    ]
    counts: dict[str, dict[str, int]] = {}
    for _, label, side in rows:
        by_side = counts.setdefault(label, {"train": 0, "test": 0})
        by_side[side] = by_side.get(side, 0) + 1
    return {"fingerprint": _fingerprint(rows), "counts": dict(sorted(counts.items()))}


def _fingerprint(rows: Iterable[tuple[str, str | None, str]]) -> str:
    """One digest of ids, labels and sides, whatever their order."""
    lines = sorted(json.dumps(row) for row in rows)
    return digest("\n".join(lines).encode())


def _write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    predictions: Predictions,
    details: ReportDetails,
    report: Path | None,
) -> None:
    if report is not None and report.is_file():
        shutil.copyfile(report, folder / "report.html")
    else:
        write_report(folder / "report.html", evaluation, predictions, details)
    for name, title, draw in (
        ("roc", "ROC curves", figures.roc_figure),
        ("confusion", "Confusion matrix", figures.confusion_figure),
    ):
        if name == "confusion" and len(evaluation.labels) ** 2 > MOST_CELLS:
            continue
        page = figure_page(f"{title}: {details.title}", draw(evaluation))
        write_bytes(folder / f"{name}.html", page.encode())
    _write_predictions(folder, predictions)


def _write_predictions(folder: Path, predictions: Predictions) -> None:
    """The table, with paths that mean the same from any folder."""
    paths = tuple(absolute(path) for path in predictions.paths)
    found = replace(predictions, paths=paths)
    write_predictions(found, folder / "predictions.parquet", with_ids=True)


def _write_json(path: Path, value: object) -> None:
    write_bytes(path, json.dumps(value, ensure_ascii=False, indent=1).encode())
