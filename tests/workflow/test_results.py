"""Results as JSON and as what the report tells."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

from conftest import draw_folder
from foveate.cli import run
from foveate.settings import Settings, make_settings
from foveate.workflow import pipeline
from foveate.workflow.results import train_command, training_json, training_notes, training_report


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


def test_refining_again_takes_the_resolution_that_was_chosen() -> None:
    words = shlex.split(train_command("photos", Path("m.onnx"), Settings(classifier="dnn")))
    settings = make_settings(assignments=words[words.index("--set") + 1 :: 2])
    assert settings == Settings(classifier="dnn")
    assert "resolution" in settings.model_fields_set, "else it would be chosen anew"


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


def test_a_split_by_land_says_what_one_by_image_would_have_said(tmp_path: Path) -> None:
    """Land where the looks of a label change from place to place: next door is easy to know."""
    source = _land(tmp_path)
    training = pipeline.train(source, Settings(resolution=64, block_size=400, block_buffer=100))
    assert training.places is not None
    assert training.split.blocks is not None
    assert training.places.by_image.value > training.places.by_block.value + 0.1
    assert training.places.by_block == training.evaluation.accuracy
    assert "blocks" in training.evaluation.accuracy.method
    notes = " ".join(training_notes(training))
    assert "Split by where the images lie: 25 blocks of 400 m a side" in notes
    details = training_report(training, model=Path("m.onnx"), source=str(source))
    assert "Believe the first figure" in details.notes[-1]
    result = training_json(training, model=None, report=None)["blocks"]
    assert isinstance(result, dict)
    assert result["left_out"] == training.split.blocks.near > 0
    assert json.loads(json.dumps(result)) == result
    by_image = pipeline.train(source, Settings(resolution=64, split="image"))
    assert by_image.places is None
    assert by_image.evaluation.accuracy.value == training.places.by_image.value


def _land(folder: Path) -> Path:
    """20 x 20 tiles of one of two labels; each region of 4 x 4 has two looks of its own."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(20):
        for col in range(20):
            label = int(rng.integers(2))
            looks = np.random.default_rng([row // 4, col // 4]).integers(0, 256, (2, 4, 4, 3))
            small = Image.fromarray(looks[label].astype(np.uint8)).resize((64, 64))
            pixels = np.asarray(small) * 0.8 + rng.normal(20, 6, (64, 64, 3))
            name = f"{row}-{col}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
            rows.append([name, "ab"[label], (col + 0.5) * 100, (row + 0.5) * 100, 100])
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "x", "y", "size"], *rows])
    return folder
