"""What is tried: the backbones that are here, the resolutions that can help them, and the heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foveate.backbones import Backbone, find_backbone, list_backbones
from foveate.errors import BackboneError, SettingsError
from foveate.settings import Settings, make_settings

if TYPE_CHECKING:
    from foveate.heads import HeadKind

HEADS: tuple[HeadKind, ...] = ("svm", "logistic", "forest")
"""The heads that are tried, the simplest first."""

RESOLUTIONS = (224, 320, 448, 896)
"""Pixels a side that are tried where nobody names any."""

ENLARGED = 2.0
"""An image is enlarged by this factor at most: it holds no more detail than it has pixels."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting that is tried.

    Attributes:
        backbone: its name.
        resolution: pixels a side.
        classifier: the head on its features.
    """

    backbone: str
    resolution: int
    classifier: HeadKind

    @property
    def extractor(self) -> tuple[str, int]:
        """Backbone and resolution: what the features, and their cost, depend on."""
        return self.backbone, self.resolution

    @property
    def features_key(self) -> tuple[str, str, int]:
        """What the features are made with: backbone, digest of its file, resolution."""
        return self.backbone, find_backbone(self.backbone).card.pack_sha256, self.resolution

    def __str__(self) -> str:
        return f"{self.classifier} on {self.backbone} at {self.resolution} px"

    def settings(self, others: Settings) -> Settings:
        """The settings that train it, everything else taken from `others`."""
        mine = {
            "backbone": self.backbone,
            "resolution": self.resolution,
            "classifier": self.classifier,
        }
        return others.model_copy(update=mine)


@dataclass(frozen=True, slots=True)
class Space:
    """What may be tried.

    Attributes:
        backbones: at least one.
        resolutions: those that were named; where none was, `RESOLUTIONS` as far as they help.
        classifiers: the heads.
        settings: of the training, among them the setting to try first.
    """

    backbones: tuple[Backbone, ...]
    resolutions: tuple[int, ...]
    classifiers: tuple[HeadKind, ...]
    settings: Settings

    @classmethod
    def of(
        cls,
        settings: Settings,
        backbones: Sequence[str] = (),
        resolutions: Sequence[int] = (),
        classifiers: Sequence[str] = (),
    ) -> Space:
        """The space of what was named; of every kind that was not, of all there is.

        Raises:
            BackboneError: a backbone is not here, or none takes any of the resolutions.
            SettingsError: a resolution is out of range, or a classifier is not searched.
        """
        named = [find_backbone(name) for name in backbones]
        if not named:
            named = [find_backbone(settings.backbone), *list_backbones()]
        by_name = {backbone.card.name: backbone for backbone in named}
        for resolution in resolutions:
            make_settings(flags={**settings.model_dump(), "resolution": resolution})
        space = cls(
            tuple(by_name.values()),
            tuple(sorted(set(resolutions))),
            tuple(dict.fromkeys(map(_head, classifiers))) or HEADS,
            settings,
        )
        if resolutions and not any(map(space._resolutions, space.backbones)):
            raise BackboneError(_no_resolution(space))
        return space

    def candidates(self, detail: float) -> tuple[Candidate, ...]:
        """Every setting to try: first the one to begin with, then from cheap to costly.

        The settings that share backbone and resolution, and so the features, follow each other.

        Args:
            detail: pixels of the short side of a typical image.
        """
        costs = {
            (backbone.card.name, resolution): backbone.card.parameters * resolution**2
            for backbone in self.backbones
            for resolution in self._resolutions(backbone, detail)
        }
        own = self.settings
        backbone = find_backbone(own.backbone).card.name
        # Where what `train` takes by default is not to be tried, what comes closest begins.
        first = max(
            sorted(costs, key=lambda extractor: (costs[extractor], extractor)),
            key=lambda extractor: (extractor[0] == backbone, extractor[1] == own.resolution),
        )
        heads = sorted(self.classifiers, key=lambda kind: (kind != own.head, HEADS.index(kind)))
        ordered = sorted(
            costs, key=lambda extractor: (extractor != first, costs[extractor], extractor)
        )
        return tuple(Candidate(*extractor, kind) for extractor in ordered for kind in heads)

    def _resolutions(self, backbone: Backbone, detail: float = float("inf")) -> tuple[int, ...]:
        """The resolutions at which a backbone is tried."""
        fixed = backbone.card.fixed_resolution
        if fixed is not None:
            return (fixed,) if not self.resolutions or fixed in self.resolutions else ()
        helpful = (r for r in RESOLUTIONS if r <= ENLARGED * detail)
        return self.resolutions or tuple(sorted({self.settings.resolution, *helpful}))


def _head(name: str) -> HeadKind:
    for kind in HEADS:
        if name == kind:
            return kind
    if name in ("dnn", "svm-dnn"):
        raise SettingsError(
            f"‘{name}’ is not searched: refining a network takes too long to try it often. Search "
            f"with svm, logistic or forest, then run `foveate train` with `--classifier {name}` "
            "and the backbone that was chosen."
        )
    raise SettingsError(f"No head is called ‘{name}’; choose from {', '.join(HEADS)}.")


def _no_resolution(space: Space) -> str:
    taken = ", ".join(
        f"‘{backbone.card.name}’ {backbone.card.fixed_resolution} px"
        for backbone in space.backbones
    )
    wanted = " or ".join(f"{resolution} px" for resolution in space.resolutions)
    return (
        f"No backbone takes images of {wanted} a side; {taken} and no other. "
        "Name one of these with `--resolution`, or another `--backbone`."
    )
