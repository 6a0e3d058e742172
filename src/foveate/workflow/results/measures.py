"""What the results of several verbs have in common: numbers by name, files, refused images."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.evaluation import Estimate, Evaluation, ReportDetails, figures, write_report
from foveate.evaluation.pages import figure_page
from foveate.files import absolute, digest, write_bytes
from foveate.predictions import Predictions, write_predictions
from foveate.settings import Settings
from foveate.workflow.preparation import Prepared

if TYPE_CHECKING:
    from foveate.classifier import Classifier

MOST_CELLS = 10_000
"""Of the confusion matrix: a page of more is larger than the model."""

_LONGEST_NAME = 150
_NOT_IN_NAMES = re.compile(r"[^\w -]")


def measured(evaluation: Evaluation, seconds: Mapping[str, float]) -> dict[str, float]:
    """Every measure with its interval, and seconds by stage."""
    numbers: dict[str, float] = {"n_test": float(evaluation.n)}
    numbers |= _with_interval("accuracy", evaluation.accuracy)
    numbers |= _with_interval("class_average_accuracy", evaluation.class_average_accuracy)
    numbers |= _with_interval("class_average_auc", evaluation.class_average_auc)
    numbers |= known_numbers(
        {
            "calibration_error": evaluation.calibration.error,
            "log_loss": evaluation.calibration.log_loss,
            "brier": evaluation.calibration.brier,
            "chance": evaluation.chance,
        }
    )
    names = metric_names(evaluation.labels)
    for label, of_label in evaluation.per_class.items():
        name = names[label]
        numbers |= _with_interval(f"class.{name}.accuracy", of_label.accuracy)
        numbers |= _with_interval(f"class.{name}.precision", of_label.precision)
        numbers |= _with_interval(f"class.{name}.auc", of_label.auc)
        numbers[f"class.{name}.n"] = float(of_label.n)
    return numbers | seconds_by_stage(seconds)


def metric_names(labels: Sequence[str]) -> dict[str, str]:
    """What each label is called in the name of a metric, where few characters are allowed.

    The exact labels are in the files of the run.
    """
    names: dict[str, str] = {}
    for label in labels:
        plain = _NOT_IN_NAMES.sub("_", label)[:_LONGEST_NAME].strip() or "_"
        name, number = plain, 2
        while name in names.values():
            name, number = f"{plain} {number}", number + 1
        names[label] = name
    return names


def _with_interval(name: str, estimate: Estimate) -> dict[str, float]:
    parts = {"": estimate.value, ".low": estimate.low, ".high": estimate.high}
    return known_numbers({f"{name}{part}": value for part, value in parts.items()})


def seconds_by_stage(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds as metrics."""
    return {f"seconds.{stage}": value for stage, value in seconds.items()}


def known_numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are finite numbers."""
    return {
        name: float(value)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }


def settings_of_model(classifier: Classifier, settings: Settings) -> dict[str, str]:
    """The settings of a run whose model decides most of them."""
    metadata = classifier.metadata
    decided = {
        "backbone": metadata.backbone.name,
        "resolution": str(metadata.resolution),
        "classifier": metadata.training.classifier,
    }
    used = ("precision", "runtime", "workers", "max_megabytes", "max_megapixels")
    own = {name: str(getattr(settings, name)) for name in used}
    return decided | own | {"model_id": classifier.id}


def fingerprint(rows: Iterable[tuple[str, str | None, str]]) -> str:
    """One digest of ids, labels and sides, whatever their order."""
    lines = sorted(json.dumps(row) for row in rows)
    return digest("\n".join(lines).encode())


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    predictions: Predictions,
    details: ReportDetails,
    report: Path | None,
) -> None:
    """Write report, figures and predictions into a folder; a report that is there is copied."""
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
    write_table(folder, predictions)


def write_table(folder: Path, predictions: Predictions) -> None:
    """The table, with paths that mean the same from any folder."""
    paths = tuple(absolute(path) for path in predictions.paths)
    anywhere = replace(predictions, paths=paths)
    write_predictions(anywhere, folder / "predictions.parquet", with_ids=True)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, for people to read, too."""
    write_bytes(path, json.dumps(value, ensure_ascii=False, indent=1).encode())


def data_json(prepared: Prepared) -> dict[str, object]:
    """How many files there were, and how many had to be opened."""
    rate = prepared.rate.images_per_second
    return {
        "files": len(prepared.catalog.rows),
        "quarantined": len(prepared.catalog.quarantine),
        "unlabelled": len(prepared.catalog.usable) - len(prepared.catalog.labelled),
        "images_computed": prepared.rate.images,
        "images_per_second": round(rate, 1) if rate is not None else None,
    }


def quarantined(prepared: Prepared) -> list[tuple[str, str, str]]:
    """Path, reason and detail of every file that was refused."""
    return [
        (row.path, str(row.facts.reason), row.facts.detail) for row in prepared.catalog.quarantine
    ]


def if_any(name: str, count: int) -> dict[str, int]:
    """A count that is only worth a row where it is not 0."""
    return {name: count} if count else {}


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds to the millisecond."""
    return {stage: round(value, 3) for stage, value in seconds.items()}
