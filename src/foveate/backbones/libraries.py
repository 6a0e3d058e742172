"""Build networks of timm and torchvision, without weights, so that they give their features."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import timm
import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from foveate.backbones.names import ModelName, unknown_model
from foveate.errors import BackboneError
from foveate.runtime.untrusted import first_line

State = Mapping[str, Tensor]

_FIXED = ("VisionTransformer", "SwinTransformer", "MaxVit")
"""Networks of torchvision that are built for one size of image; timm says it in its own cards."""

_SIZED: dict[str, Callable[[int], dict[str, object]]] = {
    "vit_": lambda side: {"image_size": side},
    "maxvit_": lambda side: {"input_size": (side, side)},
}
"""How those of torchvision that have to be told the size are told, by the beginning of the name."""

_OPTIONS: dict[str, dict[str, object]] = {
    # Trained behind a change of the normalisation that torchvision makes with its weights only.
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
    "inception_v3": {"transform_input": True, "aux_logits": False, "init_weights": False},
}
_AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Second classifiers that only help training from scratch."""

_LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
}
"""timm's spelling → SPDX identifier."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A network with random weights, and what its library says about it.

    Attributes:
        module: normalised float images (n, 3, H, W) → features (n, d); no last layer.
        last_layer: where the last layer was: names in a weights file that begin so are not needed.
        mean: per channel, on the scale 0 to 255.
        std: per channel, on the scale 0 to 255.
        resolution: pixels a side it was trained at, or that it was asked to be built for.
        fixed_resolution: the same where it takes no other, else None.
        translate: weights of another release of the same network → names that `module` has; None
            where the library knows of none.
    """

    module: nn.Module
    last_layer: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int
    fixed_resolution: int | None
    translate: Callable[[State], State] | None


@dataclass(frozen=True, slots=True)
class Published:
    """Weights as their library publishes them.

    Attributes:
        url: the file.
        licence: SPDX identifier where there is one.
        imagenet_top1: published accuracy, a share.
    """

    url: str
    licence: str
    imagenet_top1: float | None


def draft(name: ModelName) -> Blueprint:
    """Build a network with random weights.

    Raises:
        BackboneError: the library has no such network, or no features can be had from it; or it
            cannot be built for the resolution that the name asks for.
    """
    blueprint = _draft_timm(name) if name.library == "timm" else _draft_torchvision(name)
    leave_nothing_out(blueprint.module)
    return blueprint


def leave_nothing_out(module: nn.Module) -> None:
    """Set every rate at which a network leaves parts of itself out while training to 0, in place.

    Dropout, stochastic depth and their like draw per image, in the order in which images come: what
    they leave out would depend on how a batch is divided, and with it what is learned. Refinement
    has a dropout of its own, on the features, that is drawn for the whole batch.
    """
    for layer in module.modules():
        kind = type(layer).__name__
        drops = "Drop" in kind or kind == "StochasticDepth"
        for name, value in list(vars(layer).items()):
            if isinstance(value, float) and ("drop" in name or (drops and name in ("p", "prob"))):
                setattr(layer, name, 0.0)


def published(name: ModelName) -> Published | None:
    """Where a library publishes the weights of a network; None where it has none.

    Raises:
        BackboneError: the library has no such network.
    """
    if name.library == "timm":
        cfg = _timm_cfg(name)
        if cfg.hf_hub_id:
            file = cfg.hf_hub_filename or "model.safetensors"
            url = f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/{file}"
        elif cfg.url:
            url = cfg.url
        else:
            return None
        return Published(url, _LICENCES.get(cfg.license, cfg.license or "unknown"), None)
    weights = torchvision_weights(name)
    if weights is None:
        return None
    licence = "CC-BY-NC-4.0" if "SWAG" in weights.name else "BSD-3-Clause"
    metrics = weights.meta.get("_metrics", {}).get("ImageNet-1K", {})
    top1 = metrics.get("acc@1")
    return Published(weights.url, licence, None if top1 is None else top1 / 100)


def torchvision_weights(name: ModelName) -> torchvision.models.WeightsEnum | None:
    """The weights of torchvision's that we use: the first recipe, where there are two.

    Features of networks trained with label smoothing and mixup serve other tasks less well
    (Kornblith et al. 2021, "Why do better loss functions lead to less transferable features?").
    """
    choice = {one.name: one for one in torchvision.models.get_model_weights(name.model)}
    for wanted in ("IMAGENET1K_V1", "IMAGENET1K_SWAG_LINEAR_V1"):
        if wanted in choice:
            return choice[wanted]
    return next(iter(choice.values()), None)


def is_auxiliary(key: str) -> bool:
    """Whether a weight belongs to a classifier beside the network."""
    return key.split(".", 1)[0] in _AUXILIARY


def _draft_timm(name: ModelName) -> Blueprint:
    cfg = _timm_cfg(name)
    asked = name.resolution if cfg.fixed_input_size else None
    try:
        sized = {} if asked is None else {"img_size": asked}
        module = timm.create_model(name.model, pretrained=False, num_classes=0, **sized)
    except Exception as error:  # a model may want options of its own
        built = "" if asked is None else f" for {asked} px"
        raise BackboneError(
            f"timm cannot build ‘{name.model}’ as a backbone{built}: {first_line(error)}"
        ) from None
    if cfg.input_size[0] != 3:
        raise BackboneError(f"‘{name.reference}’ does not take RGB images.")
    side = name.resolution or int(cfg.input_size[1])
    last = cfg.classifier
    return Blueprint(
        module,
        last_layer=(last,) if isinstance(last, str) else tuple(last or ()),
        mean=tuple(255 * value for value in cfg.mean),
        std=tuple(255 * value for value in cfg.std),
        resolution=side,
        fixed_resolution=side if cfg.fixed_input_size else None,
        translate=_timm_translation(module),
    )


def _timm_cfg(name: ModelName) -> timm.models.PretrainedCfg:
    arch, _, tag = name.model.partition(".")
    if not timm.is_model(arch):
        raise BackboneError(unknown_model(name, timm.list_models()))
    tagged = timm.list_models(f"{arch}.*", pretrained=True)
    if tag and name.model not in tagged:
        raise BackboneError(unknown_model(name, tagged))
    return timm.get_pretrained_cfg(name.model) or timm.models.PretrainedCfg()


def _timm_translation(module: nn.Module) -> Callable[[State], State] | None:
    home = sys.modules[type(module).__module__]
    translate = getattr(home, "checkpoint_filter_fn", None) or getattr(home, "_filter_fn", None)
    if translate is None:
        return None
    return lambda state: cast(State, translate(dict(state), module))


def _draft_torchvision(name: ModelName) -> Blueprint:
    models = torchvision.models.list_models(module=torchvision.models)
    if name.model not in models:
        raise BackboneError(unknown_model(name, models))
    options = dict(_OPTIONS.get(name.model, {}))
    for start, sized in _SIZED.items():
        if name.resolution is not None and name.model.startswith(start):
            options |= sized(name.resolution)
    try:
        module = torchvision.models.get_model(name.model, weights=None, **options)
    except ValueError as error:  # a size that its windows do not divide
        raise BackboneError(
            f"torchvision cannot build ‘{name.model}’ for {name.resolution} px: {first_line(error)}"
        ) from None
    last = [k for k, m in module.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    parent, _, child = last.rpartition(".")
    setattr(module.get_submodule(parent), child, nn.Identity())
    weights = torchvision_weights(name)
    preset = weights.transforms() if weights is not None else None
    trained = int(preset.crop_size[0]) if preset is not None else 224
    side = name.resolution or trained
    mean = preset.mean if preset is not None else (0.485, 0.456, 0.406)
    std = preset.std if preset is not None else (0.229, 0.224, 0.225)
    return Blueprint(
        module,
        last_layer=(last,),
        mean=tuple(255 * float(value) for value in mean),
        std=tuple(255 * float(value) for value in std),
        resolution=side,
        fixed_resolution=side if type(module).__name__ in _FIXED else None,
        translate=_torchvision_translation(name, module),
    )


def _torchvision_translation(name: ModelName, module: nn.Module) -> Callable[[State], State] | None:
    if name.model.startswith("densenet"):
        return _densenet_names
    if isinstance(module, VisionTransformer):
        size, patch = module.image_size, module.patch_size
        return lambda state: cast(State, interpolate_embeddings(size, patch, OrderedDict(state)))
    return None


def _densenet_names(state: State) -> State:
    """The published DenseNets carry names from before dots were forbidden: norm.1 → norm1."""
    import re

    old = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")
    return {old.sub(r"\1\2", key): value for key, value in state.items()}


__all__ = [
    "Blueprint",
    "Published",
    "draft",
    "is_auxiliary",
    "leave_nothing_out",
    "published",
    "torchvision_weights",
]
