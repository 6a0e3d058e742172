"""From predictions on tiles to a map: laid out, smoothed, measured, written for every reader."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.legend import Colour, Legend, colours_of
from foveate.aerial.mapping.agreement import Agreement, agreement, cross_table
from foveate.aerial.mapping.areas import AdjustedArea, adjusted_areas
from foveate.aerial.mapping.reference import Reference, find_reference
from foveate.aerial.mapping.smoothing import CENTER_WEIGHT, smooth
from foveate.aerial.mapping.tilemap import NOTHING, TileMap, tile_map
from foveate.evaluation import Comparison, compare_paired
from foveate.evaluation.svg import percent

FILES = (
    "classes.tif",
    "classes.tif.aux.xml",
    "classes_smoothed.tif",
    "classes_smoothed.tif.aux.xml",
    "confidence.tif",
    "tiles.parquet",
    "map.png",
    "map.html",
)
"""What a map is written as."""


@dataclass(frozen=True, slots=True, eq=False)
class TilesMapped:
    """A map, before and after smoothing, and how good it is.

    Attributes:
        predicted: what the classifier said.
        smoothed: the same after 3 × 3 smoothing.
        center_weight: votes of the centre tile.
        refused: tiles that could not be read; they are gaps.
        reference: the known labels.
        colours: of the reference's labels; the first K are the map's.
        before: the map as predicted against the known labels; None where no tile can be measured.
        after: the same tiles of the smoothed map.
        comparison: `after`, as a, against `before`, as b; None like them.
        areas: for each of the reference's labels, its area estimated from the smoothed map and the
            known labels.
        notes: plain sentences that a reader should know before trusting the numbers.
        seconds: by stage.
    """

    predicted: TileMap
    smoothed: TileMap
    center_weight: float
    refused: int
    reference: Reference
    colours: tuple[Colour, ...]
    before: Agreement | None
    after: Agreement | None
    comparison: Comparison | None
    areas: tuple[AdjustedArea, ...]
    notes: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The K labels of the map."""
        return self.predicted.labels

    @property
    def changed(self) -> int:
        """Tiles that smoothing gave another label."""
        return int(np.count_nonzero(self.predicted.classes != self.smoothed.classes))

    @property
    def sentence(self) -> str:
        """What smoothing did to the accuracy, in plain words; empty where nothing is measured."""
        if self.comparison is None:
            return ""
        said = self.comparison.sentence("The smoothed map", "the map as predicted")
        return said.replace("test images", "tiles").replace("image", "tile")


def map_tiles(
    placed: GeoreferencedPredictions,
    *,
    center_weight: float = CENTER_WEIGHT,
    landcover: str | None = None,
    legend: Legend | None = None,
) -> TilesMapped:
    """Map predictions on tiles, smooth the map, and measure both against known labels.

    Args:
        placed: predictions for n tiles of one grid, each tile once.
        center_weight: votes of the centre tile in smoothing; each neighbour has one.
        landcover: a land-cover raster to measure against, local path or URL; the known labels of
            the predictions where None.
        legend: what its codes mean; needed with `landcover`.

    Raises:
        SourceError: no tile could be read, they lie too far apart for one map, or the raster has
            no label that the classifier has.
        SettingsError: `center_weight` is negative or not a number.
    """
    started = time.perf_counter()
    predicted = tile_map(placed)
    smoothed = smooth(predicted, center_weight)
    mapped = time.perf_counter()
    reference = find_reference(placed, predicted, landcover=landcover, legend=legend)
    before, after, comparison = _measured(predicted, smoothed, reference)
    known = _cross(smoothed, reference)
    areas = adjusted_areas(known, smoothed.counts, placed.grid.area)
    refused = len(placed) - predicted.tiles
    return TilesMapped(
        predicted,
        smoothed,
        center_weight,
        refused,
        reference,
        tuple((legend.colours_of if legend else colours_of)(reference.labels)),
        before,
        after,
        comparison,
        areas,
        tuple(_notes(smoothed, reference, known, before, after)),
        {"map": mapped - started, "measure": time.perf_counter() - mapped},
    )


def _measured(
    predicted: TileMap, smoothed: TileMap, reference: Reference
) -> tuple[Agreement | None, Agreement | None, Comparison | None]:
    k = len(predicted.labels)
    which = reference.independent & (reference.classes != NOTHING) & (reference.classes < k)
    if not which.any():
        return None, None, None
    known = reference.classes[which]
    first, second = predicted.classes[which], smoothed.classes[which]
    return (
        agreement(predicted.labels, known, first),
        agreement(predicted.labels, known, second),
        compare_paired(second == known, first == known),
    )


def _cross(tiles: TileMap, reference: Reference) -> NDArray[np.int64]:
    """(K, labels of the reference): tiles by mapped and known label, other labels among them.

    A tile of another label is a mistake of the map whatever it says, so it belongs into an area.
    """
    which = reference.independent & (reference.classes != NOTHING)
    return cross_table(
        tiles.classes[which], reference.classes[which], len(tiles.labels), len(reference.labels)
    )


def _notes(
    smoothed: TileMap,
    reference: Reference,
    known: NDArray[np.int64],
    before: Agreement | None,
    after: Agreement | None,
) -> list[str]:
    excluded = reference.excluded
    if not reference.known:
        return [
            "No tile has a known label, so nothing says how good this map is. Give a land-cover "
            "raster with --landcover and --legend to find out."
        ]
    if before is None or after is None:
        return [
            "No tile is left to measure: all tiles with a label that the classifier has were "
            "trained on, or lie beside such a tile."
            if excluded.trained_known
            else "No tile has a known label that the classifier has, so nothing is measured."
        ]
    notes = []
    if not excluded.trained_known:
        notes.append(
            "The predictions do not say which tiles the classifier was trained on. If some of "
            "the measured tiles were among them, the map is worse than it looks here. "
            "`foveate score` writes the column `trained_on`; score again to know."
        )
    one, other = before.class_average_accuracy, after.class_average_accuracy
    if other.high < one.low:
        notes.append(
            "Smoothing swallows rare labels: averaged over labels, accuracy falls from "
            f"{percent(one.value)} to {percent(other.value)}. Give the centre tile more votes "
            "with --center-weight, or use the map as predicted, if rare labels matter."
        )
    empty = _unsampled(smoothed, known)
    if empty:
        notes.append(
            f"No measured tile is mapped as {', '.join(f'‘{label}’' for label in empty)}, so the "
            "areas cannot be adjusted for the map’s mistakes."
        )
    elif int(known.sum()) == smoothed.tiles:
        notes.append("Every tile has a known label, so the adjusted areas are simply those.")
    else:
        notes.append(
            "Adjusted areas and their intervals hold if the measured tiles are like a random "
            "sample of all tiles with their mapped label. They do not where tiles were chosen by "
            "their known label (so many of each), come from one corner of the map, or have a "
            "known label because of what they show."
        )
    notes.append(
        "Tiles side by side are alike, so these tiles say less than as many tiles strewn about: "
        "take the intervals for the narrowest that they can be."
    )
    return notes


def _unsampled(tiles: TileMap, known: NDArray[np.int64]) -> list[str]:
    """Labels that the map has, and none of the measured tiles."""
    return [
        label
        for label, count, sampled in zip(
            tiles.labels, tiles.counts.tolist(), known.sum(axis=1).tolist(), strict=True
        )
        if count and not sampled
    ]
