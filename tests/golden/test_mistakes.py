"""The exit status and the sentence of the commonest mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from golden.conftest import golden

MISTAKES = {
    "no such folder": "train nowhere",
    "an empty folder": "train empty",
    "no labels": "train photos/dots",
    "one label": "train one",
    "a label with one image": "train thin",
    "an unknown backbone": "train photos --backbone resnet9000",
    "a resolution out of range": "train photos --resolution 5",
    "an unknown classifier": "train photos --classifier tree",
    "an unknown setting": "train photos --set colour=red",
    "a setting without a value": "train photos --set seed",
    "the wrong suffix": "train photos --out model.pt",
    "an output that is the input": "train photos --out photos",
    "an output that is the other output": "train photos --out same.html --report same.html",
    "a report that is the model": "evaluate m.onnx photos --report m.onnx",
    "a folder that cannot be made": "train photos --out m.onnx/new/model.onnx",
    "no such model": "predict none.onnx photos/dots/0.png",
    "no model": "predict photos/dots/0.png photos/dots/0.png",
    "no such image": "predict m.onnx none.png",
    "an image that cannot be read": "predict m.onnx photos/dots/broken.png",
    "other labels": "evaluate m.onnx others",
    "scored into no table": "score m.onnx photos --out p.txt",
    "no such target": "score m.onnx photos --out p.csv --target county",
    "no such engine": "score m.onnx photos --out p.csv --engine flink",
    "no such run": "runs show nothing",
    "a project twice": "new twice",
    "an unknown flag": "train photos --colour red",
    "an unknown command": "trian photos",
    "a missing argument": "train",
    "many devices without a network": "train photos --devices 2",
    "refined as a forest": "refine photos --classifier forest",
    "an export of nothing": "export m.onnx",
}


@pytest.fixture
def mistakes(at_work: Path) -> None:
    """Sources with a fault each."""
    for name in ("empty", "one/dots", "thin/dots", "thin/checks", "others/a", "others/b", "twice"):
        (at_work / name).mkdir(parents=True, exist_ok=True)
    (at_work / "twice" / "foveate.toml").touch()
    image = at_work / "photos" / "dots" / "0.png"
    for path in ("one/dots/0.png", "one/dots/1.png", "thin/dots/0.png", "thin/checks/0.png"):
        (at_work / path).write_bytes(image.read_bytes())
    for number, path in enumerate(("thin/checks/1.png", "others/a/0.png", "others/b/0.png")):
        (at_work / path).write_bytes(image.read_bytes() + bytes([number]))


@pytest.mark.usefixtures("mistakes")
def test_sentences(said: Callable[..., tuple[int, str, str]]) -> None:
    answers = {}
    for name, command in MISTAKES.items():
        status, out, err = said(*command.split())
        answers[name] = {"command": f"foveate {command}", "exit": status, "says": err}
        assert status != 0 or out, name
    golden("mistakes", answers)
