"""Runs in MLflow: send a record, read what is there. The only module that imports MLflow."""

from __future__ import annotations

import logging
import math
import os
import posixpath
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.history.place import HistoryPlace
from foveate.history.record import ID, KIND, REASON, SOURCE, Record

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED"}
_MOST_METRICS, _MOST_PARAMS, _MOST_TAGS = 1000, 100, 100  # that a server takes at once
_LONGEST = 5000  # of a parameter or tag, in characters
_NAME = re.compile(r"[\w. -]{1,250}")
_PAGE = 1000

_HAS_TABLES = "SELECT name FROM sqlite_master WHERE name = 'experiments'"
_MOVE_RUNS = (
    "UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts' WHERE experiment_id IN "
    "(SELECT experiment_id FROM experiments "
    "WHERE artifact_location LIKE 'file:%/runs' AND artifact_location != ?)"
)
_MOVE_EXPERIMENTS = (
    "UPDATE experiments SET artifact_location = ? "
    "WHERE artifact_location LIKE 'file:%/runs' AND artifact_location != ?"
)


@contextmanager
def connected(place: HistoryPlace, *, patient: bool) -> Iterator[MlflowClient]:
    """A client of the place where runs are kept.

    Args:
        place: where.
        patient: give a server more time to answer. One that does not gets the run later.
    """
    with _our_ways(place, patient=patient):
        from mlflow.tracking import MlflowClient

        if place.database is None:
            yield MlflowClient(place.uri, place.uri)
            return
        from filelock import FileLock

        place.outbox.mkdir(parents=True, exist_ok=True)
        # Tables must not be made twice at once, and SQLite has one writer.
        with FileLock(place.outbox / "database.lock", mode=0o666):
            if place.is_own:
                _move_along(place)
            yield MlflowClient(place.uri, place.uri)


@contextmanager
def _our_ways(place: HistoryPlace, *, patient: bool) -> Iterator[None]:
    """Within, MLflow is quiet, tells nobody, and does not try again for minutes."""
    wanted = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20" if patient else "5",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1" if patient else "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    }
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - never raises
        # MLflow cannot even be imported by a user without a home folder, or without a name.
        wanted |= {"HOME": str(place.folder), "USER": f"uid-{os.getuid()}"}
    changed = [name for name in wanted if name not in os.environ]
    loggers = {name: logging.getLogger(name) for name in ("mlflow", "alembic")}
    levels = {name: logger.level for name, logger in loggers.items()}
    try:
        os.environ.update({name: wanted[name] for name in changed})
        for logger in loggers.values():
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        for name, logger in loggers.items():
            logger.setLevel(levels[name])


def _move_along(place: HistoryPlace) -> None:
    """Let our own database know where its files are: a project may have been moved or copied."""
    database = place.database
    if database is None or not database.is_file():
        return
    here = place.artifacts.as_uri()
    with closing(sqlite3.connect(database)) as connection, connection:
        if connection.execute(_HAS_TABLES).fetchone() is not None:
            connection.execute(_MOVE_RUNS, (here, here))
            connection.execute(_MOVE_EXPERIMENTS, (here, here))


def begin(client: MlflowClient, place: HistoryPlace, record: Record) -> str:
    """MLflow's id of the run with this record; made where it is not there yet."""
    return _begin(client, place, _experiment(client, place), record)


def _begin(client: MlflowClient, place: HistoryPlace, experiment: str, record: Record) -> str:
    from filelock import FileLock

    # One process may announce a run that another, which finds it finished, is about to send.
    with FileLock(place.outbox / "begin.lock", mode=0o666):
        ids = _ids(client, experiment, record)
        if ids:
            return ids[0]
        made = client.create_run(
            experiment,
            start_time=_milliseconds(record.started),
            run_name=record.name,
            tags={ID: record.id, KIND: record.kind, SOURCE: _short(record.source)},
        )
        return str(made.info.run_id)


def send(client: MlflowClient, place: HistoryPlace, record: Record, artifacts: Path) -> None:
    """Write everything about a run; what is there already stays the same."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = _experiment(client, place)
    run_id = _begin(client, place, experiment, record)
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
        if place.is_own:
            # Not by MLflow's word: an experiment of the same name may keep its files elsewhere.
            there = place.artifacts / run_id / "artifacts"
            shutil.copytree(artifacts, there, dirs_exist_ok=True)
        else:
            client.log_artifacts(run_id, str(artifacts))
    # Last: a run that says it is finished has everything.
    client.set_terminated(run_id, _STATUS[record.status], _milliseconds(ended))
    # A server that was too slow to say that it had made the run has been asked for another one.
    for double in _ids(client, experiment, record):
        if double != run_id:
            client.delete_run(double)


def answers(place: HistoryPlace) -> bool:
    """Whether the place can be talked to at all."""
    try:
        with connected(place, patient=False) as client:
            client.search_experiments(max_results=1)
    except Exception:
        return False
    return True


def all_runs(client: MlflowClient, place: HistoryPlace) -> list[Run]:
    """Every run of the experiment, newest first."""
    experiment = client.get_experiment_by_name(place.experiment)
    if experiment is None:
        return []
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            max_results=_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _experiment(client: MlflowClient, place: HistoryPlace) -> str:
    experiment = client.get_experiment_by_name(place.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    where = place.artifacts.as_uri() if place.is_own else None
    try:
        return str(client.create_experiment(place.experiment, artifact_location=where))
    except Exception:
        # Another command on the same server was faster.
        experiment = client.get_experiment_by_name(place.experiment)
        if experiment is None:
            raise
        return str(experiment.experiment_id)


def _ids(client: MlflowClient, experiment: str, record: Record) -> list[str]:
    """MLflow's ids of the runs with this record, which should be one."""
    runs = client.search_runs([experiment], f"tags.`{ID}` = '{record.id}'")
    return [str(run.info.run_id) for run in runs]


def _numbers(record: Record) -> Iterator[tuple[str, Sequence[float]]]:
    """Metrics and series, those whose names MLflow takes."""
    yield from ((name, (value,)) for name, value in record.metrics.items() if _is_name(name))
    yield from ((name, values) for name, values in record.series.items() if _is_name(name))


def _is_name(name: str) -> bool:
    """Whether MLflow takes a metric of that name (`outcomes` gives labels such names)."""
    return bool(_NAME.fullmatch(name)) and posixpath.normpath(name) == name


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _parts(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(values)
    while part := list(islice(source, size)):
        yield part
