"""What a worker answers, without its process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foveate.classifier import load_classifier
from foveate.errors import ModelFileError
from foveate.serve.frames import Frame
from foveate.serve.models import ServedModel
from foveate.serve.process import Setup
from foveate.serve.worker import Worker


@pytest.fixture(scope="module")
def worker(served: ServedModel) -> Worker:
    setup = Setup({"patterns": served}, batch=4, max_bytes=100_000, max_pixels=20_000)
    return Worker.from_frame(setup.frame())


def rows(frame: Frame) -> np.ndarray:
    return np.frombuffer(frame.parts[0], np.float32).reshape(-1, 3)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_it_says_what_the_classifier_says(
    worker: Worker, model_file: Path, patterns: Path, count: int
) -> None:
    paths = sorted(patterns.rglob("*.png"))[:count]
    answer = worker.answer(Frame({"model": "patterns"}, [path.read_bytes() for path in paths]))
    assert answer.header["refused"] == {}
    expected = load_classifier(model_file).predict(paths)
    for row, prediction in zip(rows(answer), expected, strict=True):
        np.testing.assert_allclose(row, list(prediction.probabilities.values()), atol=1e-3)


def test_refused_images_are_named(worker: Worker, image: bytes) -> None:
    images = [image, b"", image[:200], image, b"GIF89a", b"some text that is no image"]
    answer = worker.answer(Frame({"model": "patterns"}, images))
    refused = answer.header["refused"]
    assert {index: reason for index, (reason, _) in refused.items()} == {
        1: "empty",
        2: "truncated",
        4: refused[4][0],
        5: "unsupported",
    }
    assert rows(answer).shape == (2, 3)
    np.testing.assert_allclose(rows(answer)[0], rows(answer)[1], atol=1e-3)


def test_all_refused(worker: Worker) -> None:
    answer = worker.answer(Frame({"model": "patterns"}, [b"", b""]))
    assert rows(answer).shape == (0, 3)


def test_limits_are_those_of_the_setup(served: ServedModel, image: bytes) -> None:
    small = Setup({"patterns": served}, batch=4, max_bytes=100_000, max_pixels=96 * 96 - 1)
    worker = Worker.from_frame(small.frame())
    answer = worker.answer(Frame({"model": "patterns"}, [image]))
    assert answer.header["refused"][0][0] == "too_large"


def test_a_file_that_is_no_classifier() -> None:
    header = {"names": ["m"], "batch": 1, "max_bytes": 1, "max_pixels": 1}
    with pytest.raises(ModelFileError):
        Worker.from_frame(Frame(header, [b"no model"]))
