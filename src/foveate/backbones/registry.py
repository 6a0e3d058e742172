"""Find a backbone by name: in the package, or among those that the user added."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from foveate.backbones.names import parse_name
from foveate.errors import BackboneError, ModelFileError, OutputError
from foveate.files import digest
from foveate.folders import own_folder
from foveate.settings import FeatureKind

PACKAGED = Path(__file__).parent / "packs"
"""The packs that come with foveate."""


class Card(BaseModel):
    """What is known about a backbone.

    Attributes:
        name: as in `--backbone NAME`.
        description: one sentence.
        source: where the weights come from.
        weights_sha256: SHA-256 of the file the weights came in.
        pack_sha256: SHA-256 of the ONNX pack.
        licence: SPDX identifier of the licence of the weights; "unknown" where nobody said.
        preprocessing: what the graph does to the pixels before the network.
        resolution: pixels a side that the network was trained at, or built for where its name says
            so; others work too unless `fixed_resolution` says otherwise.
        dimension: features per image.
        parameters: weights in the original network.
        imagenet_top1: published ImageNet top-1 accuracy, a share.
        imagenet_sample_top1: share of sample photos named correctly by this very pack through
            foveate's own decode and resize, where it was measured.
        imagenet_sample_n: number of those photos.
        reference: library and model that the network can be built with again, to refine it
            (`timm:tf_efficientnet_lite0`).
        fixed_resolution: pixels a side of the only images that the network takes; None where it
            takes any.
        features: "last": what is left after the last layer; "depths": see `backbones.depths`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    source: str
    weights_sha256: str
    pack_sha256: str
    licence: str
    preprocessing: str
    resolution: int
    dimension: int
    parameters: int
    imagenet_top1: float | None
    imagenet_sample_top1: float | None
    imagenet_sample_n: int | None
    reference: str | None = None
    fixed_resolution: int | None = None
    features: FeatureKind = "last"

    def check_resolution(self, resolution: int) -> None:
        """Say so where the network does not take images of so many pixels a side.

        Raises:
            BackboneError: it takes one other resolution only.
        """
        if self.fixed_resolution not in (None, resolution):
            other = "another backbone"
            if self.reference is not None:
                plain = replace(parse_name(self.reference), resolution=None)
                build = f"foveate backbones add {plain.reference} --resolution {resolution}"
                other = f"build the network for {resolution} px, if it can be: `{build}`"
            raise BackboneError(
                f"The backbone ‘{self.name}’ takes images of {self.fixed_resolution} pixels a side "
                f"and no others, but the resolution is {resolution}. Use `--resolution "
                f"{self.fixed_resolution}`, or {other}."
            )


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained network that is here.

    Attributes:
        card: what is known about it.
        path: its ONNX pack: `pixels` uint8 (N, H, W, 3) → `features` float32 (N, dimension).
        made: the pack where it was made from the file; None for what is in the file.
    """

    card: Card
    path: Path
    made: bytes | None = field(default=None, repr=False)

    @property
    def weights(self) -> Path:
        """The original weights (safetensors), to refine from; packaged backbones come without."""
        return self.path.with_name(f"{self.card.name}.safetensors")

    def onnx_bytes(self) -> bytes:
        """The pack, checked against the digest on its card.

        Raises:
            BackboneError: the file is missing or is not the one that the card describes.
        """
        if self.made is not None:
            return self.made
        try:
            pack = self.path.read_bytes()
        except OSError as error:
            raise BackboneError(
                f"The backbone's file {self.path} cannot be read: {error}"
            ) from None
        if digest(pack) != self.card.pack_sha256:
            raise BackboneError(
                f"{self.path} is not the file that its card describes: it is damaged or was "
                "changed. Install foveate again, or add the backbone again."
            )
        from foveate.runtime.untrusted import read_graph  # ONNX, which most of the verbs do without

        try:
            read_graph(pack)
        except ModelFileError as error:
            raise BackboneError(f"{self.path}: {error}") from None
        return pack

    def giving(self, features: FeatureKind) -> Backbone:
        """The same network with other features, where it can give them.

        Raises:
            BackboneError: see `onnx_bytes`.
        """
        if features == self.card.features:
            return self
        if features == "last":  # what its file has
            return _read(self.path.with_suffix(".json"))
        pack, card = giving(self.onnx_bytes(), self.card, features)
        return replace(self, card=card, made=pack)


def giving(pack: bytes, card: Card, features: FeatureKind) -> tuple[bytes, Card]:
    """A network that gives its last layer's features, made to give others where it can.

    Args:
        pack: of the network.
        card: of the pack.
        features: those that are wanted.

    Returns:
        Pack and card; as they are where the last layer's are wanted, or no depths can be told.
    """
    if features == "last":
        return pack, card
    from foveate.backbones.depths import with_depths  # ONNX, as above

    made = with_depths(pack, card.fixed_resolution or card.resolution)
    if made is None:
        return pack, card
    changes = {"features": features, "dimension": made[1], "pack_sha256": digest(made[0])}
    return made[0], card.model_copy(update=changes)


def user_folder() -> Path:
    """Where `foveate backbones add` puts packs; the environment's `FOVEATE_BACKBONES` moves it.

    Raises:
        OutputError: there is no such folder, as the user has no home.
    """
    folder = own_folder("FOVEATE_BACKBONES", "data")
    return folder if os.environ.get("FOVEATE_BACKBONES") else folder / "backbones"


def _folders() -> list[Path]:
    """Where backbones are: in the package, and in the user's folder, where there is one."""
    try:
        return [PACKAGED, user_folder()]
    except OutputError:
        return [PACKAGED]


def list_backbones() -> list[Backbone]:
    """Every backbone that is here, by name: those in the package, then those that were added.

    Raises:
        BackboneError: a card cannot be read.
    """
    packaged = [_read(card) for card in sorted(PACKAGED.glob("*.json"))]
    taken = {backbone.card.name for backbone in packaged}
    own = [card for folder in _folders()[1:] for card in sorted(folder.glob("*.json"))]
    added = [_read(card) for card in own]
    return packaged + [backbone for backbone in added if backbone.card.name not in taken]


def find_backbone(
    name: str, *, resolution: int | None = None, features: FeatureKind = "last"
) -> Backbone:
    """The backbone of that name.

    Args:
        name: as it is listed, or as it was typed when it was added (`timm:convnext_tiny`).
        resolution: pixels a side of the images that will come, where that is known already.
        features: those that it gives.

    Raises:
        BackboneError: it is not here (the message lists those that are, and how to add it), or it
            does not take that resolution.
    """
    canonical = _canonical(name)
    # What is typed becomes a file name: nothing that leads out of the folder may.
    names = [one for one in (name, canonical) if one and Path(one).name == one]
    for card in (folder / f"{one}.json" for folder in _folders() for one in names):
        if card.is_file():
            backbone = _read(card)
            if resolution is not None:
                backbone.card.check_resolution(resolution)
            return backbone.giving(features)
    here = ", ".join(backbone.card.name for backbone in list_backbones())
    how = f"Add it with `foveate backbones add {name}`. " if canonical else ""
    raise BackboneError(f"There is no backbone ‘{name}’ here. {how}Here are: {here}.")


def is_packaged(name: str) -> bool:
    """Whether the backbone of that name comes with foveate."""
    return (PACKAGED / f"{name}.json").is_file()


def _canonical(name: str) -> str | None:
    try:
        return parse_name(name).name
    except BackboneError:
        return None


def _read(card: Path) -> Backbone:
    try:
        return Backbone(Card.model_validate_json(card.read_bytes()), card.with_suffix(".onnx"))
    except (ValidationError, OSError) as error:
        raise BackboneError(f"The card {card} cannot be read: {error}") from None
