"""Digests of a file's parts: they find damage, not forgery.

A flipped bit in the weights of a network changes its answers a little, and nobody would notice. So
the file says what its parts were when it was written. Whoever changes a file on purpose can write
new digests, too: against that, compare the SHA-256 of the whole file with what its author says.

They are taken over what the parts mean, not over the bytes of the file, as another program that
reads and writes ONNX may put the same fields in another order.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

if TYPE_CHECKING:
    from hashlib import _Hash

_SETTINGS: dict[int, Callable[[AttributeProto], bytes]] = {
    AttributeProto.FLOAT: lambda a: struct.pack("<f", a.f),
    AttributeProto.INT: lambda a: struct.pack("<q", a.i),
    AttributeProto.STRING: lambda a: a.s,
    AttributeProto.FLOATS: lambda a: np.array(a.floats, "<f4").tobytes(),
    AttributeProto.INTS: lambda a: np.array(a.ints, "<i8").tobytes(),
    AttributeProto.STRINGS: lambda a: b"".join(
        struct.pack("<Q", len(text)) + text for text in a.strings
    ),
}


def digest_graph(part: onnx.ModelProto) -> str:
    """SHA-256 of a network: its nodes in their order, its weights by name, and its outsides.

    Names and texts count as UTF-8, whole numbers as 64 bits and fractions as IEEE 754, both with
    the lowest byte first; each with its length before it.
    """
    digest = hashlib.sha256()
    for opset in sorted(part.opset_import, key=lambda opset: opset.domain):
        _add(digest, opset.domain.encode(), struct.pack("<q", opset.version))
    for value in (*part.graph.input, *part.graph.output):
        sizes = (size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim)
        kind = value.type.tensor_type.elem_type
        _add(digest, value.name.encode(), struct.pack("<q", kind), repr(list(sizes)).encode())
    for node in part.graph.node:
        _add(digest, node.domain.encode(), node.op_type.encode(), node.name.encode())
        _add_names(digest, node.input)
        _add_names(digest, node.output)
        for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
            _add(digest, attribute.name.encode(), struct.pack("<q", attribute.type))
            if attribute.type == AttributeProto.TENSOR:
                _add_tensor(digest, attribute.t)
            else:
                _add(digest, _SETTINGS[attribute.type](attribute))
    for tensor in sorted(part.graph.initializer, key=lambda tensor: tensor.name):
        _add_tensor(digest, tensor)
    return digest.hexdigest()


def digest_text(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _add(digest: _Hash, *items: bytes) -> None:
    for item in items:
        digest.update(struct.pack("<Q", len(item)))
        digest.update(item)


def _add_names(digest: _Hash, names: Iterable[str]) -> None:
    _add(digest, *(name.encode() for name in names), b"")


def _add_tensor(digest: _Hash, tensor: TensorProto) -> None:
    sizes = struct.pack(f"<{len(tensor.dims)}q", *tensor.dims)
    # `raw_data` has the lowest byte first, on every machine.
    numbers = tensor.raw_data or numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
    _add(digest, tensor.name.encode(), struct.pack("<q", tensor.data_type), sizes, numbers)
