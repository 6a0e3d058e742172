"""Names of backbones: `resnet18`, `torchvision:alexnet`, `timm:convnext_tiny`.

A network that takes images of one size only can be built for another one, which its name then says:
`timm:vit_tiny_patch16_224-384px`.

One network has one name, however it was typed: `timm:tf_efficientnet_lite1` is
`efficientnet-lite1`. Nothing here needs PyTorch, so nothing here knows which models a library has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from foveate.errors import BackboneError
from foveate.settings import LEAST_RESOLUTION, MOST_RESOLUTION

Library = Literal["timm", "torchvision"]
LIBRARIES: tuple[Library, ...] = ("timm", "torchvision")

_MODEL = re.compile(r"[a-z0-9_][a-z0-9_.-]*")
"""What timm and torchvision call their models. It becomes a file name, so nothing else passes."""

_BUILT_FOR = re.compile(r"(.+)-([1-9]\d{1,3})px")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A network of a library.

    Attributes:
        library: "timm" or "torchvision".
        model: what that library calls it, for timm perhaps with a tag (`resnet50.a1_in1k`).
        resolution: pixels a side that it is to be built for; None for what its library builds.
    """

    library: Library
    model: str
    resolution: int | None = None

    @property
    def reference(self) -> str:
        """Library and model, as `timm:convnext_tiny`."""
        return f"{self.library}:{self._sized}"

    @property
    def typed(self) -> str:
        """What a person types: the short name, or the reference."""
        return _SHORT_OF.get(self, self.reference)

    @property
    def name(self) -> str:
        """What the backbone is called, in file names and in lists: short, or `timm-convnext_tiny`.

        `parse_name` takes it as well as the reference.
        """
        return _SHORT_OF.get(self, f"{self.library}-{self._sized}")

    @property
    def _sized(self) -> str:
        return self.model if self.resolution is None else f"{self.model}-{self.resolution}px"


SHORT_NAMES: dict[str, ModelName] = {
    "efficientnet-lite0": ModelName("timm", "tf_efficientnet_lite0"),
    "efficientnet-lite1": ModelName("timm", "tf_efficientnet_lite1"),
    "efficientnet-lite2": ModelName("timm", "tf_efficientnet_lite2"),
    "mobilenet-v2": ModelName("torchvision", "mobilenet_v2"),
    "resnet18": ModelName("torchvision", "resnet18"),
    "resnet34": ModelName("torchvision", "resnet34"),
    "resnet50": ModelName("torchvision", "resnet50"),
}
"""Names that need no library before them."""

_SHORT_OF = {model: short for short, model in SHORT_NAMES.items()}


def parse_name(text: str) -> ModelName:
    """The network that a person means.

    Args:
        text: a short name, `LIBRARY:MODEL`, or a backbone's name from a list (`LIBRARY-MODEL`); the
            last two with `-384px` where it is to be built for so many pixels a side.

    Raises:
        BackboneError: it is none of these; the message has names that are close.
    """
    typed = text.strip()
    if typed in SHORT_NAMES:
        return SHORT_NAMES[typed]
    library, colon, model = typed.partition(":")
    if not colon:
        library, _, model = typed.partition("-")
        if library not in LIBRARIES or not model:
            raise BackboneError(_unknown(typed))
    for known in LIBRARIES:
        if library == known and _MODEL.fullmatch(model):
            sized = _BUILT_FOR.fullmatch(model)
            if sized is None:
                return ModelName(known, model)
            return built_for(ModelName(known, sized[1]), int(sized[2]))
    if library in LIBRARIES:
        raise BackboneError(
            f"‘{model}’ cannot be a model of {library}: its models are named with small letters, "
            "digits, ‘_’, ‘-’ and ‘.’."
        )
    near = get_close_matches(library, LIBRARIES, n=1, cutoff=0.5)
    meant = f" Did you mean ‘{near[0]}:{model}’?" if near else ""
    raise BackboneError(
        f"There is no library ‘{library}’ of networks; there are {' and '.join(LIBRARIES)}.{meant}"
    )


def built_for(name: ModelName, resolution: int) -> ModelName:
    """The same network, to be built for so many pixels a side.

    Raises:
        BackboneError: see `check_range`.
    """
    check_range(resolution)
    return replace(name, resolution=resolution)


def check_range(resolution: int) -> None:
    """Refuse what is so small or so large that no classifier works at it.

    Raises:
        BackboneError: so many pixels a side.
    """
    if not LEAST_RESOLUTION <= resolution <= MOST_RESOLUTION:
        raise BackboneError(
            f"The resolution is {resolution} px; it can be {LEAST_RESOLUTION} to {MOST_RESOLUTION}."
        )


def unknown_model(name: ModelName, models: list[str]) -> str:
    """The sentence for a model that its library does not have.

    Args:
        name: the model.
        models: those that the library has.
    """
    near = get_close_matches(name.model, models, n=3, cutoff=0.6)
    meant = (
        f" Close to it: {', '.join(f'{name.library}:{model}' for model in near)}." if near else ""
    )
    return f"{name.library} has no network ‘{name.model}’.{meant}"


def _unknown(typed: str) -> str:
    near = get_close_matches(typed, SHORT_NAMES, n=3, cutoff=0.6)
    meant = f"Close to it: {', '.join(near)}. " if near else ""
    return (
        f"‘{typed}’ is not a network that foveate knows by a name of its own. {meant}"
        f"Those are {', '.join(SHORT_NAMES)}; any other is written with its library, as "
        f"`timm:{typed}` or `torchvision:{typed}`."
    )
