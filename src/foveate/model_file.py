"""The model file: backbone, head, labels, preprocessing and calibration in one ONNX file.

The graph takes `pixels` uint8 (N, H, W, 3) and gives `features`, `scores` and `probabilities`;
any ONNX runtime can run it. What else is needed (labels, resize rule, where the weights come from)
is JSON in the metadata key `foveate`. Reading the file executes no code: it is parsed, checked,
and handed to the runtimes as a graph of standard operators.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper
from pydantic import BaseModel, ConfigDict, ValidationError

from foveate.backbones import Card
from foveate.errors import ModelFileError
from foveate.files import digest
from foveate.image import Resize

if TYPE_CHECKING:
    from foveate.heads import Head

FORMAT = 1
METADATA_KEY = "foveate"
TRAINED_ON_KEY = "foveate.trained_on"
ID_BYTES = 8
"""Bytes kept of the id of a training image: among a million images never seen, the chance that one
is taken for one of a million training images is 1e12 / 2^64, one in ten million."""

OPSET = 17
ML_OPSET = 3
HEAD_PREFIX = "head/"


class Summary(BaseModel):
    """How a classifier came about, and how well it did.

    Attributes:
        classifier: kind of head.
        c: the chosen C, None for a forest.
        n_train: images trained on.
        n_test: images tested on.
        accuracy: on the test images, with its 95 % interval.
        accuracy_ci95: lower and upper end.
        seed: of split and head.
        foveate: version that trained it.
    """

    model_config = ConfigDict(frozen=True)

    classifier: str
    c: float | None
    n_train: int
    n_test: int
    accuracy: float | None = None
    accuracy_ci95: tuple[float, float] | None = None
    seed: int
    foveate: str


class Quantisation(BaseModel):
    """How a classifier's backbone was brought to int8, what that cost and what it gained.

    Attributes:
        precision: what the backbone computes in.
        n_calibration: training images that the ranges of the values come from.
        layers: of the backbone that have weights.
        left_out: names of those that were too sensitive and stay in floating point.
        n_test: images, never trained on, that both accuracies are of.
        precision_before: what the original computed in when it was measured.
        accuracy_before: of the original.
        accuracy_before_ci95: lower and upper end.
        accuracy_after: of this file.
        accuracy_after_ci95: lower and upper end.
        images_per_second_before: of the original network alone, on the machine that made the file.
        images_per_second_after: of this file's, in turn with the original.
        original: SHA-256 of the file it was made from.
        foveate: version that made it.
    """

    model_config = ConfigDict(frozen=True)

    precision: Literal["int8"] = "int8"
    n_calibration: int
    layers: int
    left_out: tuple[str, ...]
    n_test: int
    precision_before: str
    accuracy_before: float
    accuracy_before_ci95: tuple[float, float]
    accuracy_after: float
    accuracy_after_ci95: tuple[float, float]
    images_per_second_before: float
    images_per_second_after: float
    original: str
    foveate: str


class Metadata(BaseModel):
    """What the file says about itself, besides the graph.

    `quantisation` is None unless the backbone was brought to int8 after training.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    labels: tuple[str, ...]
    resolution: int
    resize: Literal["crop", "squash"]
    resize_in_words: str
    backbone: Card
    licence_of_weights: str
    training: Summary
    quantisation: Quantisation | None = None

    @property
    def preprocessing(self) -> Resize:
        """How an image becomes the pixels that the graph takes."""
        return Resize(self.resolution, self.resize)


RESIZE_IN_WORDS = {
    "crop": "Upright RGB. The centre square, 7/8 of the short side (all of the short side where it "
    "is below the resolution), resampled to resolution x resolution with antialiasing.",
    "squash": "Upright RGB. The whole image resampled to resolution x resolution with "
    "antialiasing; the aspect ratio is given up.",
}


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
    model = _parse(data)
    metadata = _read_metadata(model)
    backbone, head = _cut(model)
    return ModelFile(metadata, _read_trained_on(model), backbone, head)


def compose(
    backbone: bytes,
    head: Head,
    card: Card,
    resize: Resize,
    summary: Summary,
    *,
    trained_on: Iterable[str],
) -> bytes:
    """Put backbone and head into one ONNX file.

    Args:
        backbone: a pack, `pixels` → `features`.
        head: fitted on those features.
        card: of the backbone.
        resize: the preprocessing the head was fitted with.
        summary: of the training.
        trained_on: ids of the training images, so that nobody evaluates on them by mistake.

    Returns:
        The bytes of the file.
    """
    from foveate.heads import head_nodes  # brings scikit-learn, which loading a file does not need

    model = onnx.load_from_string(backbone)
    nodes, initializers = head_nodes(
        head,
        features="features",
        scores="scores",
        probabilities="probabilities",
        prefix=HEAD_PREFIX,
    )
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(initializers)
    k = len(head.labels)
    for name in ("scores", "probabilities"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", k]))
    model.graph.name = "foveate-classifier"
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    metadata = Metadata(
        format=FORMAT,
        labels=head.labels,
        resolution=resize.resolution,
        resize=resize.rule,
        resize_in_words=RESIZE_IN_WORDS[resize.rule],
        backbone=card,
        licence_of_weights=card.licence,
        training=summary,
    )
    ids = b"".join(sorted(bytes.fromhex(image)[:ID_BYTES] for image in set(trained_on)))
    helper.set_model_props(
        model,
        {
            METADATA_KEY: metadata.model_dump_json(),
            TRAINED_ON_KEY: base64.b64encode(ids).decode(),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def replace_backbone(
    data: bytes, backbone: bytes, *, quantisation: Quantisation | None = None
) -> bytes:
    """The same classifier on another form of its backbone; head and list of images stay as is.

    Args:
        data: the bytes of the file.
        backbone: `pixels` → `features`, the same features but for their precision.
        quantisation: what there is to say about it, in the metadata.

    Raises:
        ModelFileError: the bytes are not a foveate classifier that this version reads.
    """
    model = _parse(data)
    metadata = _read_metadata(model)
    _cut(model)  # says so where it is no whole classifier
    head = [node for node in model.graph.node if node.name.startswith(HEAD_PREFIX)]
    used = {name for node in head for name in node.input}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in used]
    other = onnx.load_from_string(backbone).graph
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend([*other.node, *head])
    model.graph.initializer.extend([*other.initializer, *constants])
    card = metadata.backbone.model_copy(update={"pack_sha256": digest(backbone)})
    changed = metadata.model_copy(update={"backbone": card, "quantisation": quantisation})
    kept = {prop.key: prop.value for prop in model.metadata_props}
    helper.set_model_props(model, kept | {METADATA_KEY: changed.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    changed_data: bytes = model.SerializeToString(deterministic=True)
    return changed_data


def _parse(data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(data)
        # External data would let a file name any other file of the machine as its weights.
        if any(tensor.external_data for tensor in model.graph.initializer):
            raise ModelFileError("This file refers to weights outside of itself.")
        if {opset.domain for opset in model.opset_import} - {"", "ai.onnx", "ai.onnx.ml"}:
            raise ModelFileError("This file needs operators that are not part of ONNX.")
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ModelFileError(f"This is not an ONNX file ({str(error).splitlines()[0]}).") from None
    return model


def _read_metadata(model: onnx.ModelProto) -> Metadata:
    found = {prop.key: prop.value for prop in model.metadata_props}.get(METADATA_KEY)
    if found is None:
        raise ModelFileError("This ONNX file is not a foveate classifier: its metadata is missing.")
    try:
        metadata = Metadata.model_validate_json(found)
    except ValidationError as error:
        raise ModelFileError(f"The metadata of this classifier cannot be read: {error}") from None
    if metadata.format > FORMAT:
        raise ModelFileError(
            f"This classifier has file format {metadata.format}, this foveate reads {FORMAT}. "
            "Install a newer foveate."
        )
    return metadata


def _read_trained_on(model: onnx.ModelProto) -> frozenset[bytes]:
    found = {prop.key: prop.value for prop in model.metadata_props}.get(TRAINED_ON_KEY, "")
    try:
        ids = base64.b64decode(found, validate=True)
    except ValueError:
        raise ModelFileError("The list of training images in this classifier is damaged.") from None
    return frozenset(ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES))


def _cut(model: onnx.ModelProto) -> tuple[bytes, bytes]:
    """Backbone (`pixels` → `features`) and head (`features` → `scores`, `probabilities`)."""
    outputs = {value.name: value for value in model.graph.output}
    inputs = {value.name: value for value in model.graph.input}
    if set(inputs) != {"pixels"} or not {"features", "scores", "probabilities"} <= set(outputs):
        raise ModelFileError("This classifier's inputs and outputs are not as they should be.")
    nodes: dict[bool, list[onnx.NodeProto]] = {True: [], False: []}
    for node in model.graph.node:
        nodes[node.name.startswith(HEAD_PREFIX)].append(node)
    head_outputs = [outputs["scores"], outputs["probabilities"]]
    return (
        _part(model, nodes[False], [inputs["pixels"]], [outputs["features"]]),
        _part(model, nodes[True], [outputs["features"]], head_outputs),
    )


def _part(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> bytes:
    used = {name for node in nodes for name in node.input}
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in used]
    graph = helper.make_graph(nodes, "part", inputs, outputs, initializers)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    data: bytes = part.SerializeToString()
    return data
