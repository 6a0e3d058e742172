"""A command that is killed goes on where it was, with the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import draw_folder, hear_ctrl_c

COUNT = 300


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("many"), COUNT)


def start(source: Path, out: Path, cache: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "foveate",
        "train",
        str(source),
        "--out",
        str(out),
        "--json",
        *(more or ("--resolution", "160")),
    ]
    environment = os.environ | {"FOVEATE_CACHE": str(cache)}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        preexec_fn=hear_ctrl_c,
    )


def measures(result: dict[str, object]) -> dict[str, object]:
    """What must not depend on having been killed."""
    volatile = {"run", "seconds", "images_per_second", "images_computed", "model", "report"}
    return {key: value for key, value in result.items() if key not in volatile}


@pytest.mark.slow
def test_killed_training_goes_on(many: Path, tmp_path: Path) -> None:
    calm = start(many, tmp_path / "calm.onnx", tmp_path / "calm")
    expected = json.loads(calm.communicate()[0])

    cache = tmp_path / "killed"
    ends = []
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGKILL):
        process = start(many, tmp_path / "m.onnx", cache)
        features = cache / "features"
        before = len(list(features.rglob("*.parquet")))
        deadline = time.monotonic() + 60
        while len(list(features.rglob("*.parquet"))) == before and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(how)
        process.communicate(timeout=60)
        ends.append(process.returncode)
        assert not list(cache.rglob("*.part")) or how is signal.SIGKILL
    assert {130, -signal.SIGKILL} <= set(ends) <= {130, -signal.SIGKILL, 0}
    last = start(many, tmp_path / "m.onnx", cache)
    result = json.loads(last.communicate()[0])
    assert last.returncode == 0
    assert result["images_computed"] < 3 * COUNT
    assert measures(result) == measures(expected)
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "calm.onnx").read_bytes()


REFINED = ("--classifier", "dnn", "--resolution", "64", "--device", "cpu", "--epochs", "2")


@pytest.mark.slow
def test_killed_refinement_goes_on(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each checkpoint, it would never end if it did not go on from there."""
    pytest.importorskip("torch", reason="needs the [refine] extra")
    pytest.importorskip("timm", reason="needs the [refine] extra")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as fast for so few images, whoever else works
    cache = tmp_path / "cache"
    kills = 0
    for _ in range(2 + 1):  # two epochs, and then there is nothing left to learn
        seen = checkpoint_of(cache)
        process = start(patterns, tmp_path / "m.onnx", cache, *REFINED)
        while process.poll() is None and checkpoint_of(cache) in (seen, None):
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
            kills += 1
        out, _ = process.communicate(timeout=120)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "m.onnx").exists()
    assert process.returncode == 0
    assert kills > 0
    assert checkpoint_of(cache) is None  # not needed any more

    calm = start(patterns, tmp_path / "calm.onnx", tmp_path / "calm", *REFINED)
    expected = json.loads(calm.communicate(timeout=120)[0])
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "calm.onnx").read_bytes()
    assert errors(json.loads(out)) == errors(expected)


def checkpoint_of(cache: Path) -> tuple[int, int] | None:
    """Which checkpoint there is: each is a new file."""
    for file in cache.glob("sources/*/refine/*.pt"):
        with suppress(FileNotFoundError):
            found = file.stat()
            return found.st_ino, found.st_mtime_ns
    return None


def errors(result: dict[str, Any]) -> list[tuple[float, float, float]]:
    """How each epoch went; its speed is another each time."""
    epochs = result["refinement"]["learning"]
    return [(one["loss"], one["train_error"], one["validation_error"]) for one in epochs]
