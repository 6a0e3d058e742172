"""Names and files of what is served."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from foveate.classifier import load_classifier
from foveate.errors import ModelFileError, SettingsError
from foveate.files import digest
from foveate.serve.models import fingerprint, parse_models, read_served


def test_names_are_stems_or_given() -> None:
    found = parse_models(["a/fashion.onnx", "old=b/fashion.onnx", "./x=y/tiles.onnx"])
    assert found == {
        "fashion": Path("a/fashion.onnx"),
        "old": Path("b/fashion.onnx"),
        "tiles": Path("./x=y/tiles.onnx"),
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a/m.onnx", "b/m.onnx"], "Two classifiers are called ‘m’"),
        (["my model.onnx"], "cannot be part of an address"),
        (["?=m.onnx"], "cannot be part of an address"),
        ([], "at least one"),
    ],
)
def test_names_that_do_not_work(arguments: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says.replace("?", r"\?")):
        parse_models(arguments)


def test_a_file_is_read_whole(model_file: Path) -> None:
    served = read_served("patterns", model_file)
    assert served.data == model_file.read_bytes()
    assert served.id == digest(served.data)
    assert served.labels == ("checks", "dots", "stripes")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_served("m", tmp_path / "missing.onnx")
    (tmp_path / "m.onnx").write_text("no model")
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        read_served("m", tmp_path / "m.onnx")


def test_a_change_shows(tmp_path: Path) -> None:
    path = tmp_path / "m"
    assert fingerprint(path) is None
    path.write_text("one")
    before = fingerprint(path)
    assert before is not None
    assert fingerprint(path) == before
    (tmp_path / "n").write_text("two")
    (tmp_path / "n").replace(path)
    assert fingerprint(path) != before


@pytest.mark.parametrize(("make", "says"), [(os.mkfifo, "a pipe"), (os.mkdir, "a folder")])
def test_what_is_no_file_is_refused_at_once(
    make: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    make(path)
    with pytest.raises(ModelFileError, match=f"it is {says}, not a file"):
        read_served("m", path)
    with pytest.raises(ModelFileError, match=f"it is {says}, not a file"):
        load_classifier(path)


def test_a_device_and_what_has_no_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="it is a device"):
        read_served("m", Path("/dev/zero"))
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # of holes: it takes no room
    with pytest.raises(ModelFileError, match="larger than 2,147,483,647 bytes"):
        read_served("m", path)
