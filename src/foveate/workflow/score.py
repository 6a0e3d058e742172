"""The verb `score`: a classifier's predictions for a large set, here or on a cluster."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from threading import Event

from foveate.classifier import Classifier
from foveate.predictions import write_predictions
from foveate.progress import Progress, stoppable
from foveate.settings import Settings
from foveate.workflow.engine import choose_target
from foveate.workflow.places import find_project, settings_of
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.bulk import BulkResult, bulk_result, score_outcome
from foveate.workflow.scoring import Scored, named_classifier, score_source


def score(
    classifier: Classifier | str | Path,
    source: str | Path,
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
    **changes: object,
) -> BulkResult:
    """Predict every image of a source; the run goes on record.

    `settings`, `engine`, `target`, `progress`, `remark`, `stop` and `changes` are those of
    `train`; the model file decides most settings, the others say how images are read.

    Args:
        classifier: loaded, or the path or URL of its file.
        source: see `catalog.read_source`; labels are not needed.
        settings: see above.
        out: the table, `.parquet` or `.csv`; on a cluster also a folder of parts, and never None.
        limit: score at most so many files, taken evenly.
        sample: score about this share of the files, in (0, 1], chosen by the seed.
        engine: see above.
        target: see above.
        progress: see above.
        remark: see above.
        stop: see above.
        changes: see above.

    Returns:
        The counts; on this machine the predictions, too.

    Raises:
        FoveateError: one of its kinds; see `scoring.score_source` and `spark.jobs.bulk.score`.
        Stopped: `stop` was set.
        ValueError: a cluster was named, but no place for the result.
    """
    settings = settings_of(source, settings, changes)
    classifier, name = named_classifier(classifier, settings)
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
            from foveate.spark.jobs.bulk import score as score_there

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
