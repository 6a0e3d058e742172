"""Outputs of every command that are refused before anything is read, let alone computed.

What is read does not exist in most cases, or is rubbish: a command that began to work would say so.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from foveate.cli import run

WRITERS = {
    "train": (["train", "nowhere", "--out"], "m.onnx"),
    "train's report": (["train", "nowhere", "--report"], "r.html"),
    "evaluate": (["evaluate", "no.onnx", "nowhere", "--out"], "p.csv"),
    "evaluate's report": (["evaluate", "no.onnx", "nowhere", "--report"], "r.html"),
    "score": (["score", "no.onnx", "nowhere", "--out"], "p.parquet"),
    "featurize": (["featurize", "nowhere", "--out"], "f.parquet"),
    "export int8": (["export", "no.onnx", "nowhere", "--int8", "--out"], "m.onnx"),
    "export openvino": (["export", "no.onnx", "--openvino", "--out"], "m.xml"),
    "tune": (["tune", "nowhere", "--report"], "r.html"),
    "split": (["split", "nowhere", "--out"], "s.csv"),
    "target pack": (["target", "pack", "--out"], "e.tar.gz"),
    "runs compare": (["runs", "compare", "one", "two", "--report"], "r.html"),
    "tiles cut": (["tiles", "cut", "nowhere.tif", "--out"], "i.parquet"),
}
"""A command up to its output, and a name that the output may have."""

FOLDERS = {
    "demo": ["demo"],
    "new": ["new"],
    "tiles cut": ["tiles", "cut", "nowhere.tif", "--out"],
    "tiles map": ["tiles", "map", "nowhere.parquet", "--out"],
    "tiles change": ["tiles", "change", "a.parquet", "b.parquet", "--out"],
}

SUFFIXES = {
    "train": ("model", "model.pt", "both.html"),
    "train's report": ("m.onnx", "report"),
    "evaluate": ("p.json", "p"),
    "evaluate's report": ("m.onnx",),
    "score": ("x.json", "x"),
    "featurize": ("f.csv", "f"),
    "export int8": ("m.xml", "m"),
    "tune": ("tune.pdf",),
    "split": ("s.parquet", "s"),
    "target pack": ("e.zip",),
    "runs compare": ("r.json",),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one sentence of a command that fails."""
    assert run(arguments) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("Error: ")
    assert "defect" not in said
    return said


@pytest.mark.parametrize(
    ("command", "name"), [(c, name) for c, names in SUFFIXES.items() for name in names]
)
def test_a_wrong_suffix(
    command: str, name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, [*WRITERS[command][0], name])
    assert f"‘{name}’" in said
    assert "must end in" in said
    assert not list(here.iterdir())


@pytest.mark.parametrize("command", WRITERS)
def test_a_pipe_stays_a_pipe(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, name = WRITERS[command]
    os.mkfifo(here / name)
    assert "is a pipe" in refused(capsys, [*arguments, name])
    assert stat.S_ISFIFO((here / name).stat().st_mode)


@pytest.mark.parametrize("command", WRITERS)
def test_a_place_where_nothing_can_be(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").write_text("")
    arguments, name = WRITERS[command]
    assert "a part of its path is a file" in refused(capsys, [*arguments, f"file/{name}"])


@pytest.mark.parametrize("command", FOLDERS)
def test_a_file_is_no_folder(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("mine")
    said = refused(capsys, [*FOLDERS[command], "file"])
    assert "file; name a folder" in said or "a part of its path is a file" in said
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "no.onnx", "given.csv", "--out", "given.csv"],
        ["score", "no.onnx", "given.csv", "--out", "./given.csv"],
        ["score", "no.onnx", "given.csv", "--out", "linked.csv"],
        ["score", "no.onnx", "given.csv", "--out", "hard.csv"],
        ["score", "no.onnx", ".", "--out", "metadata.csv"],
        ["evaluate", "no.onnx", "given.csv", "--out", "linked.csv"],
        ["evaluate", "page.html", "given.csv", "--report", "page.html"],
        ["train", "given.csv", "--test-list", "page.html", "--report", "page.html"],
        ["tune", "given.csv", "--test-list", "page.html", "--report", "page.html"],
        ["split", "given.csv", "--out", "hard.csv"],
        ["featurize", "given.parquet", "--out", "given.parquet"],
        ["export", "m.onnx", "given.csv", "--int8", "--out", "m.onnx"],
        ["export", "m.xml", "--openvino", "--out", "m.xml"],
        ["export", "m.bin", "--openvino", "--out", "m.xml"],
        ["tiles", "cut", "given.parquet", "--out", "given.parquet"],
        ["tiles", "cut", "a.tif", "--labels", "given.parquet", "--out", "given.parquet"],
        ["tiles", "map", "tiles.parquet", "--out", "."],
        ["tiles", "map", "p.csv", "--landcover", "classes.tif", "--out", "."],
        ["tiles", "change", "candidates.parquet", "b.parquet", "--out", "."],
    ],
    ids=" ".join,
)
def test_an_output_that_is_an_input(
    arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("given.csv", "metadata.csv", "page.html", "given.parquet", "m.onnx", "m.xml", "m.bin")
    for name in (*names, "tiles.parquet", "classes.tif", "candidates.parquet"):
        (here / name).write_text("rubbish")
    (here / "linked.csv").symlink_to("given.csv")
    (here / "hard.csv").hardlink_to(here / "given.csv")
    assert "read by this very command" in refused(capsys, arguments)
    assert {path.read_text() for path in here.iterdir()} == {"rubbish"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nowhere", "--out", "m.onnx", "--report", "r.html"],
        ["evaluate", "no.onnx", "nowhere", "--out", "p.csv", "--report", "r.html"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_output_that_is_the_other(
    arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / arguments[-3]).write_text("mine")
    (here / "r.html").symlink_to(arguments[-3])
    assert "are the same file" in refused(capsys, arguments)
    assert (here / "r.html").read_text() == "mine"


def test_a_model_goes_where_a_link_leads(patterns: Path, here: Path) -> None:
    (here / "models").mkdir()
    (here / "m.onnx").symlink_to("models/m1.onnx")
    assert run(["train", str(patterns), "--out", "m.onnx", "--resolution", "64"]) == 0
    assert (here / "m.onnx").is_symlink()
    assert (here / "models" / "m1.onnx").stat().st_size > 1_000_000
