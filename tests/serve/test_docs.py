"""What README and docs/serve.md show about serving, works."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.cli import run
from foveate.serve.operations.metrics import Metrics
from support.servers import Running, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = (ROOT / "docs" / "serve.md").read_text()
ADDRESS = "127.0.0.1:8000"


@pytest.fixture(scope="module")
def workplace(model_file: Path, patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    shutil.copy(model_file, folder / "model.onnx")
    shutil.copytree(patterns, folder / "photos")
    for name in ("new.jpg", "shirt.jpg", "skirt.jpg"):
        Image.open(patterns / "dots" / "0.png").save(folder / name, quality=95)
    return folder


@pytest.fixture(scope="module")
def running(workplace: Path) -> Iterator[Running]:
    block = re.search(r"```sh serve\n(.*?)```", README, re.DOTALL)
    assert block is not None
    assert f"http://{ADDRESS}" in block[1]
    (command,) = (
        shlex.split(line, comments=True)
        for line in block[1].splitlines()
        if line.startswith("foveate serve")
    )
    assert command == ["foveate", "serve", "model.onnx"]
    with serving(workplace / "log", workplace / "model.onnx") as server:
        yield server


def at(text: str, server: Running) -> str:
    return text.replace(ADDRESS, f"127.0.0.1:{server.port}")


def test_the_readme(
    running: Running,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(workplace)
    lines = re.findall(r"^foveate call .*$", README + DOCS, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        assert run(shlex.split(at(line, running), comments=True)[1:]) == 0
        assert "dots" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_curl(running: Running, workplace: Path) -> None:
    lines = re.findall(r"^curl .*$", DOCS, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", at(line, running)], cwd=workplace, capture_output=True, check=True
        )
        answer = json.loads(done.stdout)
        assert answer["model"] == "model"
        assert {one["label"] for one in answer["predictions"]} == {"dots"}


def test_the_open_protocol(
    running: Running,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(workplace)
    block = re.search(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert block is not None
    names: dict[str, object] = {}
    exec(compile(at(block[1], running), "serve.md", "exec"), names)
    names["client"].close()  # type: ignore[attr-defined]
    numbers = [float(text) for text in re.findall(r"[\d.e-]+", capsys.readouterr().out)]
    assert np.argmax(numbers) == 1  # of checks, dots, stripes


def test_every_metric_is_in_the_docs_and_no_other() -> None:
    page = Metrics(lambda: 0, 1).page().decode()
    kinds = dict(re.findall(r"^# TYPE (foveate_\w+) (\w+)$", page, re.MULTILINE))
    kept = {name for name in kinds if not name.endswith("_created")}
    table = re.findall(r"^\| .*`foveate_.*$", DOCS, re.MULTILINE)
    shown = set(re.findall(r"`(foveate_\w+)", "\n".join(table)))
    assert shown == kept
