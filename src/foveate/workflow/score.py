"""The verb `score`: a classifier's predictions for a large set, here or on a cluster."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from threading import Event

from foveate.classifier import Classifier
from foveate.predictions import write_predictions
from foveate.settings import Settings
from foveate.workflow.engine import choose_target
from foveate.workflow.places import find_project
from foveate.workflow.preparation import Progress, stoppable
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.bulk import BulkResult, bulk_result, score_outcome
from foveate.workflow.scoring import Scored, score_source


def score(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    name: str | Path = "model.onnx",
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
) -> BulkResult:
    """Predict every image of a source into a table, and put the run on record.

    Args:
        classifier: of any kind.
        source: see `catalog.read_source`; labels are not needed.
        settings: those that concern reading and running; the model file decides the rest.
        out: the table, `.parquet` or `.csv`; on a cluster also a folder of parts, and never None.
        name: what the classifier is called on record: its file.
        limit: score at most so many files, taken evenly.
        sample: score about this share of the files, in (0, 1], chosen by the seed.
        engine: "local" or "spark".
        target: name of the cluster, as the project's settings file describes it.
        progress: told how far each stage is.
        remark: told what a person should know of the record.
        stop: ends the scoring once it is set; the same call goes on from there.

    Raises:
        FoveateError: one of its kinds; see `scoring.score_source` and `spark.bulk.score`.
        Stopped: `stop` was set.
        ValueError: a cluster was named, but no place for the result.
    """
    settings = settings or Settings()
    cluster = choose_target(engine, target, find_project(source))
    known = {
        "model": name,
        "limit": str(limit),
        "engine": engine,
        "target": target,
        "sample_frac": sample if sample < 1 else None,
    }
    progress = stoppable(progress, stop)
    with on_record("score", source, settings, known, remark=remark) as run:
        if cluster is None:
            scored = score_source(
                classifier, source, settings, limit=limit, sample=sample, progress=progress
            )
            if out is not None:
                write_predictions(scored.predictions, out)
            result = _result(scored, out)
        else:
            from foveate.spark.bulk import score as score_there

            if out is None:
                raise ValueError("predictions of a cluster go to a file or a folder: name `out`")
            result = score_there(
                classifier,
                source,
                settings,
                target=cluster,
                out=out,
                limit=limit,
                sample=sample,
                progress=progress,
            )
        run.finish(score_outcome(result, classifier, settings))
    return result


def _result(scored: Scored, out: str | Path | None) -> BulkResult:
    predictions = scored.predictions
    counts = Counter(predictions.predicted)
    read = predictions.read
    confidence = float(predictions.probability[read].mean()) if read.any() else math.nan
    return bulk_result(
        scored.prepared,
        scored.seconds,
        out,
        predicted={label: counts[label] for label in predictions.labels},
        confidence=confidence,
        predictions=predictions,
    )
