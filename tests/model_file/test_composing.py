"""The model file: what is in it, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from foveate.backbones import find_backbone
from foveate.errors import ModelFileError
from foveate.heads import HeadKind, fit_head
from foveate.image import Resize
from foveate.model_file import METADATA_KEY, Summary, compose, read_model, replace_backbone
from foveate.model_file.reading import DIGEST_KEY, TRAINED_ON_KEY
from support.hostile_models import tiny_backbone, tiny_classifier, without_digests

LABELS = ("a", "b", "ç")
KINDS: tuple[HeadKind, ...] = ("svm", "logistic", "forest")


def training_features(seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = [LABELS[i % 3] for i in range(60)]
    centres = rng.random((3, 1280))
    noise = rng.random((60, 1280))
    features = np.stack([centres[i % 3] for i in range(60)]) + noise
    return features.astype(np.float32), labels


def make_file(kind: HeadKind = "svm", trained_on: tuple[str, ...] = ("ab" * 32,)) -> bytes:
    features, labels = training_features()
    head = fit_head(features, labels, kind=kind, trees=64)
    summary = Summary(classifier=kind, c=head.c, n_train=60, n_test=0, seed=0, foveate="0")
    backbone = find_backbone("efficientnet-lite0")
    return compose(
        backbone.onnx_bytes(), head, backbone.card, Resize(64), summary, trained_on=trained_on
    )


@pytest.fixture(scope="module")
def svm_file() -> bytes:
    return make_file()


@pytest.mark.parametrize("kind", KINDS)
def test_ten_lines_of_plain_onnxruntime(kind: HeadKind) -> None:
    data = make_file(kind)
    session = onnxruntime.InferenceSession(data)
    pixels = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)
    names = ["probabilities", "scores", "features"]
    probabilities, scores, features = session.run(names, {"pixels": pixels})
    assert probabilities.shape == scores.shape == (5, 3)
    assert features.shape == (5, 1280)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    labels = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])["labels"]
    assert tuple(labels) == LABELS


@pytest.mark.parametrize("kind", KINDS)
def test_graph_gives_what_the_head_gives(kind: HeadKind) -> None:
    features, labels = training_features()
    head = fit_head(features, labels, kind=kind, trees=64)
    session = onnxruntime.InferenceSession(read_model(make_file(kind)).head)
    fresh, _ = training_features(seed=1)
    probabilities, scores = session.run(["probabilities", "scores"], {"features": fresh})
    np.testing.assert_allclose(probabilities, head.probabilities(fresh), atol=1e-5)
    np.testing.assert_allclose(scores, head.scores(fresh), atol=1e-4)


def test_metadata(svm_file: bytes) -> None:
    model = read_model(svm_file)
    assert model.metadata.labels == LABELS
    assert model.metadata.preprocessing == Resize(64)
    assert model.metadata.backbone == find_backbone("efficientnet-lite0").card
    assert model.metadata.licence_of_weights == "Apache-2.0"
    assert model.trained_on == {bytes.fromhex("ab" * 8)}


def test_the_same_training_gives_the_same_bytes(svm_file: bytes) -> None:
    assert make_file() == svm_file


def changed(data: bytes, change: object) -> bytes:
    model = onnx.load_from_string(data)
    change(model)
    return model.SerializeToString()


def set_metadata(model: onnx.ModelProto, text: str) -> None:
    helper.set_model_props(model, {METADATA_KEY: text})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.ClearField("metadata_props"), "not a foveate classifier"),
        (lambda m: set_metadata(m, "{}"), "cannot be read"),
        (lambda m: set_metadata(m, "no json"), "cannot be read"),
        (lambda m: m.graph.output.pop(), "inputs and outputs"),
        (lambda m: m.opset_import.append(helper.make_opsetid("evil", 1)), "not part of ONNX"),
    ],
)
def test_odd_files_are_refused(svm_file: bytes, change: object, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_model(changed(svm_file, change))


def test_newer_format_says_to_upgrade(svm_file: bytes) -> None:
    def raise_format(model: onnx.ModelProto) -> None:
        found = {p.key: p.value for p in model.metadata_props}[METADATA_KEY]
        set_metadata(model, json.dumps(json.loads(found) | {"format": 99}))

    with pytest.raises(ModelFileError, match="Install a newer"):
        read_model(changed(svm_file, raise_format))


def test_weights_outside_the_file_are_refused(svm_file: bytes, tmp_path: Path) -> None:
    """A file must not be able to read another file of the machine as its weights."""

    def point_outside(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    with pytest.raises(ModelFileError, match="outside"):
        read_model(changed(svm_file, point_outside))


def say(model: onnx.ModelProto, **values: object) -> None:
    """Change what the metadata say, in a file of before there were digests."""
    held = {prop.key: prop.value for prop in model.metadata_props}
    text = json.loads(held.pop(METADATA_KEY)) | {"parts": None} | values
    held.pop(DIGEST_KEY)
    helper.set_model_props(model, held | {METADATA_KEY: json.dumps(text)})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resolution": 0}, "0 pixels a side"),
        ({"resolution": -1}, "-1 pixels a side"),
        ({"resolution": 10**6}, "1,000,000 pixels a side"),
        ({"resolution": 1e300}, "‘resolution’"),
        ({"labels": []}, "at least two labels"),
        ({"labels": ["a"]}, "at least two labels"),
        ({"labels": ["a", "b"]}, "2 labels"),
        ({"labels": ["a", "b", "c", "d"]}, "4 labels"),
        ({"labels": ["a", "b", "a"]}, "‘a’ is there twice"),
        ({"labels": ["a", "b", " "]}, "Label 3 of this classifier is empty"),
        ({"labels": ["a", "b", "\x1b[2J"]}, "control characters"),
        ({"labels": ["a", "b", "x" * 1001]}, "1,001 characters"),
        ({"licence_of_weights": "a\x1b[2J"}, "control characters"),
        ({"training": None}, "‘training’"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFileError, match=re.escape(message)):
        read_model(changed(tiny_classifier(), lambda m: say(m, **values)))


def test_deep_metadata_is_refused() -> None:
    data = changed(tiny_classifier(), lambda m: set_metadata(m, "[" * 100_000))
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model(data)


def test_files_of_before_there_were_digests_are_read() -> None:
    old = read_model(without_digests(tiny_classifier()))
    assert old.metadata.parts is None
    assert old.backbone == read_model(tiny_classifier()).backbone


def test_a_flipped_bit_in_the_weights_is_found() -> None:
    data = bytearray(tiny_classifier())
    weights = onnx.load_from_string(bytes(data)).graph.initializer
    rng = np.random.default_rng(0)
    for tensor in weights:
        start = bytes(data).index(tensor.raw_data)
        place = start + int(rng.integers(len(tensor.raw_data)))
        data[place] ^= 1
        with pytest.raises(ModelFileError, match="is damaged"):
            read_model(bytes(data))
        data[place] ^= 1
    read_model(bytes(data))


@pytest.mark.parametrize("key", [METADATA_KEY, TRAINED_ON_KEY, DIGEST_KEY])
def test_damaged_metadata_is_found(key: str) -> None:
    def damage(model: onnx.ModelProto) -> None:
        held = {prop.key: prop.value for prop in model.metadata_props}
        text = held[key].replace("ç", "e") if key == METADATA_KEY else "AAAAAAAAAAA="
        helper.set_model_props(model, held | {key: text})

    with pytest.raises(ModelFileError, match="is damaged"):
        read_model(changed(tiny_classifier(), damage))


def test_a_lost_digest_is_found() -> None:
    def forget(model: onnx.ModelProto) -> None:
        held = {prop.key: prop.value for prop in model.metadata_props}
        del held[DIGEST_KEY]
        helper.set_model_props(model, held)

    with pytest.raises(ModelFileError, match="is damaged"):
        read_model(changed(tiny_classifier(), forget))


def test_the_order_of_weights_and_attributes_does_not_matter() -> None:
    def reverse(model: onnx.ModelProto) -> None:
        tensors = list(model.graph.initializer)
        del model.graph.initializer[:]
        model.graph.initializer.extend(reversed(tensors))
        for node in model.graph.node:
            attributes = list(node.attribute)
            del node.attribute[:]
            node.attribute.extend(reversed(attributes))

    data = changed(tiny_classifier(), reverse)
    assert data != tiny_classifier()
    read_model(data)


def test_another_backbone_gets_its_own_digest() -> None:
    other = changed(
        tiny_backbone(),
        lambda m: m.graph.initializer[-1].CopyFrom(
            numpy_helper.from_array(np.zeros(24, np.float32), m.graph.initializer[-1].name)
        ),
    )
    before, after = tiny_classifier(), replace_backbone(tiny_classifier(), other)
    old, new = read_model(before).metadata.parts, read_model(after).metadata.parts
    assert old is not None
    assert new is not None
    assert (old.head, old.trained_on) == (new.head, new.trained_on)
    assert old.backbone != new.backbone


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        read_model(data)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 6_000_000))
def test_a_cut_file_is_refused(svm_file: bytes, length: int) -> None:
    with pytest.raises(ModelFileError):
        read_model(svm_file[:length])
