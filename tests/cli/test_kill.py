"""A command that is killed goes on where it was, with the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import draw_folder

COUNT = 700


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("many"), COUNT)


def start(source: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "foveate",
        "train",
        str(source),
        "--out",
        str(out),
        "--json",
        "--resolution",
        "160",
    ]
    environment = os.environ | {"FOVEATE_CACHE": str(cache)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )


def measures(result: dict[str, object]) -> dict[str, object]:
    """What must not depend on having been killed."""
    volatile = {"run", "seconds", "images_per_second", "images_computed", "model", "report"}
    return {key: value for key, value in result.items() if key not in volatile}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_training_goes_on(many: Path, tmp_path: Path, how: signal.Signals) -> None:
    calm = start(many, tmp_path / "calm.onnx", tmp_path / "calm")
    expected = json.loads(calm.communicate()[0])

    cache = tmp_path / "killed"
    for _ in range(3):
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
        assert process.returncode in (-how, 130, 0)
    last = start(many, tmp_path / "m.onnx", cache)
    result = json.loads(last.communicate()[0])
    assert last.returncode == 0
    assert result["images_computed"] < 3 * COUNT
    assert measures(result) == measures(expected)
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "calm.onnx").read_bytes()
    assert not list(cache.rglob("*.part")) or how is signal.SIGKILL
