"""Standard input, output and error that are closed, full, broken, or know few characters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import draw_folder

FOVEATE = [sys.executable, "-m", "foveate"]

EVERY_COMMAND = """
import sys
from foveate.cli import run
from foveate.cli.streams import open_streams

open_streams()
source, out = sys.argv[1:]
small = ["--resolution", "64"]
model, train = f"{out}/m.onnx", ["train", source, "--out", f"{out}/m.onnx", *small]
predict = ["predict", model, f"{source}/größe→", "nöwhere.jpg"]
for command in (
    ["new", f"{out}/prøject"],
    train,
    ["evaluate", model, source, "--report", f"{out}/r.html"],
    predict,
    ["score", model, source, "--out", f"{out}/p.csv"],
    ["featurize", source, "--out", f"{out}/f.parquet", *small],
    ["check", source],
    ["split", source, "--out", f"{out}/s.csv"],
    ["export", model, "--openvino", "--out", f"{out}/x.xml"],
    ["copy", f"{source}/größe→", f"{out}/cöpy"],
    ["backbones", "list"],
    ["target", "list"],
    ["train", "nöwhere"],
):
    expected = int("nöwhere" in command)
    assert run(command) == expected, command
    if command[0] not in ("new",):
        print("JSON", flush=True)
        assert run([*command, "--json"]) == expected, command
        print("END", flush=True)
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A source one of whose labels neither ASCII nor cp1252 can write."""
    folder = draw_folder(tmp_path / "images", 4)
    (folder / "dots").rename(folder / "größe→")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_command_prints_in_few_characters(
    encoding: str, labels: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", EVERY_COMMAND, str(labels), str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, cwd=tmp_path)
    printed, said = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert done.returncode == 0, said
    assert "defect" not in said
    assert "Traceback" not in said
    objects = [part.partition("END")[0].strip() for part in printed.split("JSON\n")[1:]]
    results = [json.loads(text) for text in objects]
    assert len(results) == 12
    assert all(text.isascii() for text in objects)
    assert "größe→" in results[0]["per_class"]
    assert results[2]["predictions"][0]["probabilities"].keys() >= {"größe→"}
    assert results[-1] == {"error": "There is no folder or file ‘nöwhere’."}
    assert "---" in printed if encoding == "ascii" else "—" not in printed


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a line in which `$F` is foveate; its own `echo` goes to stderr."""
    environment = {**os.environ, "F": " ".join(FOVEATE)}
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, cwd=cwd, timeout=120
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("how", [">&-", ">/dev/full"])
@pytest.mark.parametrize("command", ["backbones list", "backbones list --json", "--version"])
def test_a_result_that_cannot_be_printed_is_a_failure(
    command: str, how: str, tmp_path: Path
) -> None:
    done = shell(f"$F {command} {how}", tmp_path)
    assert done.returncode == 1
    reason = "it is closed" if how == ">&-" else "the disk is full"
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("`")]
    assert sentences == [
        f"Error: The result cannot be printed: {reason}. Send it elsewhere (`> FILE`)."
    ]


@pytest.mark.slow
def test_what_was_written_stays_where_nothing_can_be_printed(tmp_path: Path) -> None:
    draw_folder(tmp_path / "images", 4)
    done = shell("$F split images --out s.csv >&-", tmp_path)
    assert done.returncode == 1
    # All of it and nothing else: a file must not get the number of what was closed, and our prints.
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "path,label,split"
    assert len(lines) == 13


@pytest.mark.slow
@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true"])
def test_remarks_that_nobody_can_read_are_no_failure(how: str, tmp_path: Path) -> None:
    done = shell(f"$F backbones list {how}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 0
    assert "efficientnet-lite0" in done.stdout or "null" in how
    done = shell(f"$F train nowhere {how}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 1


@pytest.mark.parametrize("command", ["backbones list", "--help", "train --help"])
def test_a_reader_that_is_gone_is_no_failure(command: str, tmp_path: Path) -> None:
    done = shell(f"$F {command} | true; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 0
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


def test_standard_input_that_is_closed(tmp_path: Path) -> None:
    code = (
        "from foveate.cli.streams import open_streams; open_streams(); "
        "from foveate.cli.images import read_standard_input; read_standard_input()"
    )
    done = shell(f"{sys.executable} -c '{code}' <&-", tmp_path)
    assert "SettingsError: `-` is an image on standard input, which cannot be read" in done.stderr
