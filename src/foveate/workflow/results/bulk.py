"""A large set that was scored or featurized, as others want it: JSON and a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from foveate.classifier import Classifier
from foveate.history import Outcome
from foveate.predictions import Predictions
from foveate.settings import Settings
from foveate.workflow.preparation import Prepared
from foveate.workflow.results.measures import (
    known_numbers,
    metric_names,
    rounded,
    seconds_by_stage,
    settings_of_model,
    write_json,
    write_table,
)

MOST_ROWS = 200_000
"""Of more predictions, only the place of the table is on record, not another copy of it."""


NAMED = 5
"""Refused images that are named; the result names all of them."""


@dataclass(frozen=True, slots=True)
class ClusterUse:
    """What the workers of a cluster did.

    Attributes:
        precisions: what they computed in.
        peak: bytes of memory that one of them held at most.
    """

    precisions: tuple[str, ...]
    peak: int


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What was done with a set of images, here or on a cluster.

    Attributes:
        out: the file or folder of the result.
        files: in the set.
        refused: those of them that could not be used.
        named: path and reason of the first few of these.
        predicted: images by predicted label, in the order of the labels; empty for features.
        confidence: mean probability of the predicted labels; None where there are none.
        computed: images done in this run; the others an earlier one had done.
        images_per_second: of these; None where there were none.
        seconds: by stage.
        cluster: what only its workers know; None where this machine did it.
        unlabelled: images without a label; None where that was not counted.
        predictions: one row per file; None where they never were on this machine.
    """

    out: str
    files: int
    refused: int
    named: tuple[tuple[str, str], ...]
    predicted: Mapping[str, int]
    confidence: float | None
    computed: int
    images_per_second: float | None
    seconds: Mapping[str, float]
    cluster: ClusterUse | None = None
    unlabelled: int | None = None
    predictions: Predictions | None = None

    @property
    def images(self) -> int:
        """How many could be used."""
        return self.files - self.refused

    def to_json(self) -> dict[str, object]:
        """What `foveate score --json` and `foveate featurize --json` print."""
        rate = self.images_per_second
        result: dict[str, object] = {
            "images": self.images,
            "files": self.files,
            "quarantined": self.refused,
            "images_computed": self.computed,
            "images_per_second": None if rate is None else round(rate, 1),
            "seconds": rounded(self.seconds),
            "out": self.out,
        }
        if self.cluster is None:
            return result | {"unlabelled": self.unlabelled}
        if self.predicted:
            result["predicted"] = dict(self.predicted)
        return result | {
            "precision": list(self.cluster.precisions),
            "worker_megabytes": round(self.cluster.peak / 2**20),
        }


def bulk_result(
    prepared: Prepared,
    seconds: Mapping[str, float],
    out: str | Path | None,
    *,
    predicted: Mapping[str, int] = MappingProxyType({}),
    confidence: float | None = None,
    predictions: Predictions | None = None,
) -> BulkResult:
    """What this machine did with the images of a source."""
    catalog = prepared.catalog
    return BulkResult(
        out=str(out) if out is not None else "",
        files=len(catalog.rows),
        refused=len(catalog.quarantine),
        named=tuple((row.path, str(row.facts.refusal)) for row in catalog.quarantine[:NAMED]),
        predicted=predicted,
        confidence=confidence,
        computed=prepared.rate.images,
        images_per_second=prepared.rate.images_per_second,
        seconds=seconds,
        unlabelled=len(catalog.usable) - len(catalog.labelled),
        predictions=predictions,
    )


def score_outcome(result: BulkResult, classifier: Classifier, settings: Settings) -> Outcome:
    """What is kept of a scoring: its numbers, and where the predictions are."""
    names = metric_names(classifier.labels)
    shown = result.to_json() | {"predicted": dict(result.predicted)}

    def write(folder: Path) -> None:
        write_json(folder / "result.json", shown)
        if result.predictions is not None and result.files <= MOST_ROWS:
            write_table(folder, result.predictions)

    return Outcome(
        metrics=known_numbers(
            {
                "images": result.files,
                "quarantined": result.refused,
                "mean_confidence": result.confidence,
                "images_per_second": result.images_per_second,
            }
        )
        | {f"predicted.{names[label]}": float(count) for label, count in result.predicted.items()}
        | seconds_by_stage(result.seconds),
        series={},
        settings=settings_of_model(classifier, settings),
        tags={"out": result.out if result.cluster else str(Path(result.out).absolute())},
        write_artifacts=write,
    )
