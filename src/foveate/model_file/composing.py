"""Put a classifier's file together."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from foveate.backbones import Card
from foveate.files import digest
from foveate.image import Resize
from foveate.model_file.digests import digest_text
from foveate.model_file.metadata import (
    FORMAT,
    RESIZE_IN_WORDS,
    Metadata,
    Quantisation,
    Summary,
    check_labels,
)
from foveate.model_file.parts import HEAD_PREFIX, cut
from foveate.model_file.reading import (
    DIGEST_KEY,
    ID_BYTES,
    METADATA_KEY,
    TRAINED_ON_KEY,
    digests_of,
    properties,
    read_model,
)
from foveate.runtime.untrusted import read_graph

if TYPE_CHECKING:
    from foveate.heads import Head

ML_OPSET = 3


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
    check_labels(head.labels)
    from foveate.heads import head_nodes  # brings scikit-learn, which loading a file does not need

    model = read_graph(backbone)
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
    return _seal(model, metadata, base64.b64encode(ids).decode())


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
    metadata = read_model(data).metadata  # says so where it is no whole classifier
    model = read_graph(data)
    head = [node for node in model.graph.node if node.name.startswith(HEAD_PREFIX)]
    used = {name for node in head for name in node.input}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in used]
    other = read_graph(backbone).graph
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend([*other.node, *head])
    model.graph.initializer.extend([*other.initializer, *constants])
    card = metadata.backbone.model_copy(update={"pack_sha256": digest(backbone)})
    changed = metadata.model_copy(update={"backbone": card, "quantisation": quantisation})
    return _seal(model, changed, properties(model).get(TRAINED_ON_KEY, ""))


def _seal(model: onnx.ModelProto, metadata: Metadata, trained_on: str) -> bytes:
    """The file's bytes, with digests of its parts; the same parts give the same bytes."""
    backbone, head = cut(model)
    text = metadata.model_copy(
        update={"parts": digests_of(backbone, head, trained_on)}
    ).model_dump_json()
    written = {METADATA_KEY: text, TRAINED_ON_KEY: trained_on, DIGEST_KEY: digest_text(text)}
    helper.set_model_props(model, properties(model) | written)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
