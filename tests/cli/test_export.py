"""`foveate export` as a person and as a program meets it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate import exporting
from foveate.cli import run
from foveate.evaluation import compare_paired

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        fv.train(patterns, resolution=64).save(path)
    return path


@pytest.fixture(scope="module")
def exported(
    model: Path, patterns: Path, tmp_path_factory: pytest.TempPathFactory
) -> exporting.Int8Export:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        # The networks run, but how fast they do in a test says nothing.
        patch.setattr(exporting.int8, "measure_rates", lambda *a, **k: [100.0, 200.0])
        return exporting.export_int8(fv.load(model), patterns)


@pytest.fixture
def outcome(
    exported: exporting.Int8Export, monkeypatch: pytest.MonkeyPatch
) -> dict[str, exporting.Int8Export]:
    """What the verb comes to."""
    told = {"is": exported}
    monkeypatch.setattr(exporting, "export_int8", lambda *a, **k: told["is"])
    return told


def test_int8_prints_before_and_after(
    model: Path,
    patterns: Path,
    tmp_path: Path,
    outcome: dict[str, exporting.Int8Export],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "int8.onnx"
    assert run(["export", str(model), str(patterns), "--int8", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "95 % interval" in printed
    assert "2.00 times as many images/s" in printed
    assert "Calibrated on 27 training images" in printed
    image = sorted((patterns / "dots").iterdir())[0]
    assert run(["predict", str(out), str(image)]) == 0
    assert "dots" in capsys.readouterr().out
    assert fv.load(out).network.precision == "int8"


def test_json_is_one_object(
    model: Path,
    patterns: Path,
    tmp_path: Path,
    outcome: dict[str, exporting.Int8Export],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "int8.onnx"
    words = ["export", str(model), str(patterns), "--int8", "--out", str(out)]
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == str(out)
    assert found["n_calibration"] == 27
    assert found["before"]["images_per_second"] == 100
    assert found["after"]["precision"] == "int8"
    assert found["comparison"]["n"] == found["n_test"] == 9
    assert found["objection"] is None


def test_what_gains_nothing_is_refused_unless_forced(
    model: Path,
    patterns: Path,
    tmp_path: Path,
    outcome: dict[str, exporting.Int8Export],
    capsys: pytest.CaptureFixture[str],
) -> None:
    slower = replace(outcome["is"].after, images_per_second=99.0)
    outcome["is"] = replace(outcome["is"], after=slower)
    out = tmp_path / "new" / "int8.onnx"
    words = ["export", str(model), str(patterns), "--int8", "--out", str(out)]
    assert run([*words, "--json"]) == 1
    printed = capsys.readouterr()
    assert "gains nothing" in json.loads(printed.out)["error"]
    assert not out.exists()
    assert run([*words, "--force"]) == 0
    assert "because of `--force`" in capsys.readouterr().err
    assert fv.load(out).metadata.quantisation is not None


def test_what_loses_too_much_is_refused(
    model: Path,
    patterns: Path,
    tmp_path: Path,
    outcome: dict[str, exporting.Int8Export],
    capsys: pytest.CaptureFixture[str],
) -> None:
    worse = compare_paired(np.zeros(9, bool), np.ones(9, bool))
    outcome["is"] = replace(outcome["is"], comparison=worse)
    out = tmp_path / "int8.onnx"
    assert run(["export", str(model), str(patterns), "--int8", "--out", str(out)]) == 1
    assert "costs 100.0 points" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--int8", "--out", "a.onnx"], "needs a SOURCE"),
        (["SOURCE", "--int8", "--out", "a.xml"], "must end in .onnx"),
        (["SOURCE", "--int8"], "--out"),
        (["SOURCE", "--out", "a.onnx"], "either `--int8` or `--openvino`"),
        (["SOURCE", "--int8", "--openvino", "--out", "a.onnx"], "either `--int8` or `--openvino`"),
        (["SOURCE", "--int8", "--out", "MODEL"], "is read by this very command"),
    ],
)
def test_what_is_missing_is_said(
    words: list[str],
    sentence: str,
    model: Path,
    patterns: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = model.read_bytes()
    meant = {"SOURCE": str(patterns), "MODEL": str(model)}
    assert run(["export", str(model), *(meant.get(word, word) for word in words)]) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert model.read_bytes() == before


def test_openvino(
    model: Path, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(model), "--openvino", "--out", str(tmp_path / "ir")]) == 0
    assert "on 8 images" in capsys.readouterr().out
    assert (tmp_path / "ir" / "m.xml").is_file()
    out = tmp_path / "one.xml"
    words = ["export", str(model), str(patterns), "--openvino", "--out", str(out), "--json"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images_compared"] == 24
    assert found["largest_difference"] <= 1e-3
    assert Path(found["weights"]).is_file()


def test_what_the_docs_show(
    model: Path,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    monkeypatch.chdir(tmp_path)
    shutil.copy(model, "model.onnx")
    (tmp_path / "photos").symlink_to(patterns)
    lines = re.findall(r"^foveate export .*$", docs, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        # Whether int8 is worth it here is a question of this machine.
        force = ["--force"] if "--int8" in line else []
        assert run([*shlex.split(line, comments=True)[1:], *force]) == 0, line
    assert {path.name for path in tmp_path.rglob("model*.*")} == {
        "model.onnx",
        "model-int8.onnx",
        "model.xml",
        "model.bin",
    }
    (snippet,) = re.findall(r"```python\n(.*?)```", docs, re.DOTALL)
    capsys.readouterr()
    exec(compile(snippet, "export.md", "exec"), {})
    assert capsys.readouterr().out.strip() in ("checks", "dots", "stripes")
