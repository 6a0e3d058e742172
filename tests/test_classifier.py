"""Load one file, predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.classifier import Classifier, load_classifier
from foveate.errors import ModelFileError


@pytest.fixture(scope="module")
def classifier(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fv.train(patterns, resolution=64).classifier


def test_one_image(classifier: Classifier, patterns: Path) -> None:
    prediction = classifier.predict(patterns / "dots" / "0.png")
    assert prediction.label == "dots"
    assert prediction.error is None
    assert prediction.probability == max(prediction.probabilities.values())
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_paths_bytes_and_arrays_agree(classifier: Classifier, patterns: Path) -> None:
    path = patterns / "stripes" / "3.png"
    pixels = np.asarray(Image.open(path).convert("RGB"))
    given = [str(path), path, path.read_bytes(), pixels]
    found = [tuple(p.probabilities.values()) for p in classifier.predict(given)]
    assert found[0] == found[1] == found[2]
    np.testing.assert_allclose(found[3], found[0], atol=1e-3)


def test_the_batch_does_not_matter(classifier: Classifier, patterns: Path) -> None:
    paths = sorted(patterns.rglob("*.png"))[:11]
    together = classifier.predict(paths)
    alone = [classifier.predict(path) for path in paths]
    for one, other in zip(together, alone, strict=True):
        assert one.label == other.label
        np.testing.assert_allclose(
            list(one.probabilities.values()), list(other.probabilities.values()), atol=1e-3
        )


def test_a_bad_image_does_not_stop_the_others(
    classifier: Classifier, patterns: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    missing = tmp_path / "missing.jpg"
    found = classifier.predict([bad, patterns / "dots" / "1.png", missing])
    assert [p.label for p in found] == [None, "dots", None]
    assert found[0].error is not None
    assert "unsupported" in found[0].error
    assert found[2].error is not None
    assert "unreadable" in found[2].error


def test_no_images(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


def test_wrong_array_is_an_error_of_that_image(classifier: Classifier) -> None:
    prediction = classifier.predict(np.zeros((5, 5), np.uint8))
    assert prediction.label is None
    assert "(H, W, 3)" in str(prediction.error)


def test_save_and_load(classifier: Classifier, patterns: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.onnx"
    classifier.save(path)
    loaded = load_classifier(path)
    assert loaded.id == classifier.id
    image = patterns / "checks" / "2.png"
    assert loaded.predict(image) == classifier.predict(image)


def test_float32_agrees_on_the_label(classifier: Classifier, patterns: Path) -> None:
    exact = Classifier(classifier.onnx_bytes, precision="float32")
    paths = sorted(patterns.rglob("*.png"))
    labels = [[p.label for p in one.predict(paths)] for one in (classifier, exact)]
    assert np.mean([a == b for a, b in zip(*labels, strict=True)]) >= 0.94


def test_onnxruntime_alone_agrees(classifier: Classifier, patterns: Path) -> None:
    other = Classifier(classifier.onnx_bytes, precision="float32", runtime="onnxruntime")
    exact = Classifier(classifier.onnx_bytes, precision="float32")
    image = patterns / "stripes" / "5.png"
    assert other.network.runtime == "onnxruntime"
    np.testing.assert_allclose(
        list(other.predict(image).probabilities.values()),
        list(exact.predict(image).probabilities.values()),
        atol=1e-3,
    )


def test_knows_what_it_was_trained_on(classifier: Classifier) -> None:
    assert not classifier.was_trained_on("0" * 64)
    assert classifier.metadata.training.n_train == 27


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08"])
def test_not_a_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        load_classifier(path)


def test_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_classifier(tmp_path / "none.onnx")
