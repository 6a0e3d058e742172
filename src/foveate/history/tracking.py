"""Runs in MLflow: send a record, read what is there. The only module that imports MLflow."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.history.place import Place
from foveate.history.record import Record

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

ID, KIND, SOURCE, REASON = "foveate.id", "foveate.kind", "foveate.source", "foveate.reason"
_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED"}
_MOST_METRICS, _MOST_PARAMS, _MOST_TAGS = 1000, 100, 100  # that a server takes at once
_LONGEST = 5000  # of a parameter or tag, in characters
_NOT_IN_NAMES = re.compile(r"[^\w.:/ -]")
_PAGE = 1000


@contextmanager
def connected(place: Place, *, patient: bool) -> Iterator[MlflowClient]:
    """A client of the place where runs are kept.

    Args:
        place: where.
        patient: try again for a while where a server does not answer.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20" if patient else "5")
    # A server that does not answer now gets the run later.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1" if patient else "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    if place.database is None:
        yield MlflowClient(place.uri, place.uri)
        return
    from filelock import FileLock

    place.outbox.mkdir(parents=True, exist_ok=True)
    # Making and migrating the tables must not happen twice at once, and SQLite has one writer.
    with FileLock(place.outbox / "database.lock"):
        yield MlflowClient(place.uri, place.uri)


def begin(client: MlflowClient, place: Place, record: Record) -> str:
    """MLflow's id of the run with this record; made where it is not there yet."""
    experiment = _experiment(client, place)
    found = client.search_runs([experiment], f"tags.`{ID}` = '{record.id}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(
        experiment,
        start_time=_milliseconds(record.started),
        run_name=record.name,
        tags={ID: record.id, KIND: record.kind, SOURCE: _short(record.source)},
    )
    return str(made.info.run_id)


def send(client: MlflowClient, place: Place, record: Record, artifacts: Path) -> None:
    """Write everything about a run; what is there already stays the same."""
    from mlflow.entities import Metric, Param, RunTag

    run_id = begin(client, place, record)
    ended = record.ended or record.started
    at = _milliseconds(ended)
    metrics = [
        Metric(name, value, at, step)
        for name, values in _numbers(record)
        for step, value in enumerate(values)
        if math.isfinite(value)
    ]
    tags = dict(record.tags)
    if record.reason:
        tags[REASON] = record.reason
    for part in _parts(metrics, _MOST_METRICS):
        client.log_batch(run_id, metrics=part)
    for part in _parts([Param(k, _short(v)) for k, v in record.settings.items()], _MOST_PARAMS):
        client.log_batch(run_id, params=part)
    for part in _parts([RunTag(k, _short(v)) for k, v in tags.items()], _MOST_TAGS):
        client.log_batch(run_id, tags=part)
    if artifacts.is_dir() and any(artifacts.iterdir()):
        client.log_artifacts(run_id, str(artifacts))
    # Last: a run that says it is finished has everything.
    client.set_terminated(run_id, _STATUS[record.status], _milliseconds(ended))


def all_runs(client: MlflowClient, place: Place) -> list[Run]:
    """Every run of the experiment, newest first."""
    experiment = client.get_experiment_by_name(place.experiment)
    if experiment is None:
        return []
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            max_results=_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            return found


def _experiment(client: MlflowClient, place: Place) -> str:
    found = client.get_experiment_by_name(place.experiment)
    if found is not None:
        return str(found.experiment_id)
    where = None if place.artifacts is None else place.artifacts.as_uri()
    try:
        return str(client.create_experiment(place.experiment, artifact_location=where))
    except Exception:
        # Another command on the same server was faster.
        found = client.get_experiment_by_name(place.experiment)
        if found is None:
            raise
        return str(found.experiment_id)


def _numbers(record: Record) -> Iterator[tuple[str, Sequence[float]]]:
    """Metrics and series, by names that MLflow takes and that stay different."""
    single: Mapping[str, Sequence[float]] = {k: (v,) for k, v in record.metrics.items()}
    taken: set[str] = set()
    for name, values in [*single.items(), *record.series.items()]:
        plain = _NOT_IN_NAMES.sub("_", name)[:240]
        unique = plain
        number = 2
        while unique in taken:
            unique, number = f"{plain} {number}", number + 1
        taken.add(unique)
        yield unique, values


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _parts(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(values)
    while part := list(islice(source, size)):
        yield part
