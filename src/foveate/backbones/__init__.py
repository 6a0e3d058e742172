"""Pretrained networks as ONNX packs: uint8 pixels in, features out, preprocessing inside.

A pack is a file `NAME.onnx` with a card `NAME.json` beside it that says where the weights come
from and what they may be used for.
"""

from foveate.backbones.registry import Backbone, Card, find_backbone, list_backbones

__all__ = ["Backbone", "Card", "find_backbone", "list_backbones"]
