"""Outputs that are refused before the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from foveate.errors import OutputError
from foveate.outputs import MODEL, PAGE, Output, check_folder, check_outputs


def one(path: Path | str) -> Output:
    return Output("the result", path)


@pytest.mark.parametrize("name", ["model", "model.pt", "model.onnx.bak", "s3://bucket/model.pt"])
def test_a_suffix_says_what_a_file_is(name: str) -> None:
    with pytest.raises(OutputError, match=r"a classifier: it must end in \.onnx"):
        check_outputs([Output("a classifier", name, MODEL)])


@pytest.mark.parametrize("name", ["m.onnx", "M.ONNX", "s3://bucket/m.onnx"])
def test_a_right_suffix_is_right(name: str, tmp_path: Path) -> None:
    path = name if "://" in name else str(tmp_path / name)
    check_outputs([Output("a classifier", path, MODEL)])


@pytest.mark.parametrize("how", ["itself", "dots", "symbolic", "hard", "url"])
def test_an_input_or_another_output_is_seen_through_its_names(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = tmp_path / "table.csv"
    given.write_text("path,label\n")
    other = tmp_path / "other.csv"
    if how == "symbolic":
        other.symlink_to(given)
    elif how == "hard":
        other.hardlink_to(given)
    names: dict[str, str | Path] = {
        "itself": given,
        "dots": "./table.csv",
        "url": f"file://{given}",
    }
    name = names.get(how, other)
    with pytest.raises(OutputError, match="read by this very command"):
        check_outputs([one(name)], [None, "nowhere", given])
    with pytest.raises(OutputError, match="the same file"):
        check_outputs([one(name), Output("the report", "table.csv")])
    check_outputs([one(name), Output("the report", "r.html", PAGE)], ["nowhere"])
    assert given.read_text() == "path,label\n"


def test_two_outputs_that_are_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the same file"):
        check_outputs([one(tmp_path / "a"), Output("the report", f"{tmp_path}/new/../a")])


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    check_outputs([one(tmp_path / "new" / "er" / "m.onnx")])
    check_folder(tmp_path / "another" / "one")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "m.onnx", tmp_path / "file" / "below" / "m.onnx"):
        with pytest.raises(OutputError, match="a part of its path is a file"):
            check_outputs([one(path)])
    with pytest.raises(OutputError, match="is a file; name a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="is a folder; name a file"):
        check_outputs([one(tmp_path)])


def test_a_disk_that_can_only_be_read_is_said(tmp_path: Path) -> None:
    """Even to root, whom no permission keeps out."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [str(mount), "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if not mount or not umount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        with pytest.raises(OutputError, match="can only be read"):
            check_outputs([one(tmp_path / "new" / "m.onnx")])
    finally:
        subprocess.run([umount, str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    locked = tmp_path / uuid.uuid4().hex
    locked.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="no permission"):
        check_outputs([one(locked / "m.onnx")])
