"""Results as JSON and as what the report tells."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from conftest import draw_folder
from foveate import pipeline
from foveate.cli import run
from foveate.results import train_command, training_json, training_notes, training_report
from foveate.settings import Settings, make_settings


def test_the_command_in_the_report_trains_the_same(patterns: Path, tmp_path: Path) -> None:
    settings = Settings(resolution=64, c=(0.1, 1.0), class_weight="balanced", seed=3)
    training = pipeline.train(patterns, settings)
    command = train_command(str(patterns), tmp_path / "m.onnx", settings)
    assert run([*shlex.split(command)[1:], "--quiet"]) == 0
    assert (tmp_path / "m.onnx").read_bytes() == training.classifier.onnx_bytes


def test_only_what_differs_is_in_the_command() -> None:
    assert train_command("photos", Path("m.onnx"), Settings()) == (
        "foveate train photos --out m.onnx"
    )
    words = shlex.split(train_command("a b", Path("m.onnx"), Settings(exclude=("x y", "z"))))
    (assignment,) = words[words.index("--set") + 1 :]
    assert make_settings(assignments=[assignment]).exclude == ("x y", "z")


def test_json_is_plain(patterns: Path) -> None:
    training = pipeline.train(patterns, Settings(resolution=64))
    result = training_json(training, model=Path("m.onnx"), report=None)
    assert json.loads(json.dumps(result)) == result
    assert sum(result["seconds"].values()) > 0


def test_notes_say_what_a_reader_must_know(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, 4)
    data = (folder / "dots" / "0.png").read_bytes()
    (folder / "stripes" / "wrong.png").write_bytes(data)
    (folder / "loose.png").write_bytes((folder / "dots" / "1.png").read_bytes() + b" ")
    training = pipeline.train(folder, Settings(resolution=64))
    notes = " ".join(training_notes(training))
    assert "under two labels (dots and stripes)" in notes
    assert "1 images have no label" in notes
    details = training_report(training, model=Path("m.onnx"), source=str(folder))
    assert details.counts["Without a label"] == 1
    assert details.counts["Files"] == 14
