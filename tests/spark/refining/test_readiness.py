"""What keeps a worker from refining a network, found before the work."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foveate.errors import ClusterError
from foveate.spark.check.asking import worker_found
from foveate.spark.check.findings import WorkerFound
from foveate.spark.check.worker import Question, ask
from foveate.spark.refining import readiness
from foveate.spark.refining.readiness import RefineJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def job(patterns: Path, monkeypatch: pytest.MonkeyPatch) -> RefineJob:
    monkeypatch.setattr(readiness, "find_spec", lambda _: object())  # torch and the like
    monkeypatch.setenv("FOVEATE_HISTORY", "off")
    return RefineJob(str(patterns), "p", "{}", "efficientnet-lite0", "run", "m.onnx", "m.html")


def test_a_worker_that_has_everything(job: RefineJob) -> None:
    assert readiness.problems_here(job) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "/nowhere/photos"}, "‘/nowhere/photos’ is not there"),
        ({"source": "nothing://a/b"}, "‘nothing://a/b’ cannot be read"),
        ({"backbone": "resnet999"}, "FOVEATE_BACKBONES"),
    ],
)
def test_what_a_worker_lacks(change: dict[str, Any], says: str, job: RefineJob) -> None:
    (problem,) = readiness.problems_here(replace(job, **change))
    assert says in problem


def test_a_worker_without_pytorch(job: RefineJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "find_spec", lambda name: None if name == "torch" else name)
    (problem,) = readiness.problems_here(job)
    assert "there is no torch; to refine there" in problem


def test_a_folder_is_known_by_its_mark(job: RefineJob, tmp_path: Path) -> None:
    work = partial(readiness.problems_here, job)
    with readiness._marked(str(tmp_path / "cache")) as mark:
        assert ask(Question(work=work, mark=mark, patience=0), 0)["shares"]
        other = mark.replace("cache", "other")
        assert not ask(Question(work=work, mark=other, patience=0), 0)["shares"]
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "file").touch()
    with readiness._marked(str(tmp_path / "file" / "cache")) as mark:
        assert mark == ""
    assert not ask(Question(work=work, mark="", patience=0), 0)["shares"]


def test_a_problem_on_one_worker_is_enough(
    job: RefineJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worker(**changes: Any) -> WorkerFound:
        return worker_found(ask(Question(work=list, patience=0), 0) | changes)

    workers = [worker(shares=True), worker()]
    monkeypatch.setattr(readiness, "ask_all", lambda *_: workers)
    cached = replace(job, cache=str(tmp_path))
    session: Any = None  # nobody is asked
    assert not readiness.look_at_all(session, cached)
    workers[1] = worker(shares=True)
    assert readiness.look_at_all(session, cached)
    workers[0] = worker(problems=["there is no disk"])
    with pytest.raises(ClusterError, match=r"On .* there is no disk\."):
        readiness.look_at_all(session, cached)


@pytest.mark.slow
def test_workers_of_a_cluster_are_asked(
    session: SparkSession, job: RefineJob, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="needs the [refine] extra")
    pytest.importorskip("timm", reason="needs the [refine] extra")
    assert readiness.look_at_all(session, replace(job, cache=str(tmp_path / "cache")))
    with pytest.raises(ClusterError, match="‘/nowhere’ is not there; name a URL"):
        readiness.look_at_all(session, replace(job, source="/nowhere"))
