"""What is on record: list runs, find one, get its files."""

from __future__ import annotations

import platform
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from foveate.errors import HistoryError
from foveate.history.outbox import KILLED, Entry, waiting
from foveate.history.place import HistoryPlace
from foveate.history.record import ID, KIND, REASON, SOURCE, Record
from foveate.history.secrets import without_secrets

if TYPE_CHECKING:
    from mlflow.entities import Run

_LAST = re.compile(r"last(?:~(\d+))?")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run on record.

    Attributes:
        id: foveate's, 32 hexadecimal digits.
        mlflow_id: MLflow's; None while it waits to be sent.
        name: for people.
        kind: train, evaluate, score or tune.
        status: running, finished or failed.
        reason: why it failed.
        source: what it worked on.
        started: seconds since 1970.
        ended: seconds since 1970; None while it runs.
        settings: as text, by name.
        metrics: the last value of each.
        tags: all others.
        artifacts: the folder of its files; None where a server keeps them.
    """

    id: str
    mlflow_id: str | None
    name: str
    kind: str
    status: str
    reason: str | None
    source: str
    started: float
    ended: float | None
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: Path | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.ended is None else self.ended - self.started

    def to_json(self) -> dict[str, object]:
        """Everything, for `--json`."""
        return {
            "name": self.name,
            "id": self.id,
            "kind": self.kind,
            "status": self.status,
            "reason": self.reason,
            "source": self.source,
            "started": self.started,
            "seconds": self.seconds,
            "settings": dict(self.settings),
            "metrics": dict(self.metrics),
            "tags": dict(self.tags),
            "artifacts": str(self.artifacts) if self.artifacts else None,
        }


def list_runs(place: HistoryPlace) -> list[RecordedRun]:
    """Every run of a place, newest first, with those that wait to be sent.

    Raises:
        HistoryError: the place cannot be read (`unsent_runs` are there all the same).
    """
    late = unsent_runs(place)
    fresh = {run.id for run in late}
    arrived = _from_database(place) if place.database is not None else _from_server(place)
    runs = late + [run for run in arrived if run.id not in fresh]
    return sorted(runs, key=lambda run: run.started, reverse=True)


def unsent_runs(place: HistoryPlace) -> list[RecordedRun]:
    """Runs that wait to be sent, or are at work, newest first."""
    runs = [run for entry in waiting(place.outbox) if (run := _waiting_run(entry)) is not None]
    return sorted(runs, key=lambda run: run.started, reverse=True)


def find_run(runs: Sequence[RecordedRun], wanted: str) -> RecordedRun:
    """The run that is meant by its name, the beginning or the end of it, `last`, or `last~1`.

    Args:
        runs: newest first.
        wanted: what a person wrote; `last~1` is the one before the last.

    Raises:
        HistoryError: there is none, or more than one.
    """
    if match := _LAST.fullmatch(wanted):
        position = int(match[1] or 0)
        if position >= len(runs):
            raise HistoryError(f"There are only {len(runs)} runs on record, so no ‘{wanted}’.")
        return runs[position]
    for fits in (_is_called, _begins_or_ends):
        matches = [run for run in runs if fits(run, wanted)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            names = ", ".join(run.name for run in matches[:4])
            raise HistoryError(f"‘{wanted}’ may be any of {len(matches)} runs: {names}, …")
    raise HistoryError(f"No run is called ‘{wanted}’. `foveate runs list` shows those on record.")


def artifact(place: HistoryPlace, run: RecordedRun, name: str) -> Path:
    """A file of a run, on this machine.

    Raises:
        HistoryError: the run has no such file, or the server does not answer.
    """
    if run.artifacts is not None and not run.artifacts.is_dir():  # it arrived since it was listed
        run = next((one for one in list_runs(place) if one.id == run.id), run)
    if run.artifacts is not None:
        path = run.artifacts / name
        if not path.is_file():
            raise HistoryError(f"The run {run.name} has no file ‘{name}’ on record.")
        return path
    from foveate.history import tracking

    try:
        with tracking.connected(place, patient=False) as client:
            folder = tempfile.mkdtemp(prefix="foveate-run-")
            return Path(client.download_artifacts(str(run.mlflow_id), name, folder))
    except Exception as error:
        raise HistoryError(
            f"The file ‘{name}’ of the run {run.name} cannot be had from {place.shown}: "
            f"{without_secrets(str(error))}"
        ) from None


def _is_called(run: RecordedRun, wanted: str) -> bool:
    return wanted in (run.name, run.id, run.mlflow_id)


def _begins_or_ends(run: RecordedRun, wanted: str) -> bool:
    return run.name.startswith(wanted) or run.name.endswith(wanted) or run.id.startswith(wanted)


def _waiting_run(entry: Entry) -> RecordedRun | None:
    record = entry.read()
    if record is None:
        return None
    status, reason = record.status, record.reason
    here = record.tags.get("machine", platform.node()) == platform.node()
    if status == "running" and here and not entry.is_held():
        status, reason = "failed", KILLED
    return _of_record(record, status, reason, entry.artifacts)


def _of_record(record: Record, status: str, reason: str | None, artifacts: Path) -> RecordedRun:
    return RecordedRun(
        id=record.id,
        mlflow_id=None,
        name=record.name,
        kind=record.kind,
        status=status,
        reason=reason,
        source=record.source,
        started=record.started,
        ended=record.ended,
        settings=record.settings,
        metrics=record.metrics,
        tags=record.tags,
        artifacts=artifacts,
    )


_HAS_TABLES = (
    "SELECT name FROM sqlite_master WHERE name IN ('runs', 'params', 'tags', 'latest_metrics')"
)


def _from_database(place: HistoryPlace) -> list[RecordedRun]:
    """Runs from the SQLite file itself: MLflow needs seconds for what takes it milliseconds.

    The tables are those of MLflow since 1.0; a test compares with what its client says.
    """
    database = place.database
    if database is None or not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(database)) as connection:
            if len(connection.execute(_HAS_TABLES).fetchall()) < 4:
                return []  # they are being made at this moment
            rows = connection.execute(
                "SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs "
                "WHERE lifecycle_stage = 'active'"
            ).fetchall()
            settings = _by_run(connection.execute("SELECT run_uuid, key, value FROM params"))
            tags = _by_run(connection.execute("SELECT run_uuid, key, value FROM tags"))
            metrics = _by_run(
                connection.execute(
                    "SELECT run_uuid, key, value FROM latest_metrics WHERE is_nan = 0"
                )
            )
    except sqlite3.Error as error:
        raise HistoryError(f"The run history ‘{database}’ cannot be read: {error}.") from None
    return [
        _of_mlflow(
            (run_id, name, status, started, ended),
            settings.get(run_id, {}),
            metrics.get(run_id, {}),
            tags.get(run_id, {}),
            place.artifacts / run_id / "artifacts" if place.is_own else _local(uri),
        )
        for run_id, name, status, started, ended, uri in rows
        if ID in tags.get(run_id, {})
    ]


def _local(uri: str) -> Path | None:
    """The folder that a URI of MLflow's means; None where it is not on this machine."""
    if uri.startswith("file:"):
        return Path(url2pathname(urlsplit(uri).path))
    return None if "://" in uri else Path(uri)


def _from_server(place: HistoryPlace) -> list[RecordedRun]:
    from foveate.history import tracking

    try:
        with tracking.connected(place, patient=False) as client:
            runs: list[Run] = tracking.all_runs(client, place)
    except Exception as error:
        raise HistoryError(
            f"The tracking server {place.shown} does not answer: {without_secrets(str(error))}"
        ) from None
    return [
        _of_mlflow(
            (
                run.info.run_id,
                run.info.run_name,
                run.info.status,
                run.info.start_time,
                run.info.end_time,
            ),
            run.data.params,
            run.data.metrics,
            run.data.tags,
            None,
        )
        for run in runs
        if ID in run.data.tags
    ]


def _of_mlflow(
    row: tuple[str, str, str, int, int | None],
    settings: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    artifacts: Path | None,
) -> RecordedRun:
    run_id, name, status, started, ended = row
    own = (ID, KIND, SOURCE, REASON)
    return RecordedRun(
        id=tags[ID],
        mlflow_id=run_id,
        name=name,
        kind=tags.get(KIND, ""),
        status=status.lower(),
        reason=tags.get(REASON),
        source=tags.get(SOURCE, ""),
        started=started / 1000,
        ended=None if ended is None else ended / 1000,
        settings=settings,
        metrics=metrics,
        tags={key: value for key, value in tags.items() if key not in own},
        artifacts=artifacts,
    )


def _by_run(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    by_run: dict[str, dict[str, Any]] = {}
    for run_id, key, value in rows:
        by_run.setdefault(run_id, {})[key] = value
    return by_run
