"""Find a backbone by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from foveate.errors import BackboneError
from foveate.files import digest

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
        licence: SPDX identifier of the licence of the weights.
        preprocessing: what the graph does to the pixels before the network.
        resolution: pixels a side that the network was trained at; others work too.
        dimension: features per image.
        parameters: weights in the original network.
        imagenet_top1: published ImageNet top-1 accuracy, a share.
        imagenet_sample_top1: share of sample photos named correctly by this very pack through
            foveate's own decode and resize, where it was measured.
        imagenet_sample_n: number of those photos.
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


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained network that is here.

    Attributes:
        card: what is known about it.
        path: its ONNX pack: `pixels` uint8 (N, H, W, 3) → `features` float32 (N, dimension).
    """

    card: Card
    path: Path

    def onnx_bytes(self) -> bytes:
        """The pack, checked against the digest on its card.

        Raises:
            BackboneError: the file is missing or is not the one that the card describes.
        """
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
        return pack


def list_backbones() -> list[Backbone]:
    """Every backbone that is here, by name."""
    return [_read(card) for card in sorted(PACKAGED.glob("*.json"))]


def find_backbone(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        BackboneError: it is not here; the message lists those that are.
    """
    found = {backbone.card.name: backbone for backbone in list_backbones()}
    if name not in found:
        here = ", ".join(found)
        raise BackboneError(f"There is no backbone ‘{name}’ here. Here are: {here}.")
    return found[name]


def _read(card: Path) -> Backbone:
    try:
        return Backbone(Card.model_validate_json(card.read_bytes()), card.with_suffix(".onnx"))
    except ValidationError as error:
        raise BackboneError(f"The card {card} cannot be read: {error}") from None
