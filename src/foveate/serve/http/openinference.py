"""The Open Inference Protocol, version 2: tensors in JSON, or in binary after the JSON.

https://github.com/open-inference/open-inference-protocol, and the binary tensor data extension of
Triton (https://github.com/triton-inference-server/server/blob/main/docs/protocol/
extension_binary_data.md): the header `Inference-Header-Content-Length` says where the JSON ends and
the tensors begin, one after the other; a BYTES tensor is its elements, each after its length as
a little-endian 32-bit integer.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json

from foveate.serve.http.refusals import invalid
from foveate.serve.http.uploads import check_count, check_values, decode_base64, in_words
from foveate.serve.models import ServedModel
from foveate.serve.schemas import (
    InferRequest,
    InferTensor,
    ModelMetadata,
    TensorInfo,
)
from foveate.serve.service import Upload
from foveate.serve.settings import ServerSettings
from foveate.serve.workers.queue import ImageAnswer, most_probable

LENGTH_HEADER = "inference-header-content-length"
INPUT = "image"
LABEL, PROBABILITIES = "label", "probabilities"

_LENGTH = struct.Struct("<I")
_DIGITS = re.compile("[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Inference:
    """A request, read.

    Attributes:
        id: of the request, as the client named it.
        uploads: the images.
        outputs: name → whether it is wanted in binary.
        top_k: how many labels of each image are wanted, the most probable first; None for the
            one label, and the probabilities of all.
    """

    id: str | None
    uploads: list[Upload]
    outputs: dict[str, bool]
    top_k: int | None = None


def version_of(model: ServedModel) -> str:
    """The version of a classifier, as the protocol names it: the beginning of its id."""
    return model.id[:12]


def describe(model: ServedModel) -> ModelMetadata:
    """A classifier as the protocol describes models."""
    return ModelMetadata(
        name=model.name,
        versions=[version_of(model)],
        platform="foveate",
        inputs=[TensorInfo(name=INPUT, datatype="BYTES", shape=[-1])],
        outputs=[
            TensorInfo(name=LABEL, datatype="BYTES", shape=[-1]),
            TensorInfo(name=PROBABILITIES, datatype="FP32", shape=[-1, len(model.labels)]),
        ],
    )


def read_inference(body: bytes, json_length: str | None, settings: ServerSettings) -> Inference:
    """Read a request.

    Args:
        body: all of it.
        json_length: the header `Inference-Header-Content-Length`, if there was one.
        settings: limits.

    Raises:
        RequestRefused: 413 too many images, 422 not a request of the protocol.
    """
    end = len(body)
    if json_length is not None:
        if not (_DIGITS.fullmatch(json_length) and int(json_length) <= end):
            raise invalid(f"The header {LENGTH_HEADER} is not a length within the body.")
        end = int(json_length)
    head = body[:end]
    check_values(head, settings)
    try:
        request = InferRequest.model_validate_json(head)
    except ValidationError as error:
        raise invalid(in_words(error)) from None
    if [tensor.name for tensor in request.inputs] != [INPUT]:
        raise invalid(f"The one input is called ‘{INPUT}’.")
    (tensor,) = request.inputs
    images = _images(tensor, body[end:], settings)
    if not images:
        raise invalid("The request holds no image.")
    in_binary = bool((request.parameters or {}).get("binary_data_output", False))
    wanted = request.outputs or []
    unknown = [output.name for output in wanted if output.name not in (LABEL, PROBABILITIES)]
    if unknown:
        raise invalid(
            f"There is no output ‘{unknown[0][:100]}’; there are {LABEL}, {PROBABILITIES}."
        )
    outputs = {
        output.name: bool((output.parameters or {}).get("binary_data", in_binary))
        for output in wanted
    } or {LABEL: in_binary, PROBABILITIES: in_binary}
    uploads = [Upload(None, image) for image in images]
    return Inference(request.id, uploads, outputs, _top_k(request))


def write_inference(
    inference: Inference, model: ServedModel, answers: Sequence[ImageAnswer]
) -> tuple[bytes, int | None]:
    """The response.

    Returns:
        The body, and the length of the JSON at its beginning; None where it is all JSON.
    """
    rows = np.stack([answer.row for answer in answers])
    best = most_probable(rows, inference.top_k or 1)
    labels = [model.labels[index] for index in best.ravel()]
    if inference.top_k is not None:
        rows = np.take_along_axis(rows, best, axis=1)
    outputs, tensors = [], []
    for name, in_binary in inference.outputs.items():
        is_label = name == LABEL
        shape = [len(rows)] if is_label and inference.top_k is None else list(rows.shape)
        kind = "BYTES" if is_label else "FP32"
        if in_binary:
            data = _pack(labels) if is_label else rows.astype("<f4").tobytes()
            tensors.append(data)
            outputs.append(
                InferTensor(
                    name=name,
                    shape=shape,
                    datatype=kind,
                    parameters={"binary_data_size": len(data)},
                )
            )
        else:
            values: list[object] = [*(labels if is_label else rows.ravel().tolist())]
            outputs.append(InferTensor(name=name, shape=shape, datatype=kind, data=values))
    response = {
        "model_name": model.name,
        "model_version": version_of(model),
        **({"id": inference.id} if inference.id is not None else {}),
        "outputs": [output.model_dump(exclude_none=True) for output in outputs],
    }
    head = to_json(response)
    return b"".join([head, *tensors]), len(head) if tensors else None


def _top_k(request: InferRequest) -> int | None:
    count = (request.parameters or {}).get("top_k")
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise invalid("The parameter ‘top_k’ is a number of labels, from 1.")
    return count


def _images(tensor: InferTensor, binary: bytes, settings: ServerSettings) -> list[bytes]:
    if tensor.datatype != "BYTES":
        raise invalid(f"The input ‘{INPUT}’ is of type BYTES: the bytes of image files.")
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is not None:
        if size != len(binary):
            raise invalid("binary_data_size is not the length of what follows the JSON.")
        images = _unpack(binary, settings)
    else:
        texts = _flat(tensor.data or [])
        check_count(len(texts), settings)
        images = [decode_base64(text, index) for index, text in enumerate(texts)]
    # [n] is ours; [n, 1] comes from servers that count a batch apart.
    if math.prod(tensor.shape) != len(images):
        raise invalid(f"The shape of ‘{INPUT}’ does not fit its {len(images)} elements.")
    return images


def _flat(data: Sequence[object]) -> list[str]:
    texts: list[str] = []
    for value in data:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list) and all(isinstance(text, str) for text in value):
            texts.extend(value)
        else:
            raise invalid(f"The elements of ‘{INPUT}’ are texts in base64.")
    return texts


def _unpack(binary: bytes, settings: ServerSettings) -> list[bytes]:
    images, at = [], 0
    while at < len(binary):
        start = at + _LENGTH.size
        if start > len(binary):
            raise invalid("The binary tensor ends within a length.")
        (length,) = _LENGTH.unpack_from(binary, at)
        at = start + length
        if at > len(binary):
            raise invalid("The binary tensor ends within an element.")
        images.append(binary[start:at])
        check_count(len(images), settings)
    return images


def _pack(texts: Sequence[str]) -> bytes:
    parts = []
    for text in texts:
        data = text.encode()
        parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)
