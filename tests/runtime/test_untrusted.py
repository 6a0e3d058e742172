"""What stands between a stranger's network and the runtimes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from foveate.errors import ModelFileError
from foveate.runtime.onnxruntime import open_session
from foveate.runtime.sizes import check_sizes
from foveate.runtime.untrusted import read_graph
from support.hostile_models import SIDE, changed, tiny_backbone, tiny_classifier

Change = Callable[[onnx.ModelProto], object]


def outside() -> TensorProto:
    """Three bytes of another file."""
    tensor = TensorProto(data_type=TensorProto.UINT8, dims=[3], name="secret")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.txt")
    return tensor


def graph_of(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [tensor])


def attribute(change: Callable[[AttributeProto], object], kind: int) -> Change:
    """An attribute of a kind, changed, at the first node."""

    def add(model: onnx.ModelProto) -> None:
        new = model.graph.node[0].attribute.add(name="value", type=kind)
        change(new)

    return add


def in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["y"], value=outside())
    model.functions.append(
        helper.make_function("own", "f", [], ["y"], [node], [helper.make_opsetid("", 17)])
    )


def in_deep_graphs(model: onnx.ModelProto) -> None:
    inner = graph_of(outside())
    for _ in range(5):
        node = helper.make_node("If", ["w0"], ["y"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["w0"], ["z"], then_branch=inner))


def sparse(tensor: TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=tensor, indices=tensor, dims=[3])


OUTSIDE: dict[str, Change] = {
    "initializer": lambda m: m.graph.initializer.append(outside()),
    "attribute": attribute(lambda a: a.t.CopyFrom(outside()), AttributeProto.TENSOR),
    "attribute of another type": attribute(lambda a: a.t.CopyFrom(outside()), AttributeProto.INT),
    "attributes": attribute(lambda a: a.tensors.append(outside()), AttributeProto.TENSORS),
    "attributes of another type": attribute(
        lambda a: a.tensors.append(outside()), AttributeProto.FLOAT
    ),
    "sparse attribute": attribute(
        lambda a: a.sparse_tensor.CopyFrom(sparse(outside())), AttributeProto.SPARSE_TENSOR
    ),
    "sparse attributes": attribute(
        lambda a: a.sparse_tensors.append(sparse(outside())), AttributeProto.SPARSE_TENSORS
    ),
    "sparse initializer": lambda m: m.graph.sparse_initializer.append(sparse(outside())),
    "graph": attribute(lambda a: a.g.CopyFrom(graph_of(outside())), AttributeProto.GRAPH),
    "graphs": attribute(lambda a: a.graphs.append(graph_of(outside())), AttributeProto.GRAPHS),
    "deep graphs": in_deep_graphs,
    "function": in_function,
    "training": lambda m: m.training_info.add().algorithm.initializer.append(outside()),
}


@pytest.mark.parametrize("place", OUTSIDE)
def test_a_tensor_outside_of_the_file_is_refused_wherever_it_is(place: str) -> None:
    with pytest.raises(ModelFileError):
        read_graph(changed(tiny_backbone(), OUTSIDE[place]))
    with pytest.raises(ModelFileError):
        open_session(changed(tiny_backbone(), OUTSIDE[place]))


def test_a_location_alone_is_refused() -> None:
    """Some readers look at the one, some at the other."""
    tensor = numpy_helper.from_array(np.zeros(3, np.uint8), "inside")
    tensor.external_data.add(key="location", value="secret.txt")
    with pytest.raises(ModelFileError, match="outside of itself"):
        read_graph(changed(tiny_backbone(), lambda m: m.graph.initializer.append(tensor)))


@pytest.mark.parametrize("name", ["Loop", "Scan", "If", "ImageDecoder", "RandomNormal", "NonZero"])
def test_operators_that_no_classifier_needs_are_refused(name: str) -> None:
    with pytest.raises(ModelFileError, match=f"operator ‘{name}’"):
        read_graph(changed(tiny_backbone(), lambda m: setattr(m.graph.node[0], "op_type", name)))


def test_operators_of_other_domains_are_refused() -> None:
    with pytest.raises(ModelFileError, match=r"operator ‘com\.evil\.Cast’"):
        read_graph(
            changed(tiny_backbone(), lambda m: setattr(m.graph.node[0], "domain", "com.evil"))
        )


def test_names_that_are_not_utf8_are_refused() -> None:
    data = tiny_backbone().replace(b"backbone/3", b"backbon\xff/3")
    assert data != tiny_backbone()
    with pytest.raises(ModelFileError, match="UTF-8"):
        read_graph(data)


def test_unknown_fields_are_refused() -> None:
    """A runtime may know what they mean."""
    with pytest.raises(ModelFileError, match="does not know"):
        read_graph(tiny_backbone() + b"\xca\x3e\x01a")  # field 1001, one byte


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.dims.append(7),
        lambda t: t.dims.append(-1),
        lambda t: setattr(t, "raw_data", t.raw_data[:-1]),
        lambda t: setattr(t, "data_type", TensorProto.STRING),
        lambda t: t.float_data.append(1),
    ],
)
def test_tensors_that_are_not_what_they_say_are_refused(
    change: Callable[[TensorProto], object],
) -> None:
    with pytest.raises(ModelFileError, match="tensor ‘w2’"):
        read_graph(changed(tiny_backbone(), lambda m: change(m.graph.initializer[2])))


def sizes(model: onnx.ModelProto) -> None:
    check_sizes(read_graph(model.SerializeToString()), {"pixels": (1, SIDE, SIDE, 3)})


def with_features_of(*nodes: onnx.NodeProto, **constants: object) -> onnx.ModelProto:
    """The small network, its features plus `nothing`, which some nodes compute."""
    model = onnx.load_from_string(tiny_backbone())
    model.graph.node[-1].output[0] = "before"
    model.graph.node.extend([*nodes, helper.make_node("Add", ["before", "nothing"], ["features"])])
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def huge_constant() -> onnx.ModelProto:
    return with_features_of(
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["nothing"], keepdims=0),
        shape=np.array([2**20, 2**20]),
    )


def doubled_often() -> onnx.ModelProto:
    """Each node is harmless."""
    nodes = [helper.make_node("Concat", [f"x{i}"] * 2, [f"x{i + 1}"], axis=0) for i in range(40)]
    return with_features_of(
        *nodes,
        helper.make_node("ReduceMax", ["x40"], ["nothing"], keepdims=0),
        x0=np.zeros(1, np.float32),
    )


def outer_product() -> onnx.ModelProto:
    column = np.zeros((2**15, 1), np.float32)
    return with_features_of(
        helper.make_node("Sub", ["column", "row"], ["square"]),
        helper.make_node("ReduceMax", ["square"], ["nothing"], keepdims=0),
        column=column,
        row=column.T,
    )


def kept_alive() -> onnx.ModelProto:
    """A thousand values of 4 MiB, all of which are needed in the end."""
    names = [f"x{i}" for i in range(1000)]
    return with_features_of(
        *(helper.make_node("ConstantOfShape", ["shape"], [name]) for name in names),
        helper.make_node("Sum", names, ["sum"]),
        helper.make_node("ReduceMax", ["sum"], ["nothing"], keepdims=0),
        shape=np.array([2**20]),
    )


def long_work() -> onnx.ModelProto:
    """Products of matrices, one after the other."""
    nodes = [helper.make_node("MatMul", [f"x{i}", f"x{i}"], [f"x{i + 1}"]) for i in range(100)]
    return with_features_of(
        helper.make_node("ConstantOfShape", ["shape"], ["x0"]),
        *nodes,
        helper.make_node("ReduceMax", ["x100"], ["nothing"], keepdims=0),
        shape=np.array([2**12, 2**12]),
    )


def sized_by_pixels() -> onnx.ModelProto:
    """As large as the brightest pixel says."""
    return with_features_of(
        helper.make_node("Cast", ["pixels"], ["whole"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["whole"], ["most"], keepdims=0),
        helper.make_node("Range", ["zero", "most", "one"], ["range"]),
        helper.make_node("Cast", ["range"], ["fractions"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["fractions"], ["nothing"], keepdims=0),
        zero=np.int64(0),
        one=np.int64(1),
    )


def below_zero() -> onnx.ModelProto:
    """A size below zero, cut backwards: ONNX's own shape inference aborts the process."""
    return with_features_of(
        helper.make_node("Pad", ["x0", "pads"], ["less"]),
        helper.make_node("Slice", ["less", "zero", "zero", "zero", "back"], ["cut"]),
        helper.make_node("ReduceMax", ["cut"], ["nothing"], keepdims=0),
        x0=np.zeros(3, np.float32),
        pads=np.array([-7, 0]),
        zero=np.array([0]),
        back=np.array([-1]),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (huge_constant, "MiB for one image, at an operator ‘ConstantOfShape’"),
        (doubled_often, "MiB for one image, at an operator ‘Concat’"),
        (outer_product, "MiB for one image, at an operator ‘Sub’"),
        (kept_alive, "MiB for one image, at an operator ‘ConstantOfShape’"),
        (long_work, "multiplications for one image, at an operator ‘MatMul’"),
        (below_zero, "‘Pad’. cannot be told"),
        (sized_by_pixels, "cannot be told before it runs"),
    ],
)
def test_networks_that_need_too_much_are_refused(
    make: Callable[[], onnx.ModelProto], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        sizes(make())


def test_what_is_small_passes() -> None:
    found = check_sizes(read_graph(tiny_backbone()), {"pixels": (1, SIDE, SIDE, 3)})
    assert found["features"].shape == (1, 24)
    assert found["features"].is_float


def test_another_resolution_than_the_graph_is_for_is_refused() -> None:
    data = changed(
        tiny_backbone(),
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 20),
    )
    with pytest.raises(ModelFileError, match="does not take the shape"):
        check_sizes(read_graph(data), {"pixels": (1, SIDE, SIDE, 3)})


def forest_attribute(name: str, change: Callable[[AttributeProto], object]) -> bytes:
    def apply(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor")
        change(next(attribute for attribute in node.attribute if attribute.name == name))

    return changed(tiny_classifier("forest"), apply)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("nodes_truenodeids", lambda a: a.ints.__setitem__(0, 0), "branch as trees do"),
        ("nodes_truenodeids", lambda a: a.ints.__setitem__(0, 10**6), "not there"),
        ("nodes_featureids", lambda a: a.ints.__setitem__(0, 10**6), "features that are not there"),
        ("nodes_featureids", lambda a: a.ints.__setitem__(0, -1), "no places"),
        ("target_ids", lambda a: a.ints.__setitem__(0, 3), "labels that are not there"),
        ("nodes_values", lambda a: a.floats.pop(), "differ in length"),
        ("nodes_nodeids", lambda a: a.ints.__setitem__(1, 0), "two nodes of one number"),
        ("nodes_modes", lambda a: a.strings.__setitem__(0, b"ODD"), "kinds"),
    ],
)
def test_forests_that_are_none_are_refused(
    name: str, change: Callable[[AttributeProto], object], message: str
) -> None:
    data = forest_attribute(name, change)
    with pytest.raises(ModelFileError, match=message):
        check_sizes(read_graph(data), {"pixels": (1, SIDE, SIDE, 3)})


def test_trees_that_lead_back_to_themselves_are_refused() -> None:
    """Two nodes beside the tree, each the other's child: every node has one parent."""

    def loop(model: onnx.ModelProto) -> None:
        columns: dict[str, object] = {
            "nodes_treeids": [0] * 4,
            "nodes_nodeids": [0, 1, 2, 3],
            "nodes_featureids": [0] * 4,
            "nodes_values": [0.5] * 4,
            "nodes_modes": ["LEAF", "BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
            "nodes_truenodeids": [0, 2, 1, 0],
            "nodes_falsenodeids": [0, 3, 3, 0],
        }
        node = next(node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor")
        kept = [a for a in node.attribute if not a.name.startswith(("nodes_", "target_"))]
        columns |= {
            "nodes_falsenodeids": [0, 3, 1, 0],
            "nodes_truenodeids": [0, 2, 2, 0],
            "target_treeids": [0],
            "target_nodeids": [0],
            "target_ids": [0],
            "target_weights": [1.0],
        }
        del node.attribute[:]
        node.attribute.extend(kept)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in columns.items())

    with pytest.raises(ModelFileError, match="trees"):
        read_graph(changed(tiny_classifier("forest"), loop))
