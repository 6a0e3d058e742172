"""Pretrained networks as ONNX packs: uint8 pixels in, features out, preprocessing inside.

A pack is a file `NAME.onnx` with a card `NAME.json` beside it that says where the weights come
from and what they may be used for. One comes with foveate; `add_backbone` makes others from the
networks of timm and torchvision:

    names       what a network is called                       (no PyTorch)
    weights     where its weights come from; layouts: by what names
    libraries   build it in timm or torchvision
    network     the network as refinement trains it; stages: its parameters in groups
    depths      features of several depths                (no PyTorch)
    export      PyTorch → ONNX; exportable, pack: what to change before and after
    proof       the export computes what PyTorch computes
    registry    find what is here                              (no PyTorch)
    bench       how fast it is here                            (no PyTorch)
"""

from foveate.backbones.add import add_backbone
from foveate.backbones.extra import need_torch
from foveate.backbones.registry import Backbone, Card, find_backbone, giving, list_backbones

__all__ = [
    "Backbone",
    "Card",
    "add_backbone",
    "find_backbone",
    "giving",
    "list_backbones",
    "need_torch",
]
