"""What one can ask of a cut, its defaults and what each means: the only such place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from foveate.errors import SettingsError


@dataclass(frozen=True)  # without slots, so that a default can be named: `CutOptions.size`
class CutOptions:
    """How imagery is cut, and which tiles are kept.

    Attributes:
        labels: land cover, a raster of codes; None for tiles without labels.
        legend: what its codes mean; see `legend_table.find_legend`.
        size: a side of a tile, m.
        pixel: a side of a pixel of its image, m.
        crs: of the grid; None for the imagery's own, or UTM where that is not in metres.
        min_share: of a tile's area that must have its label, in [0, 1].
        max_nodata: share of pixels that may be without data, in [0, 1).
        balanced: as many tiles of each label as of the rarest.
        per_label: so many tiles of each label at most; None for all.
        limit: so many tiles in all at most; None for all.
        seed: of which are taken.
        bands: three bands, from 1, that become red, green, blue; None for the first three, or for
            the only one.
        ndvi: note the mean vegetation index of each tile.
        red: the band of red light, for it.
        nir: the band of near-infrared light, for it.
        stretch: values that become black and white; None for 8-bit rasters as they are and the 2nd
            and 98th percentile of all others.
        blocks: a vector file of counties or other areas.
        block_name: its column that names them.
        image_format: `png` or `jpeg`.

    Raises:
        SettingsError: they contradict each other, or one is out of its range.
    """

    labels: str | None = None
    legend: str = "nlcd-groups"
    size: float = 224.0
    pixel: float = 1.0
    crs: str | None = None
    min_share: float = 0.5
    max_nodata: float = 0.05
    balanced: bool = False
    per_label: int | None = None
    limit: int | None = None
    seed: int = 0
    bands: tuple[int, ...] | None = None
    ndvi: bool = False
    red: int = 1
    nir: int = 4
    stretch: tuple[float, float] | None = None
    blocks: str | None = None
    block_name: str = "NAME"
    image_format: str = "png"

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise SettingsError(f"--min-share {self.min_share:g} is not a share from 0 to 1.")
        if not 0 <= self.max_nodata < 1:
            raise SettingsError(
                f"--max-nodata {self.max_nodata:g} is not a share from 0 to below 1."
            )
        if (self.balanced or self.per_label is not None) and not self.labelled:
            raise SettingsError(
                "Tiles can be balanced only where they have labels: give --labels LANDCOVER."
            )
        for flag, value in (("--per-label", self.per_label), ("--limit", self.limit)):
            if value is not None and value < 1:
                raise SettingsError(f"{flag} must be at least 1.")
        if self.ndvi and min(self.red, self.nir) < 1:
            raise SettingsError("Bands are counted from 1.")
        if self.stretch is not None and not self.stretch[0] < self.stretch[1]:
            raise SettingsError(
                "--stretch LOW,HIGH: the value that becomes black is below the one that becomes "
                "white."
            )

    @property
    def labelled(self) -> bool:
        """Whether tiles have labels, and only those with one are kept."""
        return self.labels is not None

    @property
    def rules(self) -> Mapping[str, Any]:
        """Which tiles are kept, by the names under which an index and a folder remember it."""
        names = ("min_share", "max_nodata", "balanced", "per_label", "limit", "seed")
        return {"labelled": self.labelled, **{name: getattr(self, name) for name in names}}


def cut_options(options: CutOptions | None, changes: Mapping[str, Any]) -> CutOptions:
    """The options as given, some of them changed.

    Raises:
        SettingsError: see `CutOptions`.
        TypeError: there is no option of such a name.
    """
    if unknown := set(changes) - {field.name for field in fields(CutOptions)}:
        raise TypeError(f"there is no option {min(unknown)}")
    return replace(options or CutOptions(), **changes)
