"""Commands whose results are compared with what is written down beside the tests.

`FOVEATE_GOLDEN=renew make test` writes them down anew; look at the difference before committing it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from conftest import draw_folder
from foveate.cli import run

FOLDER = Path(__file__).parent
RECORDING = import_module("foveate.history.recording")  # the name is a function's, too


def golden(name: str, value: object) -> None:
    """Compare a value with what is written down under a name."""
    path = FOLDER / f"{name}.json"
    if os.environ.get("FOVEATE_GOLDEN") == "renew":
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert value == json.loads(path.read_text(encoding="utf-8"))


def shape(value: object) -> object:
    """The keys and types of a JSON value; a list is as its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return str(value)
    return "number" if isinstance(value, int | float) else type(value).__name__


@pytest.fixture(scope="session")
def workplace(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos`, a classifier of them, and the records of what was done there."""
    folder = tmp_path_factory.mktemp("golden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        patch.setenv("FOVEATE_HISTORY", str(folder / "history"))
        # Nobody takes records out of the outbox while the tests look.
        patch.setattr(RECORDING, "_spawn", lambda *_: None)
        patch.chdir(folder)
        draw_folder(folder / "photos", 8)
        (folder / "photos" / "dots" / "broken.png").write_bytes(b"no image")
        arguments = ["train", "photos", "--out", "m.onnx", "--resolution", "64", "--quiet"]
        assert run(arguments) == 0
    return folder


@pytest.fixture
def at_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, with its own cache and history, as the current one."""
    monkeypatch.setenv("FOVEATE_CACHE", str(workplace / "cache"))
    monkeypatch.setenv("FOVEATE_HISTORY", str(workplace / "history"))
    monkeypatch.setattr(RECORDING, "_spawn", lambda *_: None)
    monkeypatch.chdir(workplace)
    return workplace


@pytest.fixture
def said(at_work: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command: its exit status, standard output, and standard error without this folder."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        out, err = capsys.readouterr()
        plain = err.replace(str(at_work), "FOLDER")
        return status, out, re.sub(r"0x[0-9a-f]+|\(pid \d+\)", "N", plain).strip()

    return call
