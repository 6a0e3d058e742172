"""A map in every form, written."""

from __future__ import annotations

from foveate import files
from foveate.aerial.mapping.figure import draw_figure
from foveate.aerial.mapping.geotiff import classes_tiff, confidence_tiff, names_beside
from foveate.aerial.mapping.mapping import TilesMapped
from foveate.aerial.mapping.page import map_page
from foveate.aerial.mapping.polygons import polygons


def write_map(mapped: TilesMapped, folder: str, title: str = "") -> dict[str, str]:
    """Write a map in every form, to a local folder or URL.

    Args:
        mapped: as `map_tiles` gives it.
        folder: where the files go; it is made.
        title: of the figure and the page.

    Returns:
        Path by kind: `classes`, `classes_smoothed` and `confidence` (GeoTIFF), `tiles`
        (GeoParquet), `figure` (PNG) and `page` (HTML).

    Raises:
        SettingsError: there are more labels than a GeoTIFF of 8 bit has values.
        OSError: something cannot be written.
    """
    title = title or f"{mapped.predicted.tiles:,} tiles"
    paths: dict[str, str] = {}

    def write(kind: str, name: str, data: bytes) -> None:
        paths[kind] = files.join(folder, name)
        files.write_anywhere(paths[kind], data)

    colours = mapped.colours[: len(mapped.labels)]
    names = names_beside(mapped.labels, colours)
    for kind, classes in (("classes", mapped.predicted), ("classes_smoothed", mapped.smoothed)):
        write(kind, f"{kind}.tif", classes_tiff(classes, colours))
        files.write_anywhere(files.join(folder, f"{kind}.tif.aux.xml"), names)
    write("confidence", "confidence.tif", confidence_tiff(mapped.predicted))
    write("tiles", "tiles.parquet", polygons(mapped))
    write("figure", "map.png", draw_figure(mapped, title))
    write("page", "map.html", map_page(mapped, title))
    return paths
