"""Decide how imagery is cut, and refuse what cannot be, before any tile is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foveate import files
from foveate.aerial.address import View
from foveate.aerial.cut_options import CutOptions
from foveate.aerial.cutting import imagery
from foveate.aerial.cutting.stretch import choose_stretch, view_of
from foveate.aerial.cutting.survey import SurveyPlan
from foveate.aerial.grid import Grid, parse_crs
from foveate.aerial.header import RasterFacts, raster_facts
from foveate.aerial.legend_table import find_legend
from foveate.errors import SettingsError

COARSE = 1.5
"""Imagery whose pixels are so many times larger than those of the tiles gets a remark."""

_FEW_PIXELS = 64
_USUAL_PIXELS = 224


@dataclass(frozen=True, slots=True)
class CutPlan:
    """How imagery is cut.

    Attributes:
        facts: of each raster.
        views: how each is shown.
        survey: what to find out about each tile.
        options: what was asked for, among it which tiles are kept.
        stretch: values that become black and white in rasters that are not 8 bit.
        remarks: what a user should know beforehand, a sentence each.
    """

    facts: tuple[RasterFacts, ...]
    views: tuple[View, ...]
    plan: SurveyPlan
    options: CutOptions
    stretch: tuple[float, float] | None
    remarks: tuple[str, ...]

    @property
    def grid(self) -> Grid:
        """Of the tiles."""
        return self.plan.grid

    @property
    def years(self) -> list[int]:
        """When each raster was photographed; 0 where nothing says so."""
        return [one.taken.year if one.taken else 0 for one in self.facts]

    def settings(self) -> dict[str, Any]:
        """All that the tiles depend on, under names that a user knows."""
        plan = self.plan
        about = [(one.path, files.file_entry(one.path).stamp) for one in self.facts]
        labels = plan.landcover
        legend = (plan.legend.name, sorted(plan.legend.labels.items()), sorted(plan.legend.nodata))
        return {
            "imagery": files.digest(repr(about).encode()),
            "crs": self.grid.crs,
            "size": self.grid.size,
            "pixel": self.grid.pixel,
            "bands": self.views[0].bands,
            "stretch": self.stretch,
            "labels": (labels, files.file_entry(labels).stamp) if labels else None,
            "legend": files.digest(repr(legend).encode()) if labels else None,
            **{name: rule for name, rule in self.options.rules.items() if name != "labelled"},
        }

    def about(self) -> Mapping[str, Any]:
        """What the index says about the cut."""
        plan = self.plan
        return {
            "labels": plan.landcover,
            "legend": plan.legend.name if plan.landcover else None,
            "bands": self.views[0].bands,
            "stretch": self.stretch,
            "ndvi": plan.ndvi,
            "rules": self.options.rules,
        }


def make_plan(given: Sequence[str], options: CutOptions) -> CutPlan:
    """Look at the headers of all rasters and decide.

    Args:
        given: files, folders, globs and URLs.
        options: of the user.

    Raises:
        SourceError: there is no imagery, or none of the place of the land cover.
        SettingsError: the options contradict the imagery.
    """
    labels = files.absolute(options.labels) if options.labels is not None else None
    legend = find_legend(options.legend)
    facts = imagery.read_facts(imagery.find_rasters(given, besides=labels))
    grid = imagery.choose_grid(facts, size=options.size, pixel=options.pixel, crs=options.crs)
    if labels is not None:
        imagery.check_overlap(facts, raster_facts(labels))
    bands = imagery.choose_bands(facts, options.bands)
    ndvi = (options.red, options.nir) if options.ndvi else None
    if ndvi is not None:
        imagery.check_bands(facts, ndvi, "--red and --nir name the bands of the NDVI")
    small = _check_sizes(facts, grid)
    stretch = options.stretch or choose_stretch(facts, bands)
    views = tuple(view_of(one, bands, stretch, always=bool(options.stretch)) for one in facts)
    remarks = (*small, *_coarse(facts, grid), *_untrue(facts, grid))
    return CutPlan(facts, views, SurveyPlan(grid, labels, legend, ndvi), options, stretch, remarks)


def _check_sizes(facts: Sequence[RasterFacts], grid: Grid) -> list[str]:
    """Refuse imagery that no tile fits into; a remark where that is true of some rasters."""
    sides = [_sides(one, grid) for one in facts]
    small = [
        number
        for number, (across, down) in enumerate(sides)
        if min(across, down) < grid.size * (1 - 1e-6)
    ]
    if not small:
        return []
    first = small[0]
    across, down = sides[first]
    which = (
        f"‘{facts[first].path}’ is {across:,.0f} m × {down:,.0f} m, smaller than a tile of "
        f"{grid.size:g} m"
    )
    if len(small) < len(facts):
        others = f", and so are {len(small) - 1:,} others" if len(small) > 1 else ""
        return [f"Note: {which}{others}; no tile of theirs is whole."]
    pixels = max(int(min(across, down) / grid.pixel * 0.5), 1)
    raise SettingsError(f"{which}. Make the tiles smaller, as --size {pixels * grid.pixel:g}m.")


def _sides(facts: RasterFacts, grid: Grid) -> tuple[float, float]:
    left, bottom, right, top = imagery.bounds_in(facts, grid)
    return right - left, top - bottom


def _coarse(facts: Sequence[RasterFacts], grid: Grid) -> list[str]:
    """Say where pixels would be made up, and with which flags they would not."""
    coarsest = max(facts, key=imagery.ground_pixel)
    pixel = imagery.ground_pixel(coarsest)
    if pixel <= COARSE * grid.pixel:
        return []
    own = float(f"{pixel:.3g}")
    pixels = grid.pixels if grid.pixels >= _FEW_PIXELS else _USUAL_PIXELS
    return [
        f"Note: ‘{coarsest.path}’ has pixels of {own:g} m; tiles with pixels of {grid.pixel:g} m "
        f"are enlarged from it and blurred. Its own detail: --pixel {own:g}m --size "
        f"{own * pixels:g}m."
    ]


def _untrue(facts: Sequence[RasterFacts], grid: Grid) -> list[str]:
    """Say where a metre of the grid is none on the ground."""
    for one in facts:
        west, south, east, north = one.geographic_bounds
        scale = imagery.ground_scale(grid.crs, (west + east) / 2, (south + north) / 2)
        if abs(scale - 1) > imagery.TRUE:
            return [
                f"Note: a metre of {parse_crs(grid.crs).name} is {scale:.2f} m on the ground at "
                f"‘{one.path}’, so areas in km² are not true there. Cut it by itself, without "
                "--crs."
            ]
    return []
