"""The tiles of a cut, one after the other: rows of its index, made when they are asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import isnan

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.address import TileAddress, View
from foveate.aerial.cutting.counties import Areas
from foveate.aerial.cutting.plan import CutPlan
from foveate.aerial.cutting.survey import Survey
from foveate.aerial.grid import TileKey
from foveate.aerial.index import Tile

UNLABELLED = "tiles"
"""The folder of tiles without a label."""

_NO_NAME = re.compile(r'[/\\:*?"<>|\x00-\x1f]+')


class Tiles:
    """What was kept of a survey; as often as one goes through it, never all of it in memory.

    Args:
        plan: of the cut.
        survey: what was found.
        kept: (k,) int64, the rows of the survey that are kept.
        areas: whose names become blocks; None for none.
        suffix: of the images; None where paths are addresses of tiles instead.
    """

    def __init__(
        self,
        plan: CutPlan,
        survey: Survey,
        kept: NDArray[np.int64],
        areas: Areas | None,
        suffix: str | None,
    ) -> None:
        self._plan, self._survey, self._kept, self._suffix = plan, survey, kept.tolist(), suffix
        self._names = plan.plan.legend.names
        keys = [survey.key(number) for number in self._kept] if areas is not None else []
        blocks = areas.of_tiles(plan.grid, keys) if areas is not None else None
        self._blocks: Sequence[str | None] = blocks or [None] * len(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Tile]:
        for number, block in zip(self._kept, self._blocks, strict=True):
            yield self._tile(number, block)

    def rasters(self) -> Iterator[tuple[str, View]]:
        """The raster of each tile, and how it is shown."""
        for number in self._kept:
            raster = int(self._survey.rasters[number])
            yield self._plan.facts[raster].path, self._plan.views[raster]

    def labels(self) -> dict[str, int]:
        """How many tiles each label has, in the order of the legend; only labels that have some."""
        numbers = self._survey.labels[self._kept]
        counts = np.bincount(numbers[numbers >= 0], minlength=len(self._names)).tolist()
        return {name: count for name, count in zip(self._names, counts, strict=True) if count}

    def years(self) -> dict[int, int]:
        """How many tiles each year has, in order; 0 where nobody knows it."""
        years = self._plan.years
        counts = Counter(years[int(raster)] for raster in self._survey.rasters[self._kept])
        return dict(sorted(counts.items()))

    def _tile(self, number: int, block: str | None) -> Tile:
        survey, plan = self._survey, self._plan
        raster = int(survey.rasters[number])
        facts, key = plan.facts[raster], survey.key(number)
        label = int(survey.labels[number])
        name = self._names[label] if label >= 0 else None
        ndvi = float(survey.ndvi[number])
        if self._suffix is None:
            path = str(TileAddress(facts.path, key, plan.grid, plan.views[raster]))
        else:
            path = file_name(key, plan.years[raster], name, self._suffix)
        return Tile(
            path=path,
            key=key,
            label=name,
            share=float(survey.shares[number]) if name is not None else None,
            nodata=float(survey.nodata[number]),
            ndvi=None if isnan(ndvi) else ndvi,
            source=facts.path,
            taken=facts.taken,
            block=block,
        )


def file_name(key: TileKey, year: int, label: str | None, suffix: str) -> str:
    """Where a tile lies in its folder, as `Forest/r023255c002170_2018.png`.

    A label becomes the name of a folder; what file systems do not take in it becomes a hyphen.
    """
    folder = _NO_NAME.sub("-", label).strip(" .") or "-" if label is not None else UNLABELLED
    when = f"_{year}" if year else ""
    return f"{folder}/{key}{when}{suffix}"
