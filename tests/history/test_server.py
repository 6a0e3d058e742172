"""A real tracking server, on loopback, gets the same runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil
import pytest

from conftest import hear_ctrl_c
from foveate.cli import run
from foveate.errors import HistoryError
from foveate.history import artifact, find_place, list_runs
from foveate.history.outbox import waiting

pytest.importorskip("flask", reason="needs the [mlflow] extra")
pytestmark = pytest.mark.slow

PATIENCE = 90.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        # Its jobs are many more processes, which have nothing to do here.
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        try:
            wait_for(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=2) as answer:
                assert answer.status == 200
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the tracking server did not start")


def test_runs_arrive_and_are_compared(
    server: str,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    for kind in ("svm", "forest"):
        words = ["--classifier", kind, "--resolution", "64", "--quiet", "--out", f"{kind}.onnx"]
        assert run(["train", str(patterns), *words]) == 0
    place = find_place()
    assert place is not None
    deadline = time.monotonic() + PATIENCE
    while waiting(place.outbox) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert waiting(place.outbox) == [], [entry.why_not_sent() for entry in waiting(place.outbox)]
    assert not (tmp_path / "history" / "runs.db").exists()
    forest, svm = list_runs(place)
    assert forest.settings["classifier"] == "forest"
    assert svm.metrics["n_test"] == 9
    assert svm.artifacts is None
    assert artifact(place, svm, "model.onnx").read_bytes() == (tmp_path / "svm.onnx").read_bytes()
    with pytest.raises(HistoryError, match=r"cannot be had from"):
        artifact(place, svm, "nothing.txt")
    capsys.readouterr()
    assert run(["runs", "compare", "last~1", "last"]) == 0
    assert "distinguishable" in capsys.readouterr().out
    assert run(["runs", "ui"]) == 0
    assert server in capsys.readouterr().out


def test_the_page_about_our_own_runs(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(["train", str(patterns), "--resolution", "64", "--quiet", "--out", "m.onnx"]) == 0
    runs = [sys.executable, "-m", "foveate", "runs"]
    sent = subprocess.run([*runs, "send", "--json"], capture_output=True, check=True)
    assert json.loads(sent.stdout)["left"] == 0
    port = free_port()
    command = [*runs, "ui", "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, preexec_fn=hear_ctrl_c, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}".encode() in process.stdout.readline()
        wait_for(f"http://127.0.0.1:{port}", process)
        asked = Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search",
            data=json.dumps({"experiment_ids": ["1"]}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(asked, timeout=30) as answer:
            (found,) = json.load(answer)["runs"]
        assert found["info"]["status"] == "FINISHED"
        helpers = psutil.Process(process.pid).children(recursive=True)
        assert len(helpers) <= 4, [one.cmdline() for one in helpers]
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    _, alive = psutil.wait_procs(helpers, timeout=20)
    assert not alive
