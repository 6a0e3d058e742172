"""The keys and types of what each command prints with `--json`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from golden.conftest import golden, shape

COMMANDS = {
    "train": "train photos --out other.onnx --resolution 64",
    "train-forest": "train photos --out forest.onnx --resolution 64 --classifier forest "
    "--set trees=64",
    "evaluate": "evaluate m.onnx photos --include-training",
    "predict": "predict m.onnx photos/dots/0.png photos/dots/broken.png",
    "score": "score m.onnx photos --out scored.csv",
    "featurize": "featurize photos --out features.parquet --resolution 64",
    "check": "check photos",
    "split": "split photos --out split.csv",
    "tune": "tune photos --resolution 64 --classifier svm --set c=1.0 --report tune.html",
    "new": "new project",
    "backbones-list": "backbones list",
    "target-list": "target list",
    "copy": "copy photos copied",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_keys_and_types(name: str, said: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = said(*COMMANDS[name].split(), "--json")
    assert status == 0, err
    assert len(out.strip().splitlines()) == 1
    golden(f"json/{name}", shape(json.loads(out)))


@pytest.mark.slow
def test_keys_and_types_of_the_demo(said: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = said("demo", "demo", "--json", "--quiet")
    assert status == 0, err
    golden("json/demo", shape(json.loads(out)))
