"""Several processes behave as one: one sentence, one JSON object, one exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.cli import run
from foveate.cli.failures import (
    STARTED,
    Cause,
    Failure,
    kind_of,
    read_failures,
    says_that_others_are_gone,
)
from foveate.cli.processes import threads_of_each
from foveate.cli.together import until_the_first_is_done
from foveate.cli.torchrun import first_cause
from foveate.errors import SourceError
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


def ended(exitcode: int, timestamp: int = 100) -> SimpleNamespace:
    """As torchrun tells of a process."""
    return SimpleNamespace(exitcode=exitcode, timestamp=timestamp)


SAID = Failure("no such image", 1, Cause.SAID, 103.0)
DEFECT = Failure("a defect", 1, Cause.DEFECT, 100.5)
GONE = Failure("gone", 1, Cause.GONE, 100.4)


@pytest.mark.parametrize(
    ("left", "endings", "said"),
    [
        ([GONE, DEFECT, SAID], [ended(1), ended(1), ended(-15)], "no such image"),
        ([GONE, DEFECT], [ended(1)], "a defect"),
        ([GONE], [ended(-9), ended(1)], "memory was short"),
        ([GONE], [ended(-6), ended(-9)], "memory was short"),
        ([], [ended(-11), ended(-15)], "SIGSEGV"),
        ([], [ended(-99)], "signal 99"),
        ([DEFECT], [ended(1), ended(-9, timestamp=130)], "a defect"),  # it would not end
        ([], [ended(3), ended(-15)], "without a word (exit status 3"),
    ],
)
def test_the_cause_is_what_is_said(left: list[Failure], endings: list[Any], said: str) -> None:
    assert said in first_cause(left, endings).sentence


failures = st.lists(
    st.builds(Failure, st.text(min_size=1), st.just(1), st.sampled_from(Cause), st.floats(0, 1e10)),
    min_size=1,
    unique_by=lambda failure: (failure.cause, failure.seconds),
)


@given(failures, st.randoms())
def test_the_cause_depends_on_no_order(left: list[Failure], chance: Any) -> None:
    found = first_cause(left, [ended(1)])
    assert found.cause == min(failure.cause for failure in left)
    chance.shuffle(left)
    assert first_cause(left, [ended(1)]) == found


def test_kinds_of_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind_of(SourceError("x")) == kind_of(OSError()) == Cause.SAID
    assert kind_of(ZeroDivisionError()) == Cause.DEFECT
    lost = RuntimeError("[gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:43210")
    assert kind_of(lost) == Cause.GONE
    assert not says_that_others_are_gone(lost)  # alone, there are no others
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert says_that_others_are_gone(lost)
    assert not says_that_others_are_gone(RuntimeError("mat1 and mat2 cannot be multiplied"))


@pytest.mark.parametrize(
    ("rank", "started", "told", "speaks"),
    [
        (0, True, True, ""),  # foveate itself started it, and says it
        (1, True, True, ""),
        (0, False, True, "out err"),  # the user's own torchrun
        (1, False, True, ""),  # torchrun shows the sentence
        (1, False, False, "err"),
    ],
)
def test_who_says_it(
    rank: int,
    started: bool,
    told: bool,
    speaks: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    if started:
        monkeypatch.setenv(STARTED, "1")
    if told:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    words = ["train", str(tmp_path / "none"), "--classifier", "dnn", "--json"]
    assert run(words) == 1
    said = capsys.readouterr()
    assert (bool(said.out), bool(said.err)) == ("out" in speaks, "err" in speaks)
    left = read_failures(tmp_path)
    assert len(left) == told
    for failure in left:
        assert "none" in failure.sentence
        assert (failure.status, failure.cause) == (1, Cause.SAID)
        assert failure.sentence == json.loads((tmp_path / "error.json").read_text())["message"]


def test_frozen_features_are_for_one_process(
    patterns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["train", str(patterns)]) == 1  # else each would write the same files
    assert "only help to refine" in capsys.readouterr().err


def test_what_was_half_written_is_a_failure_without_words(tmp_path: Path) -> None:
    (tmp_path / "error.json").write_text('{"message": "x", "cau')
    (failure,) = read_failures(tmp_path)
    assert failure.cause == Cause.GONE


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


def test_one_machine_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert until_the_first_is_done(lambda: 0) == 0
    # Nor does who failed: there is nobody to ask here.
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    assert until_the_first_is_done(lambda: 3) == 3


@pytest.fixture
def meeting() -> Iterator[dict[str, str]]:
    """What torchrun on two machines tells a process; the store is its own."""
    distributed = pytest.importorskip("torch.distributed", reason="needs the [refine] extra")
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {"WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    yield {**told, "MASTER_PORT": str(store.port)}
    del store


@pytest.mark.slow
@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["evaluate", "no", "no"], 1)])
def test_helpers_wait_for_the_first(
    words: list[str], status: int, meeting: dict[str, str], tmp_path: Path
) -> None:
    """Whatever started them: `python -m foveate` is what torchrun runs in either recipe."""

    def start(rank: int, words: list[str]) -> subprocess.Popen[str]:
        environment = {**os.environ, **meeting, "RANK": str(rank)}
        return subprocess.Popen(
            [sys.executable, "-m", "foveate", *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    with start(1, ["--version"]) as helper:
        assert helper.stdout is not None
        assert helper.stdout.readline().startswith("foveate")
        with pytest.raises(subprocess.TimeoutExpired):
            helper.wait(2)
        with start(0, words) as first:
            first.communicate(timeout=60)
        assert first.returncode == status
        assert helper.wait(60) == status
