"""Results as others want them: JSON for programs, a report for people."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.evaluation import Estimate, LearningPoint, ReportDetails, advice, compare_paired
from foveate.evaluation.svg import percent
from foveate.settings import Settings
from foveate.workflow.pipeline import Scoring, Training
from foveate.workflow.preparation import Prepared

if TYPE_CHECKING:
    from foveate.spark.bulk import Bulk


def training_json(
    training: Training, *, model: Path | None, report: Path | None
) -> dict[str, object]:
    """What `foveate train --json` prints."""
    prepared = training.prepared
    return {
        "model": str(model) if model else None,
        "report": str(report) if report else None,
        "run": training.name,
        "backbone": training.settings.backbone,
        "resolution": training.settings.resolution,
        "classifier": training.settings.classifier,
        "c": training.head.c,
        "n_train": training.classifier.metadata.training.n_train,
        **training.evaluation.to_json(),
        "search": [
            {"c": point.c, "accuracy": point.accuracy, "deviation": point.deviation}
            for point in training.head.search
        ],
        **_data_json(prepared),
        "duplicates": {
            "exact": training.duplicates.exact,
            "near": training.duplicates.near,
            "left_out": len(training.split.left_out),
            "contradictory": len(training.duplicates.contradictory),
        },
        "blocks": _blocks_json(training),
        "refinement": _refinement_json(training),
        "runtime": training.classifier.network.runtime,
        "precision": training.classifier.network.precision,
        "seconds": _rounded(training.seconds),
    }


def evaluation_json(scoring: Scoring, *, report: Path | None) -> dict[str, object]:
    """What `foveate evaluate --json` prints."""
    assert scoring.evaluation is not None  # noqa: S101 - `evaluate` always makes one
    metadata = scoring.classifier.metadata
    return {
        "report": str(report) if report else None,
        "backbone": metadata.backbone.name,
        "resolution": metadata.resolution,
        "classifier": metadata.training.classifier,
        "c": metadata.training.c,
        **scoring.evaluation.to_json(),
        "trained_on": scoring.trained_on,
        **_data_json(scoring.prepared),
        "seconds": _rounded(scoring.seconds),
    }


def rate_json(prepared: Prepared, seconds: dict[str, float], out: Path) -> dict[str, object]:
    """What `foveate score --json` and `foveate featurize --json` print."""
    return {
        "images": len(prepared.catalog.usable),
        **_data_json(prepared),
        "seconds": _rounded(seconds),
        "out": str(out),
    }


def bulk_json(bulk: Bulk) -> dict[str, object]:
    """The same for a set that a cluster has done."""
    rate = bulk.images_per_second
    return {
        "images": bulk.images - bulk.refused,
        "files": bulk.images,
        "quarantined": bulk.refused,
        "images_computed": bulk.computed,
        "images_per_second": None if rate is None else round(rate, 1),
        **({"predicted": dict(bulk.predicted)} if bulk.predicted else {}),
        "precision": list(bulk.precisions),
        "worker_megabytes": round(bulk.peak / 2**20),
        "seconds": _rounded(dict(bulk.seconds)),
        "out": bulk.out,
    }


def training_report(training: Training, *, model: Path, source: str) -> ReportDetails:
    """What the report of a training tells beside the measures."""
    catalog, split = training.prepared.catalog, training.split
    summary, settings = training.classifier.metadata.training, training.settings
    return ReportDetails(
        title=f"{Path(source).name}: {settings.classifier} on {settings.backbone}",
        settings=training.settings.model_dump(mode="json"),
        model=model.name,
        backbone=training.classifier.metadata.backbone.model_dump(),
        reproduce=train_command(source, model, training.settings),
        quarantined=_quarantined(training.prepared),
        seconds=training.seconds,
        counts={
            "Files": len(catalog.rows),
            "To train on": summary.n_train,
            "To test on": summary.n_test,
            **_if_any("Too near to test images", near := split.blocks.near if split.blocks else 0),
            **_if_any("Copies of test images", len(split.left_out) - near),
            **_if_any("Without a label", len(catalog.usable) - len(catalog.labelled)),
        },
        notes=[*training_notes(training), *filter(None, [placed_sentence(training)])],
        learning=_learning(training),
        best_epoch=training.refinement.best if training.refinement else None,
        learning_advice=_learning_advice(training),
        comparison=_comparison(training) or "",
        search=[(p.c, p.accuracy, p.deviation) for p in training.head.search],
        chosen_c=training.head.c,
    )


def evaluation_report(scoring: Scoring, *, model: str, source: str) -> ReportDetails:
    """What the report of an evaluation tells beside the measures."""
    notes = []
    if scoring.trained_on:
        notes.append(
            f"{scoring.trained_on} images were left out: the classifier was trained on them or on "
            "near duplicates of them."
        )
    return ReportDetails(
        title=f"{Path(source).name or source}: {Path(model).name}",
        settings=scoring.classifier.metadata.training.model_dump(mode="json"),
        model=Path(model).name,
        backbone=scoring.classifier.metadata.backbone.model_dump(),
        reproduce=f"foveate evaluate {shlex.quote(model)} {shlex.quote(source)}",
        quarantined=_quarantined(scoring.prepared),
        seconds=scoring.seconds,
        counts={
            "Files": len(scoring.prepared.catalog.rows),
            "Tested on": scoring.evaluation.n if scoring.evaluation else 0,
            **_if_any("Trained on, left out", scoring.trained_on),
        },
        notes=notes,
    )


def training_notes(training: Training) -> list[str]:
    """What a reader should know before trusting the numbers, in plain sentences."""
    notes = []
    duplicates, split = training.duplicates, training.split
    catalog = training.prepared.catalog
    if duplicates.exact or duplicates.near:
        notes.append(
            f"{duplicates.exact} exact and {duplicates.near} near duplicates were kept on the same "
            "side of the split as their originals."
        )
    notes += _placed_notes(training)
    near = split.blocks.near if split.blocks else 0
    if copies := len(split.left_out) - near:
        notes.append(
            f"{copies} training images were left out because they are near duplicates of test "
            "images."
        )
    if duplicates.contradictory:
        labels = catalog.labels_of()
        image = duplicates.contradictory[0]
        paths = [row.path for row in catalog.labelled if row.facts.id == image]
        notes.append(
            f"The same image is found under two labels ({' and '.join(sorted(labels[image]))}): "
            f"{paths[0]} and {paths[1]}"
            + (f", and {n - 1} more like it" if (n := len(duplicates.contradictory)) > 1 else "")
            + ". Decide which label is right; `foveate check` names them all."
        )
    if unlabelled := len(catalog.usable) - len(catalog.labelled):
        notes.append(f"{unlabelled} images have no label and were not used.")
    if not training.head.search and training.head.c is not None:
        notes.append(
            "Too few images for cross-validation: C and the calibration of the probabilities were "
            "left at their defaults."
        )
    if training.refinement is not None:
        notes += training.refinement.notes
    return notes


def placed_sentence(training: Training) -> str:
    """What a split by blocks says beside one by images; empty where it was not by blocks."""
    found, blocks = training.places, training.split.blocks
    if found is None or blocks is None:
        return ""
    subject = "An SVM on the frozen features" if training.baseline else "The same classifier"
    return (
        f"{subject} is right on {_interval(found.by_block)} of the images of other blocks of land; "
        f"had the images been dealt one by one, the test would have said "
        f"{_interval(found.by_image)}. Believe the first figure, unless all that will ever be "
        "classified lies between the images trained on: the second one tests on their neighbours."
    )


def _placed_notes(training: Training) -> list[str]:
    blocks = training.split.blocks
    if blocks is None:
        return []
    kind = "named" if blocks.size is None else f"of {blocks.size:,.0f} m a side"
    return [
        f"Split by where the images lie: {blocks.count} blocks {kind}, {len(blocks.tested)} of "
        f"them to test on. {blocks.near} images nearer than {blocks.buffer:g} m to a test image "
        "were left out. The interval of the accuracy comes from resampling blocks; those of single "
        "labels take the images for independent and are the narrowest that they can be.",
    ]


def _blocks_json(training: Training) -> dict[str, object] | None:
    found, blocks = training.places, training.split.blocks
    if found is None or blocks is None:
        return None
    return {
        "blocks": blocks.count,
        "tested": len(blocks.tested),
        "block_size": blocks.size,
        "block_buffer": blocks.buffer,
        "left_out": blocks.near,
        "accuracy_by_block": found.by_block.value,
        "accuracy_by_block_ci95": [found.by_block.low, found.by_block.high],
        "n_by_block": found.by_block.n,
        "accuracy_by_image": found.by_image.value,
        "accuracy_by_image_ci95": [found.by_image.low, found.by_image.high],
        "n_by_image": found.by_image.n,
    }


def _interval(estimate: Estimate) -> str:
    return (
        f"{percent(estimate.value)} ({percent(estimate.low)} to {percent(estimate.high)}, "
        f"n = {estimate.n:,})"
    )


def train_command(source: str, model: Path, settings: Settings) -> str:
    """The command line that trains the same classifier again."""
    words = ["foveate", "train", source, "--out", str(model)]
    defaults = Settings()
    for name, value in settings:
        # Refining would choose a resolution by the machine that it is on.
        chosen = name == "resolution" and settings.refines
        if chosen or value != getattr(defaults, name):
            text = "[" + ", ".join(map(repr, value)) + "]" if isinstance(value, tuple) else value
            words += ["--set", f"{name}={text}"]
    return shlex.join(words)


def _refinement_json(training: Training) -> dict[str, object] | None:
    """How the backbone was refined; None where it was not."""
    found = training.refinement
    if found is None:
        return None
    return {
        "depth": training.settings.depth,
        "epochs": len(found.epochs),
        "best_epoch": found.best + 1,
        "stopped_early": found.stopped_early,
        "n_validation": found.n_validation,
        "minibatch": found.minibatch,
        "device": found.device,
        "learning": [asdict(epoch) for epoch in found.epochs],
        "baseline_accuracy": training.baseline_accuracy,
        "comparison": _comparison(training),
    }


def _learning(training: Training) -> list[LearningPoint]:
    epochs = training.refinement.epochs if training.refinement else ()
    return [LearningPoint(epoch.train_error, epoch.validation_error) for epoch in epochs]


def _learning_advice(training: Training) -> str:
    found = training.refinement
    if found is None:
        return ""
    said = advice(
        _learning(training), found.best, n_train=found.n_judged, n_validation=found.n_validation
    )
    return said or ""


def _comparison(training: Training) -> str | None:
    """In words, whether refining was better than the frozen features."""
    if training.baseline is None:
        return None
    found = compare_paired(training.predictions.right, training.baseline.right)
    return found.sentence("The refined network", "an SVM on frozen features")


def _data_json(prepared: Prepared) -> dict[str, object]:
    rate = prepared.rate.images_per_second
    return {
        "files": len(prepared.catalog.rows),
        "quarantined": len(prepared.catalog.quarantine),
        "unlabelled": len(prepared.catalog.usable) - len(prepared.catalog.labelled),
        "images_computed": prepared.rate.images,
        "images_per_second": round(rate, 1) if rate is not None else None,
    }


def _quarantined(prepared: Prepared) -> list[tuple[str, str, str]]:
    return [
        (row.path, str(row.facts.reason), row.facts.detail) for row in prepared.catalog.quarantine
    ]


def _if_any(name: str, count: int) -> dict[str, int]:
    return {name: count} if count else {}


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(value, 3) for stage, value in seconds.items()}
