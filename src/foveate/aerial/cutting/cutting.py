"""From imagery and land cover to labelled tiles on a fixed grid.

First every tile is looked at (`survey`), then it is decided which are kept (`choice`), then those
are written (`writing`), or only named by their addresses, so that training and scoring read them
straight from the rasters. Looking and writing run in threads here or on a cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from foveate import files
from foveate.aerial.cut_options import CutOptions, cut_options
from foveate.aerial.cutting.choice import choose, why_none
from foveate.aerial.cutting.counties import Areas
from foveate.aerial.cutting.plan import CutPlan, make_plan
from foveate.aerial.cutting.survey import Survey, plan_tasks, survey, together
from foveate.aerial.cutting.tasks import Progress, TileEngine, threads
from foveate.aerial.cutting.tiles import Tiles
from foveate.aerial.cutting.writing import (
    FORMATS,
    check_folder,
    is_index_alone,
    keep_settings,
    missing,
    write_tiles,
)
from foveate.aerial.grid import Grid
from foveate.aerial.index import NAME, write_index
from foveate.aerial.landcover import check_codes
from foveate.errors import ClusterError, SettingsError, SourceError
from foveate.runtime.cores import usable_cores

if TYPE_CHECKING:
    from foveate.targets import Target

_MANY = 20
"""Times as many tiles left out for balance as kept get a remark."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut.

    Attributes:
        out: the folder of images, or the index where that is all.
        index: the GeoParquet table, one row a tile; see `index.read_index`.
        grid: of the tiles.
        tiles: how many.
        labels: tiles of each label, in the order of the legend; empty without land cover.
        years: tiles of each year; 0 where nobody knows it.
        left_out: tiles that were looked at and left out, for each of `choice.REASONS`.
        rasters: how many there were.
        stretch: values that became black and white; None where all rasters are 8 bit.
        written: images that were written now; the others were there from an earlier start.
        remarks: what the user should know, a sentence each.
        seconds: that it took.
    """

    out: str
    index: str
    grid: Grid
    tiles: int
    labels: Mapping[str, int]
    years: Mapping[int, int]
    left_out: Mapping[str, int]
    rasters: int
    stretch: tuple[float, float] | None
    written: int
    remarks: tuple[str, ...]
    seconds: float


def cut(
    imagery: str | Sequence[str],
    *,
    out: str,
    options: CutOptions | None = None,
    workers: int | None = None,
    target: Target | None = None,
    progress: Progress | None = None,
    remark: Callable[[str], None] | None = None,
    **changes: Any,
) -> Cut:
    """Cut imagery into tiles.

    Args:
        imagery: files, folders, globs or URLs of rasters.
        out: ends in `.parquet`: the index alone, whose paths are addresses of tiles. Else a folder
            of images below a folder for each label, with the index `metadata.parquet`.
        options: how it is cut; the defaults where None.
        workers: threads; None for one a core.
        target: a Spark cluster that does the work; None for this machine.
        progress: told how far it is.
        remark: told what the user should know beforehand, as soon as that is clear.
        changes: options by name, `size=448.0`.

    Raises:
        SourceError: imagery or land cover cannot be read or placed, they do not overlap, or no tile
            is left; the message says why.
        SettingsError: the settings contradict each other or the imagery.
        OutputError: the tiles or their index cannot be written.
        ClusterError: the cluster failed.
    """
    start = time.perf_counter()
    options = cut_options(options, changes)
    if options.image_format not in FORMATS:
        raise SettingsError(
            f"Tiles are not written as ‘{options.image_format}’; choose {' or '.join(FORMATS)}."
        )
    plan = make_plan([imagery] if isinstance(imagery, str) else imagery, options)
    say = remark or (lambda _: None)
    for sentence in plan.remarks:
        say(sentence)
    areas = Areas(options.blocks, options.block_name) if options.blocks is not None else None
    out = files.absolute(out)
    alone = is_index_alone(out)
    suffix = None if alone else FORMATS[options.image_format]
    settings = plan.settings() | {"format": options.image_format}
    there = set() if alone else check_folder(out, settings)
    written = 0
    with _engine(target, workers, progress) as engine:
        surveyed = _look(plan, engine)
        choice = choose(surveyed, plan.years, options)
        if not len(choice.kept):
            raise SourceError(why_none(choice.left_out))
        tiles = Tiles(plan, surveyed, choice.kept, areas, suffix)
        scarce = _scarce(options, tiles, choice.left_out)
        for sentence in scarce:
            say(sentence)
        if not alone:
            keep_settings(out, settings)
            tasks = list(missing(tiles, there, plan.grid, out))
            written = sum(engine(write_tiles, tasks, "cut"))
            if target is not None:
                _check_seen(out, tiles)
    index = out if alone else files.join(out, NAME)
    write_index(index, plan.grid, tiles, {**plan.about(), "left_out": choice.left_out})
    return Cut(
        out=out,
        index=index,
        grid=plan.grid,
        tiles=len(tiles),
        labels=tiles.labels(),
        years=tiles.years(),
        left_out=choice.left_out,
        rasters=len(plan.facts),
        stretch=plan.stretch,
        written=written,
        remarks=(*plan.remarks, *scarce),
        seconds=time.perf_counter() - start,
    )


def _engine(
    target: Target | None, workers: int | None, progress: Progress | None
) -> AbstractContextManager[TileEngine]:
    if target is None:
        return threads(workers or usable_cores(), progress)
    from foveate.aerial.cutting.cluster import cluster

    return cluster(target, progress)


def _look(plan: CutPlan, engine: TileEngine) -> Survey:
    """All tiles that have some data.

    Raises:
        SettingsError: the legend does not know a code of the land cover.
    """
    tasks = plan_tasks(plan.facts, plan.views, plan.grid)
    surveyed = together(engine(partial(survey, plan.plan), tasks, "look"))
    if plan.plan.landcover is not None:
        check_codes(plan.plan.landcover, plan.plan.legend, surveyed.unknown)
    return surveyed


def _scarce(options: CutOptions, tiles: Tiles, left_out: Mapping[str, int]) -> list[str]:
    """Say where one rare label keeps nearly all tiles of the others out."""
    if not options.balanced or left_out.get("not_chosen", 0) < _MANY * len(tiles):
        return []
    counts = tiles.labels()
    return [
        f"Note: the rarest label has so few tiles that each got {min(counts.values()):,}. "
        "--per-label N instead of --balanced takes up to N of each."
    ]


def _check_seen(out: str, tiles: Tiles) -> None:
    """See whether what the workers wrote lies where this machine looks for it.

    Raises:
        ClusterError: it does not.
    """
    seen = {entry.relative for entry in files.list_files(out)}
    lost = sum(one.path not in seen for one in tiles)
    if lost:
        raise ClusterError(
            f"{lost:,} of {len(tiles):,} tiles are not in ‘{out}’ as this machine sees it: the "
            "workers have written to disks of their own. OUT must be a URL, or a folder that all "
            "of them share."
        )
