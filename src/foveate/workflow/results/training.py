"""A training as others want it: JSON for programs, a report for people, a record for later."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path

from foveate.evaluation import Estimate, LearningPoint, ReportDetails, advice, compare_paired
from foveate.evaluation.svg import percent
from foveate.history import Outcome
from foveate.settings import Settings
from foveate.workflow.results.measures import (
    data_json,
    fingerprint,
    if_any,
    known_numbers,
    measured,
    quarantined,
    rounded,
    write_evaluation,
    write_json,
)
from foveate.workflow.training import Training

LONGEST_TAG = 4000


def training_json(
    training: Training, *, model: str | Path | None = None, report: str | Path | None = None
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
        **data_json(prepared),
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
        "seconds": rounded(training.seconds),
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
        quarantined=quarantined(training.prepared),
        seconds=training.seconds,
        counts={
            "Files": len(catalog.rows),
            "To train on": summary.n_train,
            "To test on": summary.n_test,
            **if_any("Too near to test images", near := split.blocks.near if split.blocks else 0),
            **if_any("Copies of test images", len(split.left_out) - near),
            **if_any("Without a label", len(catalog.usable) - len(catalog.labelled)),
        },
        notes=[*training_notes(training), *filter(None, [land_sentence(training)])],
        learning=_learning(training),
        best_epoch=training.refinement.best if training.refinement else None,
        learning_advice=_learning_advice(training),
        comparison=_comparison(training) or "",
        search=[(p.c, p.accuracy, p.deviation) for p in training.head.search],
        chosen_c=training.head.c,
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
    notes += _land_notes(training)
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


def land_sentence(training: Training) -> str:
    """What a split by blocks says beside one by images; empty where it was not by blocks."""
    by_land, blocks = training.by_land, training.split.blocks
    if by_land is None or blocks is None:
        return ""
    subject = "An SVM on the frozen features" if training.baseline else "The same classifier"
    return (
        f"{subject} is right on {_interval(by_land.by_block)} of the images of other blocks of "
        "land; had the images been dealt one by one, the test would have said "
        f"{_interval(by_land.by_image)}. Believe the first figure, unless all that will ever be "
        "classified lies between the images trained on: the second one tests on their neighbours."
    )


def _land_notes(training: Training) -> list[str]:
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
    by_land, blocks = training.by_land, training.split.blocks
    if by_land is None or blocks is None:
        return None
    return {
        "blocks": blocks.count,
        "tested": len(blocks.tested),
        "block_size": blocks.size,
        "block_buffer": blocks.buffer,
        "left_out": blocks.near,
        "accuracy_by_block": by_land.by_block.value,
        "accuracy_by_block_ci95": [by_land.by_block.low, by_land.by_block.high],
        "n_by_block": by_land.by_block.n,
        "accuracy_by_image": by_land.by_image.value,
        "accuracy_by_image_ci95": [by_land.by_image.low, by_land.by_image.high],
        "n_by_image": by_land.by_image.n,
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
    refinement = training.refinement
    if refinement is None:
        return None
    return {
        "depth": training.settings.depth,
        "epochs": len(refinement.epochs),
        "best_epoch": refinement.best + 1,
        "stopped_early": refinement.stopped_early,
        "n_validation": refinement.n_validation,
        "minibatch": refinement.minibatch,
        "device": refinement.device,
        "learning": [asdict(epoch) for epoch in refinement.epochs],
        "baseline_accuracy": training.baseline_accuracy,
        "comparison": _comparison(training),
    }


def _learning(training: Training) -> list[LearningPoint]:
    epochs = training.refinement.epochs if training.refinement else ()
    return [LearningPoint(epoch.train_error, epoch.validation_error) for epoch in epochs]


def _learning_advice(training: Training) -> str:
    refinement = training.refinement
    if refinement is None:
        return ""
    sentence = advice(
        _learning(training),
        refinement.best,
        n_train=refinement.n_judged,
        n_validation=refinement.n_validation,
    )
    return sentence or ""


def _comparison(training: Training) -> str | None:
    """In words, whether refining was better than the frozen features."""
    if training.baseline is None:
        return None
    paired = compare_paired(training.predictions.right, training.baseline.right)
    return paired.sentence("The refined network", "an SVM on frozen features")


def training_outcome(
    training: Training,
    details: ReportDetails,
    *,
    model: Path | None = None,
    report: Path | None = None,
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
        write_evaluation(folder, training.evaluation, training.predictions, details, report)
        write_json(folder / "result.json", result)
        write_json(folder / "data.json", data)
        training.classifier.save(folder / "model.onnx")

    rate = training.prepared.rate.images_per_second
    return Outcome(
        metrics=measured(training.evaluation, training.seconds)
        | known_numbers(
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
            **({"data.counts": counts} if len(counts) <= LONGEST_TAG else {}),
        },
        write_artifacts=write,
    )


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
    return {"fingerprint": fingerprint(rows), "counts": dict(sorted(counts.items()))}
