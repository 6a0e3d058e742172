"""What a worker answers, without its process."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from foveate.classifier import Classifier, load_classifier
from foveate.errors import ModelFileError
from foveate.serve.models import ServedModel
from foveate.serve.workers.pipe import Frame
from foveate.serve.workers.process import Setup
from foveate.serve.workers.worker import NO_PROBABILITIES, Worker
from support.hostile_models import changed, tiny_classifier, without_digests


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


def worker_of(data: bytes) -> Worker:
    header = {"names": ["m"], "batch": 2, "max_bytes": 100_000, "max_pixels": 20_000}
    return Worker.from_frame(Frame(header, [data]))


def instead_of_probabilities(*nodes: onnx.NodeProto) -> bytes:
    """A small classifier whose head ends in other nodes, from `before` to `probabilities`."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "before"
        model.graph.node.extend(nodes)

    return changed(without_digests(tiny_classifier()), change)


@pytest.mark.parametrize("op", ["Log", "Neg", "Exp", "Tan"])
def test_a_classifier_that_gives_no_probabilities_is_not_taken(op: str) -> None:
    node = onnx.helper.make_node(op, ["before"], ["probabilities"], "head/last")
    data = instead_of_probabilities(node)
    with pytest.raises(ModelFileError, match="does not give probabilities"):
        worker_of(data)
    with pytest.raises(ModelFileError, match="does not give probabilities"):
        Classifier(data).predict(np.zeros((16, 16, 3), np.uint8))


def test_an_image_without_probabilities_is_refused_alone() -> None:
    """Not a number for black images: 0 / 0."""
    worker = worker_of(tiny_classifier())
    classifier = worker.classifiers["m"]
    real = classifier.unchecked_probabilities

    def spoilt(features: np.ndarray) -> np.ndarray:
        rows = real(features)
        rows[0] = np.nan
        return rows

    images = [png(value) for value in (0, 100, 200)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "unchecked_probabilities", spoilt)
        answer = worker.answer(Frame({"model": "m"}, [images[0], b"", *images[1:]]))
    assert answer.header["refused"][0] == ("unreadable", NO_PROBABILITIES)
    assert answer.header["refused"][1][0] == "empty"
    # A batch of two and one alone: the first row of each is spoilt.
    assert set(answer.header["refused"]) == {0, 1, 3}
    assert np.isfinite(rows(answer)).all()
    assert rows(answer).shape == (1, 3)


def png(value: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (16, 16), (value, value, value)).save(file, "PNG")
    return file.getvalue()
