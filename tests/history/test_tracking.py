"""What MLflow is told before it works."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from foveate.history import HistoryPlace, Record, tracking

RECORD = Record("0" * 32, "train", "a-run", "photos/", 1.0, "finished", 2.0, settings={"c": "1"})


def test_mlflow_reports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow's own reading of it; whether it reports at all, it decides otherwise under pytest.
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    assert not MLFLOW_DISABLE_TELEMETRY.get()
    with tracking._our_ways(
        HistoryPlace(tmp_path, f"sqlite:///{tmp_path}/runs.db", "x"), patient=True
    ):
        assert MLFLOW_DISABLE_TELEMETRY.get()
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ


class Server:
    """MLflow's client of a file, which as a server may lose answers; how often it made a run."""

    def __init__(self, client: Any, *, slow: bool = False, answers_lost: int = 0) -> None:
        self._client = client
        self._both_have_looked = threading.Barrier(2) if slow else None
        self._answers_lost = answers_lost
        self._make_late: Callable[[], object] = lambda: None
        self.made = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def search_runs(self, *arguments: Any, **options: Any) -> Any:
        found = self._client.search_runs(*arguments, **options)
        if self._both_have_looked is not None:
            with suppress(threading.BrokenBarrierError):
                self._both_have_looked.wait(1)
        return found

    def create_run(self, *arguments: Any, **options: Any) -> Any:
        self.made += 1
        if self._answers_lost:
            self._answers_lost -= 1
            self._make_late = lambda: self._client.create_run(*arguments, **options)
            raise TimeoutError
        return self._client.create_run(*arguments, **options)

    def log_batch(self, *arguments: Any, **options: Any) -> None:
        self._client.log_batch(*arguments, **options)
        self._make_late()


@pytest.fixture
def place(tmp_path: Path) -> HistoryPlace:
    return HistoryPlace(tmp_path, f"sqlite:///{tmp_path / 'server.db'}", "garments")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_announced_and_sent_at_once_a_run_is_there_once(place: HistoryPlace) -> None:
    with tracking.connected(place, patient=True) as client, ThreadPoolExecutor(2) as pool:
        tracking._experiment(client, place)
        server: Any = Server(client, slow=True)
        begun = [pool.submit(tracking.begin, server, place, RECORD) for _ in range(2)]
        assert len({one.result() for one in begun}) == 1
    assert server.made == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_run_that_was_made_without_an_answer_is_there_once(place: HistoryPlace) -> None:
    with tracking.connected(place, patient=True) as client:
        server: Any = Server(client, answers_lost=1)
        with pytest.raises(TimeoutError):
            tracking.begin(server, place, RECORD)
        tracking.send(server, place, RECORD, place.folder / "artifacts")
        (run,) = tracking.all_runs(client, place)
    assert server.made == 2
    assert run.info.status == "FINISHED"
