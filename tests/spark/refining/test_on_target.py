"""`foveate refine`: train's own flags, another default, and a target that does the work."""

from __future__ import annotations

import inspect
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from foveate.classifier import load_classifier
from foveate.cli import refine as module
from foveate.cli import run
from foveate.cli.console import ProgressBar
from foveate.cli.refine import refine
from foveate.cli.shared import show_training
from foveate.cli.train import train
from foveate.errors import ClusterError, SettingsError, TooFewImages
from foveate.history import Outcome, find_place
from foveate.history.outbox import waiting
from foveate.history.packing import pack_outcome
from foveate.launch.processes import run_machines
from foveate.settings import Settings
from foveate.spark.refining import processes as refining
from foveate.spark.refining.on_target import RefinedThere, refine_on_target
from foveate.spark.refining.readiness import RefineJob
from foveate.spark.refining.worker import Failed, Made, Terminal
from foveate.targets import Target
from foveate.workflow.places import Destination

DNN = Settings(classifier="dnn", epochs=2)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The classifiers that `train` was called with; nothing is trained."""
    calls: list[str | None] = []
    monkeypatch.setattr(module, "train", lambda **flags: calls.append(flags.get("classifier")))
    return calls


def command(*arguments: str) -> None:
    app = typer.Typer()
    app.command()(refine)
    app(list(arguments), standalone_mode=False)


def test_every_flag_of_train() -> None:
    assert inspect.signature(refine) == inspect.signature(train)
    assert refine.__doc__ != train.__doc__


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ((), "dnn"),
        (("--classifier", "dnn"), "dnn"),
        (("--classifier", "svm-dnn"), "svm-dnn"),
        (("--set", "classifier=svm-dnn"), None),  # and so it stays
    ],
)
def test_a_network_is_refined_whatever_is_said(
    flags: tuple[str, ...], chosen: str | None, trained: list[str | None], tmp_path: Path
) -> None:
    command(str(tmp_path), *flags)
    assert trained == [chosen]


def test_the_project_may_choose(trained: list[str | None], tmp_path: Path) -> None:
    (tmp_path / "foveate.toml").write_text('classifier = "svm-dnn"\n')
    command(str(tmp_path))
    assert trained == [None]
    (tmp_path / "foveate.toml").write_text('classifier = "forest"\n')
    command(str(tmp_path))
    assert trained == [None, "dnn"]


def test_what_is_no_network_is_refused(trained: list[str | None], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="forest"):
        command(str(tmp_path), "--classifier", "forest")
    assert trained == []


class FakeCluster:
    """What hands back the same thing whatever it is asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.jobs: list[RefineJob] = []

    def __call__(self, _target: Target, _function: object, job: RefineJob, **_: object) -> object:
        self.jobs.append(job)
        return self.answer


def ask(
    answer: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **more: Any
) -> tuple[RefinedThere, RefineJob]:
    cluster = FakeCluster(answer)
    monkeypatch.setattr(refining, "run_on_cluster", cluster)
    asked: dict[str, Any] = {
        "destination": Destination(tmp_path / "m.onnx"),
        "terminal": Terminal(ProgressBar, show_training),
        "remark": print,
        "notice": print,
    } | more
    target = asked.pop("target", Target(master="spark://nowhere:7077"))
    settings = asked.pop("settings", DNN)
    made = refine_on_target(target, "photos", settings, name="county", **asked)
    return made, cluster.jobs[0]


def packed() -> bytes:
    def write(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"network")
        (folder / "report.html").write_bytes(b"<p>")
        (folder / "result.json").write_text('{"accuracy": 0.5}')

    return pack_outcome(Outcome({"accuracy": 0.5}, {"epoch.loss": [2.0, 1.0]}, {}, {}, write))


def test_what_comes_back_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    checkpoint.touch()
    answer = Made(packed(), "a table\n", "Note: b\n", str(checkpoint))
    made, _ = ask(answer, monkeypatch, tmp_path)
    assert (tmp_path / "m.onnx").read_bytes() == b"network"
    assert (tmp_path / "m.html").read_bytes() == b"<p>"
    assert not checkpoint.exists()
    assert (made.text, made.remarks) == ("a table\n", "Note: b\n")
    assert made.result == {"accuracy": 0.5, "target": "county"}


def test_what_is_large_comes_by_the_storage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "run.zip").write_bytes(packed())
    answer = Made(str(tmp_path / "run.zip"), "", "", "")
    ask(answer, monkeypatch, tmp_path)
    assert (tmp_path / "m.onnx").read_bytes() == b"network"
    assert not (tmp_path / "run.zip").exists()


def test_an_error_there_is_one_here_and_on_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    # Nobody takes it out of the outbox while the test looks.
    monkeypatch.setattr(sys.modules["foveate.history.recording"], "_spawn", lambda *_: None)
    with pytest.raises(TooFewImages, match="add some"):
        ask(Failed("TooFewImages", "add some"), monkeypatch, tmp_path)
    place = find_place()
    assert place is not None
    (entry,) = waiting(place.outbox)
    record = entry.read()
    assert record is not None
    assert (record.status, record.reason) == ("failed", "add some")
    assert record.settings["target"] == "county"


@pytest.mark.parametrize("answer", [None, Failed("PermissionError", "no disk"), "nonsense"])
def test_other_answers_are_the_clusters_fault(
    answer: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"no disk|nothing back"):
        ask(answer, monkeypatch, tmp_path)


def test_the_job_says_all_that_workers_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path
) -> None:
    monkeypatch.setenv("STORE_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    options = {"abfs": {"account_name": "a", "account_key": "env:STORE_KEY"}}
    target = Target(storage="abfs://work@a/foveate", storage_options=options)
    settings = Settings(classifier="dnn", epochs=2, test_list="test.txt")
    answer = Made(packed(), "", "", "")
    _, job = ask(answer, monkeypatch, tmp_path, target=target, settings=settings, sample=0.5)
    assert (job.source, job.shown) == (str(tmp_path / "photos"), "photos")
    assert job.storage_options["abfs"]["account_key"] == "secret"
    assert "secret" not in repr(job)
    # The resolution was left open: the worker's device decides.
    assert json.loads(job.settings) == {
        "classifier": "dnn",
        "epochs": 2,
        "test_list": str(tmp_path / "test.txt"),
    }
    assert (job.cache, job.sample) == (str(own_cache), 0.5)


def test_a_project_is_its_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    answer = Made(packed(), "", "", "")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "foveate.toml").touch()
    _, job = ask(answer, monkeypatch, tmp_path)
    assert job.source == str(tmp_path / "photos" / "images")
    assert job.cache == str(tmp_path / "photos" / ".foveate" / "refine")
    shared = Target(storage=str(tmp_path / "storage"))
    _, job = ask(answer, monkeypatch, tmp_path, target=shared)
    assert job.cache == str(tmp_path / "storage" / "cache")


@pytest.mark.parametrize(
    "values",
    [{}, {"executors": 2}, {"executors": 2, "master": "here"}, {"master": "here:29500"}],
)
def test_machines_must_know_where_they_meet(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        run_machines(Target(kind="torch", **values), DNN, "photos", remark=print)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.slow
def test_two_machines_given_the_same_command(patterns: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the [refine] extra")
    pytest.importorskip("timm", reason="needs the [refine] extra")
    (tmp_path / "foveate.toml").write_text(
        f'[targets.pair]\nkind = "torch"\nmaster = "127.0.0.1:{free_port()}"\n'
        "executors = 2\ncores = 1\n"
    )
    words = [sys.executable, "-m", "foveate", "train", str(patterns), "--target", "pair", "--json"]
    words += ["--classifier", "dnn", "--depth", "head", "--epochs", "1", "--resolution", "64"]
    words += ["--device", "cpu", "--set", "precision=float32", "--out", "m.onnx"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    machines = [
        subprocess.Popen(
            words,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        said = [machine.communicate(timeout=280) for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()
            machine.wait()
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert all("for 1 other machine;" in err for _, err in said)
    (result,) = [json.loads(out) for out, _ in said if out]  # one alone speaks
    assert result["accuracy"] > 0.6
    assert result["refinement"]["epochs"] == 1
    assert load_classifier(tmp_path / "m.onnx").labels == ("checks", "dots", "stripes")


@pytest.mark.slow
@pytest.mark.parametrize("out", ["m.onnx", "memory://there/m.onnx"])
def test_what_a_killed_training_goes_on_from_is_gone_afterwards(
    out: str, patterns: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the [refine] extra")
    pytest.importorskip("timm", reason="needs the [refine] extra")
    monkeypatch.chdir(tmp_path)
    words = ["refine", str(patterns), "--depth", "last_only", "--resolution", "64", "--quiet"]
    assert run([*words, "--device", "cpu", "--epochs", "1", "--out", out]) == 0
    assert list(own_cache.glob("sources/*/refine"))  # there was one
    assert list(own_cache.glob("sources/*/refine/*.pt")) == []
