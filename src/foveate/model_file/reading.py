"""Read a classifier's file: no code is executed, and nothing is believed before it is checked.

What is checked, in this order: that it is ONNX of known operators with everything inside
(`runtime.untrusted`), what it says about itself (`metadata`), that it is not damaged (`digests`),
how much memory and time it takes (`runtime.sizes`), and that what comes out fits to the labels.
That these are probabilities is seen when it runs (`Classifier.probabilities`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import onnx

from foveate.errors import ModelFileError
from foveate.model_file.digests import digest_graph, digest_text
from foveate.model_file.metadata import Metadata, Parts, parse_metadata
from foveate.model_file.parts import cut
from foveate.runtime.sizes import check_sizes
from foveate.runtime.untrusted import read_graph

METADATA_KEY = "foveate"
TRAINED_ON_KEY = "foveate.trained_on"
DIGEST_KEY = "foveate.sha256"
"""Of the JSON under `METADATA_KEY`, which holds the digests of all else."""

ID_BYTES = 8
"""Bytes kept of the id of a training image: among a million images never seen, the chance that one
is taken for one of a million training images is 1e12 / 2^64, one in ten million."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A classifier file, read and checked.

    Attributes:
        metadata: what it says about itself.
        trained_on: the first `ID_BYTES` bytes of the id of each training image.
        backbone: ONNX graph `pixels` → `features`.
        head: ONNX graph `features` → `scores`, `probabilities`.
    """

    metadata: Metadata
    trained_on: frozenset[bytes]
    backbone: bytes
    head: bytes


def read_model(data: bytes) -> ModelFile:
    """Read a classifier from the bytes of its file.

    Raises:
        ModelFileError: the bytes are not a foveate classifier that this version reads.
    """
    model = read_graph(data)
    metadata = read_metadata(model)
    backbone, head = cut(model)
    _check_digests(model, metadata, backbone, head)
    _check_outsides(model, metadata)
    return ModelFile(
        metadata, _read_trained_on(model), backbone.SerializeToString(), head.SerializeToString()
    )


def read_metadata(model: onnx.ModelProto) -> Metadata:
    """What a file says about itself, checked.

    Raises:
        ModelFileError: it says nothing, or nothing sensible.
    """
    text = properties(model).get(METADATA_KEY)
    if text is None:
        raise ModelFileError("This ONNX file is not a foveate classifier: its metadata is missing.")
    return parse_metadata(text)


def properties(model: onnx.ModelProto) -> dict[str, str]:
    """The metadata of an ONNX file.

    Raises:
        ModelFileError: a key is there twice, so that readers may differ in what they take.
    """
    values = {prop.key: prop.value for prop in model.metadata_props}
    if len(values) < len(model.metadata_props):
        raise ModelFileError("The metadata of this file says something twice.")
    return values


def digests_of(backbone: onnx.ModelProto, head: onnx.ModelProto, trained_on: str) -> Parts:
    """Digests of the parts of a file, as its metadata keeps them."""
    return Parts(
        backbone=digest_graph(backbone),
        head=digest_graph(head),
        trained_on=digest_text(trained_on),
    )


def _check_digests(
    model: onnx.ModelProto, metadata: Metadata, backbone: onnx.ModelProto, head: onnx.ModelProto
) -> None:
    held = properties(model)
    if metadata.parts is None and DIGEST_KEY not in held:
        return  # written before there were digests
    parts = digests_of(backbone, head, held.get(TRAINED_ON_KEY, ""))
    damaged = [
        name
        for name, value in parts.model_dump().items()
        if metadata.parts is None or getattr(metadata.parts, name) != value
    ]
    if held.get(DIGEST_KEY) != digest_text(held[METADATA_KEY]):
        damaged = ["metadata"]
    if damaged:
        raise ModelFileError(
            f"This classifier is damaged: its {damaged[0].replace('_', ' ')} is not what was "
            "written. Copy it again from where it came from, or train it again."
        )


def _check_outsides(model: onnx.ModelProto, metadata: Metadata) -> None:
    """What goes in and comes out is as the metadata says."""
    side, labels = metadata.resolution, len(metadata.labels)
    outputs = check_sizes(model, {"pixels": (1, side, side, 3)})
    for name, width in (
        ("features", metadata.backbone.dimension),
        ("scores", labels),
        ("probabilities", labels),
    ):
        if outputs[name].shape != (1, width) or not outputs[name].is_float:
            raise ModelFileError(
                f"This classifier says it has {labels} labels and {metadata.backbone.dimension} "
                f"features, but its ‘{name}’ are of shape {outputs[name].shape}."
            )


def _read_trained_on(model: onnx.ModelProto) -> frozenset[bytes]:
    try:
        ids = base64.b64decode(properties(model).get(TRAINED_ON_KEY, ""), validate=True)
    except ValueError:
        raise ModelFileError("The list of training images in this classifier is damaged.") from None
    return frozenset(ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES))
