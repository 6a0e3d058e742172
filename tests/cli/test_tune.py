"""`foveate tune` as a person and as a program meets it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import draw_folder, hear_ctrl_c
from foveate.cli import run

SMALL = ("--resolution", "64", "--resolution", "96", "--set", "c=[0.1, 1.0]", "--set", "trees=64")


@pytest.mark.slow
def test_it_prints_a_table_and_writes_a_page(
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["tune", str(patterns), "--classifier", "svm", *SMALL]) == 0
    out = capsys.readouterr().out
    for words in ("95 % interval", "images/s", "chosen", "best trade-off", "test images"):
        assert words in out
    assert "<html" in (tmp_path / "tune.html").read_text()
    command = next(line for line in out.splitlines() if line.startswith("Train it"))
    assert run([*shlex.split(command)[3:], "--quiet"]) == 0
    assert (tmp_path / "model.onnx").is_file()


@pytest.mark.slow
def test_json_is_one_object(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "t.html"
    arguments = ["tune", str(patterns), "--classifier", "logistic", *SMALL, "--json"]
    assert run([*arguments, "--report", str(report)]) == 0
    (text,) = capsys.readouterr().out.strip().splitlines()
    found = json.loads(text)
    assert found["report"] == str(report)
    promised = {
        "candidates",
        "chosen",
        "command",
        "accuracy",
        "accuracy_ci95",
        "learning_curve",
        "seconds",
    }
    assert promised <= set(found)
    assert found["chosen"]["classifier"] == "logistic"
    assert {"backbone", "resolution", "images_per_second", "state"} <= set(found["candidates"][0])


@pytest.mark.slow
def test_a_project_keeps_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    assert run(["new", str(project)]) == 0
    draw_folder(project / "images", 6)
    (project / "foveate.toml").write_text("resolution = 64\nc = [1.0]\n")
    capsys.readouterr()
    arguments = ["tune", str(project), "--resolution", "64", "--classifier", "svm", "--json"]
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["report"]).parent == project / "reports"
    assert list((project / ".foveate" / "tune").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--classifier", "dnn"], "is not searched"),
        (["--classifier", "cnn"], "choose from svm, logistic, forest"),
        (["--resolution", "3"], "resolution = 3"),
        (["--backbone", "resnet9000"], "There is no backbone"),
        (["--minutes", "0"], "needs some time"),
        (["--minutes", "0.00001"], "run the same command again"),
        (["--exclude", "dots", "--exclude", "checks"], "only one label"),
    ],
)
def test_failures_are_one_sentence(
    patterns: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tune", str(patterns), *arguments, "--json"]) == 1
    captured = capsys.readouterr()
    assert words in json.loads(captured.out)["error"]
    assert captured.err.startswith("Error: ")
    assert "defect" not in captured.err


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from foveate.cli import run; run(['tune', '--help'])\n"
        "heavy = {'sklearn', 'torch', 'openvino'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


COUNT = 120
SPEEDS = {"images_per_second", "best_trade_off"}
VOLATILE = {"seconds", "report", "candidates"}


def start(source: Path, cache: Path, report: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "foveate", "tune", str(source), "--json", *arguments]
    return subprocess.Popen(
        [*command, "--report", str(report)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"FOVEATE_CACHE": str(cache)},
        preexec_fn=hear_ctrl_c,
    )


def result(process: subprocess.Popen[bytes]) -> dict[str, object]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def measures(found: dict[str, object]) -> dict[str, object]:
    """What must not depend on having been killed, nor on how busy the machine was.

    Speeds are measured anew in each cache; who is on the front, and the order of those that are
    equally accurate, follow from them.
    """
    candidates = sorted(
        (
            {key: value for key, value in one.items() if key not in SPEEDS}
            for one in found["candidates"]
        ),
        key=lambda one: (one["backbone"], one["resolution"], one["classifier"]),
    )
    return {key: value for key, value in found.items() if key not in VOLATILE} | {
        "candidates": candidates
    }


@pytest.mark.slow
def test_a_killed_search_goes_on(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    source = draw_folder(tmp_path_factory.mktemp("many"), COUNT)
    sizes = ("--resolution", "96", "--resolution", "128")
    expected = result(start(source, tmp_path / "calm", tmp_path / "calm.html", *sizes))

    cache, report = tmp_path / "killed", tmp_path / "killed.html"
    ends = []
    for how in (signal.SIGKILL, signal.SIGINT) * 2:
        process = start(source, cache, report, *sizes)
        before = len(list(cache.rglob("*")))
        deadline = time.monotonic() + 60
        while len(list(cache.rglob("*"))) < before + 5 and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(how)
        process.communicate(timeout=60)
        ends.append(process.returncode)
    assert {-signal.SIGKILL, 130} <= set(ends) <= {-signal.SIGKILL, 130, 0}
    found = result(start(source, cache, report, *sizes))
    assert measures(found) == measures(expected)
