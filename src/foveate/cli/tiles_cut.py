"""`foveate tiles cut`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.aerial.cut_options import CutOptions
from foveate.cli import options
from foveate.cli.console import ProgressBar, percent, print_json, print_table, remark
from foveate.cli.shared import need_extra
from foveate.outputs import Output, check_folder, check_outputs

if TYPE_CHECKING:
    from foveate.aerial.cutting import Cut

ImageryArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGERY",
        help="GeoTIFFs or other rasters: files, folders, globs, URLs",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Option(
        help="a folder of images, or an index (.parquet) alone, from which tiles are read straight "
        "from their rasters",
        show_default=False,
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(metavar="LANDCOVER", help="a raster of land-cover codes", show_default=False),
]
Size = Annotated[str, typer.Option(help="a side of a tile")]
Pixel = Annotated[str, typer.Option(help="a side of a pixel of its image")]
Crs = Annotated[
    str | None,
    typer.Option(
        help="system of the grid, as EPSG:26914 [default: the imagery's own, or UTM]",
        show_default=False,
    ),
]
MinShare = Annotated[float, typer.Option(help="of a tile that must have its label")]
MaxNodata = Annotated[float, typer.Option(help="share of a tile that may be without data")]
Balanced = Annotated[
    bool, typer.Option("--balanced", help="as many tiles of each label as of the rarest")
]
PerLabel = Annotated[
    int | None, typer.Option(min=1, help="so many of each label at most", show_default=False)
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="so many in all at most", show_default=False)
]
Bands = Annotated[
    str | None,
    typer.Option(
        help="that become red, green, blue, as 4,1,2 [default: 1,2,3, or the only one]",
        show_default=False,
    ),
]
Ndvi = Annotated[
    bool, typer.Option("--ndvi", help="note the mean vegetation index of each tile in the index")
]
Red = Annotated[int, typer.Option(min=1, help="band of red light, for --ndvi")]
Nir = Annotated[int, typer.Option(min=1, help="band of near-infrared light, for --ndvi")]
Stretch = Annotated[
    str | None,
    typer.Option(
        metavar="LOW,HIGH",
        help="values that become black and white [default: 8 bit as it is, otherwise the 2nd and "
        "98th percentile of all rasters]",
        show_default=False,
    ),
]
Blocks = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="counties or other areas, any vector file", show_default=False
    ),
]
BlockName = Annotated[str, typer.Option(help="the column that names them")]
Seed = Annotated[int, typer.Option(min=0, help="of which tiles are taken")]


def cut(
    imagery: ImageryArgument,
    out: Out,
    labels: Labels = None,
    legend: options.Legend = CutOptions.legend,
    size: Size = f"{CutOptions.size:g}m",
    pixel: Pixel = f"{CutOptions.pixel:g}m",
    crs: Crs = None,
    min_share: MinShare = CutOptions.min_share,
    max_nodata: MaxNodata = CutOptions.max_nodata,
    balanced: Balanced = CutOptions.balanced,
    per_label: PerLabel = CutOptions.per_label,
    limit: Limit = CutOptions.limit,
    seed: Seed = CutOptions.seed,
    bands: Bands = None,
    ndvi: Ndvi = CutOptions.ndvi,
    red: Red = CutOptions.red,
    nir: Nir = CutOptions.nir,
    stretch: Stretch = None,
    blocks: Blocks = CutOptions.blocks,
    block_name: BlockName = CutOptions.block_name,
    image_format: Annotated[
        str, typer.Option("--format", help="of images: png or jpeg")
    ] = CutOptions.image_format,
    workers: options.Workers = None,
    engine: options.Engine = None,
    target: options.Target = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Cut IMAGERY into tiles on a fixed grid, labelled by land cover."""
    need_extra("aerial", "To cut tiles", "rasterio", "pyproj")
    if blocks is not None:
        need_extra("aerial", "To read areas", "pyogrio", "shapely")
    from foveate.aerial import cutting
    from foveate.aerial.cutting.writing import is_index_alone
    from foveate.aerial.grid import parse_length
    from foveate.workflow.engine import choose_target

    if is_index_alone(out):
        check_outputs(
            [Output("the index", out)], [*imagery, labels, legend.partition(":")[0], blocks]
        )
    else:
        check_folder(out)
    asked = CutOptions(
        labels=labels,
        legend=legend,
        size=parse_length(size),
        pixel=parse_length(pixel),
        crs=crs,
        min_share=min_share,
        max_nodata=max_nodata,
        balanced=balanced,
        per_label=per_label,
        limit=limit,
        seed=seed,
        bands=_numbers(bands),
        ndvi=ndvi,
        red=red,
        nir=nir,
        stretch=_range(stretch),
        blocks=blocks,
        block_name=block_name,
        image_format=image_format,
    )
    with ProgressBar(quiet=quiet) as progress:
        done = cutting.cut(
            imagery,
            out=out,
            options=asked,
            workers=workers,
            target=choose_target(engine, target, None),
            progress=progress,
            remark=lambda sentence: remark(sentence, quiet=quiet),
        )
    if as_json:
        print_json(_as_json(done))
    else:
        _print(done)


def _numbers(text: str | None) -> tuple[int, ...] | None:
    """Bands, from a text such as `4,1,2`."""
    from foveate.errors import SettingsError

    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(
            f"‘{text}’ does not name three bands; write them as --bands 1,2,3."
        ) from None


def _range(text: str | None) -> tuple[float, float] | None:
    """Two values, from a text such as `7300,15200`."""
    from foveate.errors import SettingsError

    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(
            f"‘{text}’ is not a range of values; write it as --stretch LOW,HIGH."
        ) from None
    return low, high


def _as_json(done: Cut) -> dict[str, Any]:
    grid = done.grid
    return {
        "out": done.out,
        "index": done.index,
        "tiles": done.tiles,
        "written": done.written,
        "labels": dict(done.labels),
        "years": {str(year or "unknown"): count for year, count in done.years.items()},
        "left_out": dict(done.left_out),
        "rasters": done.rasters,
        "grid": {"crs": grid.crs, "size": grid.size, "pixel": grid.pixel},
        "area_km2": done.tiles * grid.area,
        "stretch": done.stretch,
        "remarks": list(done.remarks),
        "seconds": round(done.seconds, 3),
    }


def _print(done: Cut) -> None:
    from foveate.aerial.cutting.choice import REASONS

    if done.labels:
        rows = [
            [label, f"{count:,}", percent(count / done.tiles)]
            for label, count in done.labels.items()
        ]
        print_table(["label", "tiles", "share"], rows)
        print()
    if done.left_out:
        left = [[REASONS[reason], f"{count:,}"] for reason, count in done.left_out.items()]
        print_table(["left out", "tiles"], left)
        print()
    grid = done.grid
    years = [str(year) for year in done.years if year]
    when = f", {', '.join(years)}" if years else ""
    tiles = "1 tile" if done.tiles == 1 else f"{done.tiles:,} tiles"
    rasters = "1 raster" if done.rasters == 1 else f"{done.rasters:,} rasters"
    print(
        f"{tiles} of {grid.size:g} m ({grid.pixels} × {grid.pixels} pixels of {grid.pixel:g} m) "
        f"from {rasters}{when}, in {done.seconds:.1f} s"
    )
    if done.stretch is not None:
        low, high = done.stretch
        print(f"Values from {low:g} (black) to {high:g} (white)")
    if done.out != done.index:
        earlier = done.tiles - done.written
        known = f", {earlier:,} of them cut before" if earlier else ""
        print(f"Images  {done.out}{known}")
    print(f"Grid    {_short(grid.crs)}\nIndex   {done.index}")


def _short(crs: str) -> str:
    """A system in a line: its code and name, or its name."""
    from foveate.aerial.grid import parse_crs

    name = parse_crs(crs).name
    return f"{crs} ({name})" if len(crs) < 20 else name
