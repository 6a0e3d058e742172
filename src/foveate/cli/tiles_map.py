"""`foveate tiles map`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import percent, print_json, print_table, remark
from foveate.cli.shared import need_extra
from foveate.files import join
from foveate.outputs import Output, check_folder, check_outputs

if TYPE_CHECKING:
    from foveate.aerial.mapping import TilesMapped

PredictionsArgument = Annotated[
    str,
    typer.Argument(
        metavar="PREDICTIONS",
        help="what `foveate score` wrote about tiles: a .parquet or .csv file, or a folder of "
        "parts",
        show_default=False,
    ),
]
Out = Annotated[str, typer.Option(help="the folder for the map", show_default=False)]
Index = Annotated[
    str | None,
    typer.Option(
        help="the index that was written with the tiles [default: beside them]",
        show_default=False,
    ),
]
Year = Annotated[
    int | None, typer.Option(help="only tiles photographed in that year", show_default=False)
]
LandCover = Annotated[
    str | None,
    typer.Option(
        metavar="RASTER",
        help="land cover to measure against [default: the known labels of the predictions]",
        show_default=False,
    ),
]
CenterWeight = Annotated[
    float, typer.Option(help="votes of the centre tile in 3×3 smoothing; its neighbours have one")
]
Title = Annotated[
    str | None, typer.Option(help="of figure and page [default: the file]", show_default=False)
]


def map_predictions(
    predictions: PredictionsArgument,
    out: Out,
    index: Index = None,
    year: Year = None,
    landcover: LandCover = None,
    legend: options.Legend = "nlcd-groups",
    center_weight: CenterWeight = 2.0,
    title: Title = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Map PREDICTIONS on tiles, smooth the map, and say how good it is."""
    need_extra("aerial", "To map tiles", "rasterio", "pyproj")
    from foveate.aerial.georeferenced import read_georeferenced
    from foveate.aerial.legend_table import find_legend
    from foveate.aerial.mapping import FILES, map_tiles, write_map
    from foveate.aerial.mapping.as_json import map_json

    check_folder(out)
    outputs = [Output("the map", join(out, name)) for name in FILES]
    check_outputs(outputs, [predictions, index, landcover, legend.partition(":")[0]])
    known = find_legend(legend) if landcover is not None else None
    started = time.perf_counter()
    placed = read_georeferenced(predictions, index=index, year=year)
    read = time.perf_counter() - started
    mapped = map_tiles(placed, center_weight=center_weight, landcover=landcover, legend=known)
    started = time.perf_counter()
    written = write_map(mapped, out, title or _title(predictions, year))
    mapped.seconds.update(read=read, write=time.perf_counter() - started)
    if as_json:
        print_json({**map_json(mapped), "files": written})
    else:
        _print(mapped, written)
    for note in mapped.notes:
        remark(f"Note: {note}", quiet=quiet)


def _title(predictions: str, year: int | None) -> str:
    """The file without its suffix, and the year."""
    name = predictions.rstrip("/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return stem if year is None else f"{stem}, {year}"


def _print(mapped: TilesMapped, written: Mapping[str, str]) -> None:
    _print_labels(mapped)
    grid = mapped.predicted.grid
    print(
        f"\n{mapped.predicted.tiles:,} tiles of {grid.size:g} m; smoothing with "
        f"{mapped.center_weight:g} votes for the centre changed {mapped.changed:,}"
    )
    if mapped.before and mapped.after:
        for when, measured in (("as predicted", mapped.before), ("smoothed", mapped.after)):
            accuracy = measured.accuracy
            print(
                f"{when.ljust(13)} {percent(accuracy.value)} of {measured.n:,} tiles right "
                f"({percent(accuracy.low)} to {percent(accuracy.high)})"
            )
        print(mapped.sentence)
        print(f"Known labels  {mapped.reference.source}")
    _print_excluded(mapped)
    print(f"Map     {written['page']}\nFigure  {written['figure']}")
    print(f"Rasters {written['classes']}, {written['classes_smoothed']}, {written['confidence']}")
    print(f"Tiles   {written['tiles']}")


def _print_labels(mapped: TilesMapped) -> None:
    from foveate.aerial.mapping.areas import km2_text

    header = ["label", "tiles", "km²", "smoothed km²"]
    measured = mapped.before is not None
    adjusted = any(one.area.known for one in mapped.areas)
    header += ["adjusted km²", "95 % interval"] if adjusted else []
    header += ["accuracy", "smoothed"] if measured else []
    area = mapped.predicted.grid.area
    counts = zip(mapped.predicted.counts.tolist(), mapped.smoothed.counts.tolist(), strict=True)
    rows = []
    for (label, one), (tiles, smoothed) in zip(
        zip(mapped.labels, mapped.areas, strict=False), counts, strict=True
    ):
        row = [label, f"{tiles:,}", km2_text(tiles * area), km2_text(smoothed * area)]
        if adjusted:
            ends = f"{km2_text(one.area.low)} to {km2_text(one.area.high)}"
            row += [km2_text(one.area.value), ends]
        if mapped.before and mapped.after:
            both = (mapped.before.per_class[label], mapped.after.per_class[label])
            row += [percent(one.accuracy.value) for one in both]
        rows.append(row)
    print_table(header, rows)


def _print_excluded(mapped: TilesMapped) -> None:
    excluded = mapped.reference.excluded
    left = [
        (mapped.refused, "could not be read, so they are gaps"),
        (excluded.trained_on, "were trained on"),
        (excluded.beside_trained, "lie beside a tile that was trained on"),
        (excluded.unlabelled, "have no known label"),
        (sum(excluded.other_labels.values()), "have a label that the classifier does not have"),
    ]
    said = [f"{count:,} {why}" for count, why in left if count]
    if said and mapped.reference.known:
        print(f"Not measured  {'; '.join(said)}")
    elif mapped.refused:
        print(f"Not mapped  {mapped.refused:,} tiles that could not be read")
