"""Several processes behave as one: one sentence, one JSON object, one exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foveate.cli import run
from foveate.launch.processes import threads_of_each
from foveate.settings import Settings


@pytest.fixture
def needs_torch() -> None:
    pytest.importorskip("torch", reason="needs the [refine] extra")
    pytest.importorskip("timm", reason="needs the [refine] extra")


@pytest.mark.slow
@pytest.mark.usefixtures("needs_torch")
@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [
        ("cuda", 0, "finds 0 GPUs"),
        ("cuda", 1, "finds 1 GPU on"),
        ("auto", 1, "finds 1 GPU on"),
        ("cuda:1", 4, "a single GPU"),
    ],
)
def test_a_gpu_for_each(
    device: str,
    gpus: int,
    said: str,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    train = ["train", str(patterns), "--classifier", "dnn", "--out", str(tmp_path / "m.onnx")]
    assert run([*train, "--devices", "2", "--device", device]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("workers", "said", "count", "threads"),
    [
        (0, None, 2, 3),
        (0, None, 4, 1),
        (0, None, 7, 1),
        (4, None, 2, 2),
        (4, "5", 2, 2),  # --workers is nearer than the environment
        (0, "5", 2, 5),
        (0, "0", 2, 3),
        (0, "many", 2, 3),
    ],
)
def test_each_has_its_part_of_the_cores(
    workers: int, said: str | None, count: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveate.runtime.usable_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads_of_each(count, Settings(workers=workers)) == threads


def test_frozen_features_are_for_one_process(
    patterns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["train", str(patterns)]) == 1  # else each would write the same files
    assert "only help to refine" in capsys.readouterr().err


# Executed by each process as it starts.
AS_IT_STARTS = """
import os
if os.environ.get("RANK") == "1":
    from foveate import backbones, errors
    def find_backbone(name):
        {action}
    backbones.find_backbone = find_backbone
"""


def command(source: Path, folder: Path, cache: Path, action: str = "") -> subprocess.Popen[str]:
    """Two processes in a group of their own."""
    (folder / "sitecustomize.py").write_text(AS_IT_STARTS.format(action=action) if action else "")
    words = [sys.executable, "-m", "foveate", "train", str(source), "--classifier", "dnn"]
    words += ["--devices", "2", "--device", "cpu", "--resolution", "64", "--json"]
    words += ["--out", str(folder / "m.onnx"), *(() if action else ("--backbone", "unknown"))]
    return subprocess.Popen(
        words,
        env={**os.environ, "FOVEATE_CACHE": str(cache), "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("needs_torch")
@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("", "no backbone ‘unknown’"),  # all of them
        ("raise errors.SourceError('a helper cannot read it')", "a helper cannot read it"),
        ("os.kill(os.getpid(), 9)", "memory was short"),
    ],
)
def test_an_error_is_one_sentence(action: str, said: str, patterns: Path, tmp_path: Path) -> None:
    process = command(patterns, tmp_path, tmp_path / "cache", action)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said in json.loads(out)["error"]
    assert err == f"Error: {json.loads(out)['error']}\n"


@pytest.mark.slow
@pytest.mark.usefixtures("needs_torch")
def test_ctrl_c_stops_all(patterns: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    action = f"open({str(begun)!r}, 'w').close(); __import__('time').sleep(60)"
    process = command(patterns, tmp_path, tmp_path / "cache", action)
    deadline = time.monotonic() + 60
    while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=50)
    assert process.returncode == 130
    assert out == ""
    assert err.startswith("Stopped.")
    assert len(err.splitlines()) == 1
