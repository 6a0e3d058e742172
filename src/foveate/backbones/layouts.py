"""What weights files hold, and by what names: from a checkpoint to the tensors a network asks for.

Nothing here looks into a tensor, so nothing here needs PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from foveate.errors import BackboneError

T = TypeVar("T")

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Under which key training scripts keep the weights; averaged ones come first, as in timm."""

_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""

_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(.+)")
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_SEPARABLE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def unwrap(checkpoint: object) -> dict[str, object]:
    """The named tensors in what a weights file held.

    Raises:
        BackboneError: it is not a mapping of names.
    """
    while isinstance(checkpoint, Mapping):
        inner = next((k for k in _WRAPPERS if isinstance(checkpoint.get(k), Mapping)), None)
        if inner is None:
            break
        checkpoint = checkpoint[inner]
    if not isinstance(checkpoint, Mapping) or not all(isinstance(k, str) for k in checkpoint):
        raise BackboneError("it holds no weights by name (a state_dict)")
    state = dict(checkpoint)
    for prefix in _PREFIXES * 2:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def is_efficientnet_lite(names: Iterable[str]) -> bool:
    """Whether these are the names of `efficientnet_lite_pytorch` rather than timm's."""
    return {"_conv_stem.weight", "_conv_head.weight"} <= set(names)


def from_efficientnet_lite(state: Mapping[str, T], wanted: Iterable[str]) -> dict[str, T]:
    """Weights of `efficientnet_lite_pytorch` by the names of timm's `tf_efficientnet_lite*`.

    The one numbers its blocks through, the other stage by stage; the order is the same.

    Args:
        state: the weights by their old names.
        wanted: the names that timm's network asks for, of which the blocks are taken.
    """
    matches = (re.match(r"blocks\.(\d+)\.(\d+)\.", name) for name in wanted)
    blocks = sorted({(int(m[1]), int(m[2])) for m in matches if m})
    renamed = {}
    for name, value in state.items():
        layer, _, rest = name.partition(".")
        block = _BLOCK.fullmatch(name)
        if block and int(block[1]) < len(blocks):
            stage, place = blocks[int(block[1])]
            separable = f"_blocks.{block[1]}._expand_conv.weight" not in state
            layers = _SEPARABLE if separable else _INVERTED
            renamed[f"blocks.{stage}.{place}.{layers.get(block[2], block[2])}.{block[3]}"] = value
        elif layer == "_fc":
            renamed[f"classifier.{rest}"] = value
        elif layer in _TOP:
            renamed[f"{_TOP[layer]}.{rest}"] = value
        else:
            renamed[name] = value
    return renamed


def compare(
    wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]
) -> str | None:
    """What does not fit between a network and a weights file, in words; None where all fits.

    Args:
        wanted: shapes by name that the network asks for.
        given: shapes by name that the file has.
    """
    missing = [name for name in wanted if name not in given and not _counts(name)]
    surplus = [name for name in given if name not in wanted]
    shaped = [
        f"{name} is {_shape(given[name])} instead of {_shape(wanted[name])}"
        for name in wanted
        if name in given and given[name] != wanted[name]
    ]
    parts = []
    for names, words in ((missing, "missing"), (surplus, "not part of the network")):
        if names:
            parts.append(f"{words}: {_first(names)}")
    if shaped:
        parts.append(f"of another shape: {_first(shaped)}")
    return "; ".join(parts) or None


def _counts(name: str) -> bool:
    """Whether a network does without it: a counter that only training looks at."""
    return name.endswith("num_batches_tracked")


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"


def _first(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
