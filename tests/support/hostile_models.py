"""Small classifiers of many operators, and thousands of ways to damage them or make them evil."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from foveate.backbones import Card
from foveate.heads import HeadKind, fit_head
from foveate.image import Resize
from foveate.model_file import METADATA_KEY, Summary, compose
from foveate.model_file.reading import DIGEST_KEY
from foveate.runtime.operators import ALLOWED

SIDE = 16
LABELS = ("a", "b", "ç")
FEATURES = 24
CARD = Card(
    name="tiny",
    description="Made by a test.",
    source="a test",
    weights_sha256="0" * 64,
    pack_sha256="0" * 64,
    licence="Apache-2.0",
    preprocessing="in the graph",
    resolution=SIDE,
    dimension=FEATURES,
    parameters=1,
    imagenet_top1=None,
    imagenet_sample_top1=None,
    imagenet_sample_n=None,
)


@cache
def tiny_backbone() -> bytes:
    """Convolutions, a quantised layer, and shapes that are computed as transformers do it."""
    rng = np.random.default_rng(0)
    weights: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(value: object, kind: type = np.float32) -> str:
        name = f"w{len(weights)}"
        weights.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def add(op: str, inputs: Sequence[str], count: int = 1, **attributes: object) -> list[str]:
        outputs = [f"v{len(nodes)}_{i}" for i in range(count)]
        nodes.append(helper.make_node(op, inputs, outputs, f"backbone/{len(nodes)}", **attributes))
        return outputs

    (x,) = add("Cast", ["pixels"], to=TensorProto.FLOAT)
    (x,) = add("Div", [*add("Sub", [x, constant(127)]), constant([64, 65, 66])])
    (x,) = add("Transpose", [x], perm=[0, 3, 1, 2])
    kernel, bias = constant(rng.normal(0, 0.3, (8, 3, 3, 3))), constant(np.zeros(8))
    (x,) = add("Conv", [x, kernel, bias], pads=[1, 1, 1, 1], strides=[2, 2])
    (x,) = add("Relu", [x])
    scale, zero = constant(0.05), constant(0, np.uint8)
    (x,) = add("DequantizeLinear", [*add("QuantizeLinear", [x, scale, zero]), scale, zero])
    depthwise = constant(rng.normal(0, 0.3, (8, 1, 3, 3)))
    (y,) = add("Conv", [x, depthwise], group=8, auto_pad="SAME_UPPER", dilations=[1, 1])
    (x,) = add("Clip", [*add("Add", [x, y]), constant(0), constant(6)])
    (y,) = add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    (z,) = add("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
    (x,) = add("Concat", [y, z], axis=1)
    scales = constant([1, 1, 2, 2])
    (x,) = add("Resize", [x, "", scales], mode="nearest")
    (x,) = add("Pad", [x, constant([0, 0, 0, 0, 0, 0, 1, 1], np.int64)])
    starts, ends = constant([1, 1], np.int64), constant([9, 9], np.int64)
    (x,) = add("Slice", [x, starts, ends, constant([2, 3], np.int64)])
    (shape,) = add("Shape", [x])
    (n,) = add("Gather", [shape, constant([0], np.int64)], axis=0)
    (shape,) = add("Concat", [n, constant([16, -1], np.int64)], axis=0)
    (x,) = add("Transpose", add("Reshape", [x, shape]), perm=[0, 2, 1])
    (x,) = add("LayerNormalization", [x, constant(np.ones(16)), constant(np.zeros(16))], axis=-1)
    (qkv,) = add("MatMul", [x, constant(rng.normal(0, 0.3, (16, 48)))])
    q, k, v = add("Split", [qkv, constant([16, 16, 16], np.int64)], 3, axis=2)
    (attention,) = add("MatMul", [q, *add("Transpose", [k], perm=[0, 2, 1])])
    (attention,) = add("Softmax", [attention], axis=-1)
    (x,) = add("Add", [x, *add("MatMul", [attention, v])])
    (position,) = add("ConstantOfShape", [constant([1, 64, 16], np.int64)])
    (position,) = add("Expand", [position, *add("Shape", [x])])
    (x,) = add("Sigmoid", add("Add", [x, position]))
    (x,) = add("ReduceMean", [x], axes=[1], keepdims=0)
    matrix = constant(rng.normal(0, 0.5, (16, FEATURES)))
    nodes.append(
        helper.make_node(
            "Gemm", [x, matrix, constant(np.ones(FEATURES))], ["features"], "backbone/z"
        )
    )
    graph = helper.make_graph(
        nodes,
        "backbone",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@cache
def tiny_classifier(kind: HeadKind = "svm") -> bytes:
    """A classifier of 16 × 16 pixels and three labels."""
    rng = np.random.default_rng(0)
    labels = [LABELS[i % 3] for i in range(60)]
    centres = rng.random((3, FEATURES))
    features = np.stack([centres[i % 3] for i in range(60)]) + 0.3 * rng.random((60, FEATURES))
    head = fit_head(features.astype(np.float32), labels, kind=kind, trees=64)
    summary = Summary(classifier=kind, c=head.c, n_train=60, n_test=0, seed=0, foveate="0")
    return compose(tiny_backbone(), head, CARD, Resize(SIDE), summary, trained_on=("ab" * 32,))


def changed(data: bytes, change: Callable[[onnx.ModelProto], object]) -> bytes:
    """The file with something changed, digests left as they were."""
    model = onnx.load_from_string(data)
    change(model)
    changed_data: bytes = model.SerializeToString()
    return changed_data


def without_digests(data: bytes) -> bytes:
    """The file as it was written before there were digests."""

    def forget(model: onnx.ModelProto) -> None:
        held = {prop.key: prop.value for prop in model.metadata_props}
        text = json.loads(held[METADATA_KEY])
        del text["parts"]
        del held[DIGEST_KEY]
        helper.set_model_props(model, held | {METADATA_KEY: json.dumps(text)})

    return changed(data, forget)


def mutated(seed: int) -> bytes:
    """One of endless many damaged or evil files; the same seed gives the same file."""
    rng = np.random.default_rng([17, seed])
    data = without_digests(tiny_classifier(("svm", "logistic", "forest")[seed % 3]))
    if seed % 5 == 0:
        return _damage_bytes(data, rng)
    model = onnx.load_from_string(data)
    for _ in range(int(rng.integers(1, 4))):
        mutation = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))]
        try:
            mutation(model, rng)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue  # protobuf itself refuses some
    try:
        changed_data: bytes = model.SerializeToString()
    except (ValueError, TypeError):
        return data[: int(rng.integers(len(data)))]
    return changed_data


_ODD = (0, -1, 1, 2, 3, 7, 16, 64, 255, 4096, 2**20, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))


def _damage_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    if rng.random() < 0.2:
        return bytes(damaged[: int(rng.integers(len(damaged)))])
    for place in rng.integers(len(damaged), size=int(rng.choice([1, 2, 8, 64]))):
        damaged[place] = int(rng.integers(256))
    return bytes(damaged)


def _any(items: Sequence[object], rng: np.random.Generator) -> object:
    return items[int(rng.integers(len(items)))]


def _odd(rng: np.random.Generator) -> int:
    return int(_any(_ODD, rng))  # type: ignore[call-overload]


def _dimensions(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = _any(model.graph.initializer, rng)
    if rng.random() < 0.5 and tensor.dims:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _odd(rng)
    else:
        tensor.dims.append(_odd(rng))


def _numbers(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = _any(model.graph.initializer, rng)
    values = np.array(numpy_helper.to_array(tensor))
    flat = values.reshape(-1)
    place = int(rng.integers(len(flat)))
    if values.dtype.kind == "f":
        flat[place] = _any([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, 1e-40], rng)
    else:
        info = np.iinfo(values.dtype)
        flat[place] = min(max(_odd(rng), info.min), info.max)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _shape_of_constant(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = _any(model.graph.initializer, rng)
    values = numpy_helper.to_array(tensor)
    new = np.resize(values, [int(rng.integers(0, 5)) for _ in range(int(rng.integers(0, 5)))])
    tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))


def _kind_of_constant(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    _any(model.graph.initializer, rng).data_type = int(rng.integers(0, 25))


def _cast_constant(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = _any(model.graph.initializer, rng)
    kind = _any([np.float16, np.float64, np.int32, np.int64, np.uint8, np.bool_], rng)
    with np.errstate(all="ignore"):
        values = numpy_helper.to_array(tensor).astype(kind)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _attribute(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    attribute = _any([a for node in model.graph.node for a in node.attribute], rng)
    if attribute.ints:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = _odd(rng)
    elif attribute.floats:
        attribute.floats[int(rng.integers(len(attribute.floats)))] = float(_odd(rng))
    elif attribute.strings:
        attribute.strings[int(rng.integers(len(attribute.strings)))] = b"BRANCH_LT"
    elif attribute.type == AttributeProto.STRING:
        attribute.s = bytes(_any([b"", b"VALID", b"SAME_LOWER", b"linear", b"cubic", b"SUM"], rng))
    else:
        attribute.i = _odd(rng)


def _length_of_attribute(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    attribute = _any([a for node in model.graph.node for a in node.attribute if a.ints], rng)
    if rng.random() < 0.5:
        del attribute.ints[-1]
    else:
        attribute.ints.append(_odd(rng))


def _drop_attribute(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _any([node for node in model.graph.node if node.attribute], rng)
    del node.attribute[int(rng.integers(len(node.attribute)))]


def _kind_of_attribute(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    attribute = _any([a for node in model.graph.node for a in node.attribute], rng)
    attribute.type = int(rng.integers(0, 15))


def _rewire(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    place = int(rng.integers(len(model.graph.node)))
    node = model.graph.node[place]
    names = [name for other in model.graph.node[:place] for name in other.output]
    names += [tensor.name for tensor in model.graph.initializer] + ["pixels", ""]
    node.input[int(rng.integers(len(node.input)))] = str(_any(names, rng))


def _inputs(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _any(model.graph.node, rng)
    if rng.random() < 0.5:
        node.input.append(str(_any([t.name for t in model.graph.initializer], rng)))
    else:
        del node.input[-1]


def _operator(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _any(model.graph.node, rng)
    node.op_type = str(_any(sorted(name for domain, name in ALLOWED if not domain), rng))
    if rng.random() < 0.5:
        del node.attribute[:]


def _forbidden_operator(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    names = ("Loop", "Scan", "If", "ImageDecoder", "StringConcat", "RandomNormal", "SequenceMap")
    _any(model.graph.node, rng).op_type = str(_any(names, rng))


def _order(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    first, second = rng.integers(len(model.graph.node), size=2)
    held = onnx.NodeProto()
    held.CopyFrom(model.graph.node[first])
    model.graph.node[first].CopyFrom(model.graph.node[second])
    model.graph.node[second].CopyFrom(held)


def _node(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    place = int(rng.integers(len(model.graph.node)))
    if rng.random() < 0.5:
        del model.graph.node[place]
    else:
        model.graph.node.insert(place, model.graph.node[place])


def _insert(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """A unary operator somewhere: its result in place of what it takes."""
    place = int(rng.integers(1, len(model.graph.node)))
    node = model.graph.node[place]
    slot = int(rng.integers(len(node.input)))
    name, op = f"new{rng.integers(2**31)}", str(_any(["Exp", "Log", "Sqrt", "Neg", "Tan"], rng))
    new = helper.make_node(op, [node.input[slot]], [name], f"backbone/{name}")
    node.input[slot] = name
    model.graph.node.insert(place, new)


def _huge(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """The features, plus what needs a great deal of memory to come to nothing."""
    size = int(rng.choice([2**8, 2**14, 2**20, 2**31, 2**40]))
    shape = numpy_helper.from_array(np.array([size, size], np.int64), "huge")
    model.graph.initializer.append(shape)
    place = next(i for i, node in enumerate(model.graph.node) if "features" in node.output)
    model.graph.node[place].output[0] = "features/true"
    for node in reversed(
        [
            helper.make_node("ConstantOfShape", ["huge"], ["zeros"], "backbone/h0"),
            helper.make_node("ReduceMax", ["zeros"], ["nothing"], "backbone/h1", keepdims=0),
            helper.make_node("Add", ["features/true", "nothing"], ["features"], "backbone/h2"),
        ]
    ):
        model.graph.node.insert(place + 1, node)


def _external(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    tensor = TensorProto(data_type=TensorProto.UINT8, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret.txt"), ("offset", "0"), ("length", "3")):
        tensor.external_data.add(key=key, value=value)
    node = _any(model.graph.node, rng)
    attribute = node.attribute.add(name=str(_any(["value", "then_branch", "x"], rng)))
    attribute.type = int(_any([AttributeProto.TENSOR, AttributeProto.INT], rng))  # type: ignore[call-overload]
    attribute.t.CopyFrom(tensor)


def _subgraph(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    body = onnx.GraphProto()
    body.CopyFrom(model.graph)
    attribute = _any(model.graph.node, rng).attribute.add(name="body", type=AttributeProto.GRAPH)
    attribute.g.CopyFrom(body)


def _outsides(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    value = _any([*model.graph.input, *model.graph.output], rng)
    if rng.random() < 0.5:
        value.type.tensor_type.elem_type = int(rng.integers(0, 25))
    else:
        _any(value.type.tensor_type.shape.dim, rng).dim_value = _odd(rng)


def _opset(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    _any(model.opset_import, rng).version = int(rng.integers(-1, 30))


def _value_info(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    names = [name for node in model.graph.node for name in node.output]
    shape = [_odd(rng) for _ in range(int(rng.integers(0, 5)))]
    model.graph.value_info.append(
        helper.make_tensor_value_info(str(_any(names, rng)), TensorProto.FLOAT, shape)
    )


def _metadata(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    held = {prop.key: prop.value for prop in model.metadata_props}
    text = json.loads(held[METADATA_KEY])
    values = (
        None,
        0,
        -1,
        1e300,
        2**70,
        "",
        "\x1b[2J",
        [],
        {},
        [""],
        ["a", "a"],
        ["a"],
        "x" * 10000,
    )
    place = text
    while True:
        key = str(_any(sorted(place), rng))
        if isinstance(place[key], dict) and rng.random() < 0.7:
            place = place[key]
            continue
        place[key] = _any([*values, 15, 17, ["a", "b", "c", "d"]], rng)
        break
    encoded = json.dumps(text)
    if rng.random() < 0.1:
        encoded = "[" * 100_000
    helper.set_model_props(model, held | {METADATA_KEY: encoded})


_MUTATIONS: tuple[Callable[[onnx.ModelProto, np.random.Generator], None], ...] = (
    _dimensions,
    _numbers,
    _numbers,
    _shape_of_constant,
    _kind_of_constant,
    _cast_constant,
    _attribute,
    _attribute,
    _length_of_attribute,
    _drop_attribute,
    _kind_of_attribute,
    _rewire,
    _rewire,
    _inputs,
    _operator,
    _operator,
    _forbidden_operator,
    _order,
    _node,
    _insert,
    _huge,
    _external,
    _subgraph,
    _outsides,
    _opset,
    _value_info,
    _metadata,
)
