"""Bring a network of timm or torchvision in as a backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.backbones.extra import need_torch
from foveate.backbones.names import ModelName, built_for, parse_name
from foveate.backbones.registry import (
    Backbone,
    Card,
    find_backbone,
    is_packaged,
    user_folder,
)
from foveate.errors import BackboneError, ModelFileError
from foveate.files import digest, write_bytes
from foveate.outputs import check_folder

if TYPE_CHECKING:
    from foveate.backbones.network import PretrainedNetwork
    from foveate.backbones.weights import Weights

Progress = Callable[[str], None]
"""Told what begins, in a few words."""


def add_backbone(
    text: str,
    weights_file: Path | None = None,
    progress: Progress | None = None,
    *,
    resolution: int | None = None,
) -> Backbone:
    """Export a network, prove the export against PyTorch, and keep it in the user's folder.

    What is kept: the pack, its card, and the weights as safetensors, to refine from. A backbone
    of the same name that was there is replaced. `foveate.backbones.registry.user_folder` says
    where.

    Args:
        text: as `resnet18`, `torchvision:alexnet` or `timm:convnext_tiny`.
        weights_file: a local file of weights; None takes the published ones.
        progress: told what begins.
        resolution: pixels a side to build a network for that takes one size of image only; its
            weights are fitted to it as its library does, and its name ends in it (`-384px`).

    Returns:
        The backbone; one that comes with foveate as it is.

    Raises:
        BackboneError: no such network; no weights, or those of another; the export is not what
            PyTorch computes; PyTorch, torchvision or timm is not installed; the network takes
            images of any size, or cannot be built for `resolution`.
        OSError: the user's folder cannot be written.
    """
    name = parse_name(text)
    if resolution is not None:
        name = built_for(name, resolution)
    if name.resolution is not None and is_packaged(replace(name, resolution=None).name):
        raise BackboneError(_takes_any(name))
    if is_packaged(name.name):
        if weights_file is not None:
            raise BackboneError(
                f"‘{name.name}’ comes with foveate, so its weights cannot be others. Refinement "
                "makes a network of your own from it."
            )
        return find_backbone(name.name)
    need_torch("To add a backbone")
    from foveate.backbones.network import build_network
    from foveate.backbones.weights import find_weights, write_weights

    folder = user_folder()
    check_folder(folder)
    tell = progress or (lambda _: None)
    tell("weights")
    weights = find_weights(name, weights_file)
    network = build_network(name, weights.state, source=weights.source, licence=weights.licence)
    pack = export_proven(network, progress)
    if name.resolution is not None and network.fixed_resolution is None:
        raise BackboneError(_takes_any(name))
    tell("write")
    card = _card(name, network, weights, pack)
    path = folder / f"{name.name}.json"
    # Without its card a backbone is not there: so the card goes first and comes last.
    path.unlink(missing_ok=True)
    backbone = Backbone(card, path.with_name(f"{name.name}.onnx"))
    write_bytes(backbone.weights, write_weights(weights.state))
    write_bytes(backbone.path, pack)
    write_bytes(path, card.model_dump_json(indent=2).encode() + b"\n")
    return backbone


def export_proven(network: PretrainedNetwork, progress: Progress | None = None) -> bytes:
    """The pack of a network, proved against it.

    A network whose export is right at one resolution only (nobody says so of every such network)
    gets its `fixed_resolution` set.

    Raises:
        BackboneError: the export fails, or is not what PyTorch computes.
    """
    from foveate.backbones.export import export_onnx
    from foveate.backbones.proof import prove
    from foveate.runtime.sizes import check_sizes
    from foveate.runtime.untrusted import read_graph

    tell = progress or (lambda _: None)
    for attempt in ("any", "fixed"):
        tell("export")
        try:
            pack = export_onnx(network)
            tell("prove")
            prove(pack, network)
            side = network.fixed_resolution or network.resolution
            check_sizes(read_graph(pack), {"pixels": (1, side, side, 3)})
            return pack
        except ModelFileError as error:
            raise BackboneError(f"‘{network.name}’ cannot be a backbone. {error}") from None
        except BackboneError:
            if attempt == "fixed" or network.fixed_resolution is not None:
                raise
            network.fixed_resolution = network.resolution
    raise AssertionError("unreachable")


def _takes_any(name: ModelName) -> str:
    plain = replace(name, resolution=None).typed
    return (
        f"‘{plain}’ takes images of any size, so it need not be built for one: `foveate backbones "
        f"add {plain}`, then `--backbone {plain} --resolution {name.resolution}`."
    )


def _card(name: ModelName, network: PretrainedNetwork, weights: Weights, pack: bytes) -> Card:
    from foveate.backbones.weights import count_parameters

    shape = (
        f"takes {network.fixed_resolution} px only"
        if network.fixed_resolution
        else "pooled features"
    )
    mean, std = (
        [round(value, 4) for value in part.tolist()] for part in (network.mean, network.std)
    )
    return Card(
        name=name.name,
        description=f"{name.model} of {name.library}; {shape}.",
        source=weights.source,
        weights_sha256=weights.sha256,
        pack_sha256=digest(pack),
        licence=weights.licence,
        preprocessing=f"RGB, (x - {_channels(mean)}) / {_channels(std)} inside the graph",
        resolution=network.resolution,
        dimension=network.dimension,
        parameters=count_parameters(weights.state),
        imagenet_top1=weights.imagenet_top1,
        imagenet_sample_top1=None,
        imagenet_sample_n=None,
        reference=name.reference,
        fixed_resolution=network.fixed_resolution,
    )


def _channels(values: list[float]) -> str:
    """One number where all channels have the same: `127`, else `[123.675, 116.28, 103.53]`."""
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"
