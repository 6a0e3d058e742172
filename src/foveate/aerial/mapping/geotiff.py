"""A map as GeoTIFF: one pixel a tile, laid out so that parts of it can be read over a network.

A GeoTIFF has a place for a table of colours, not for one of names. GDAL looks for those in a file
beside it, whose name ends in `.aux.xml`; QGIS and `gdalinfo` show them from there.

Source: GDAL documentation, drivers GTiff and COG; PAM, https://gdal.org/en/stable/drivers/raster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.legend import Colour
from foveate.aerial.mapping.tilemap import TileMap
from foveate.errors import SettingsError

NODATA = 0
"""Value of a pixel without a tile; label k has the value k + 1."""

MOST_LABELS = 255
"""Of a raster of 8 bit, whose pixels need one more value for where there is no tile."""

_BLOCK = 512


def classes_tiff(tiles: TileMap, colours: Sequence[Colour]) -> bytes:
    """The labels as a cloud-optimised GeoTIFF: uint8, value k + 1 for label k, 0 for no tile.

    Its table of colours has one for each label, and its tags `LABEL_1`, `LABEL_2`, … name them.

    Args:
        tiles: the map, whose labels are written.
        colours: of its K labels.

    Raises:
        SettingsError: there are more than `MOST_LABELS` labels.
    """
    labels = tiles.labels
    if len(labels) > MOST_LABELS:
        raise SettingsError(
            f"A map of {len(labels)} labels cannot be written: a raster of 8 bit has room for "
            f"{MOST_LABELS}."
        )
    table = {NODATA: (0, 0, 0, 0)} | {
        value: (*colour, 255) for value, colour in enumerate(colours, start=1)
    }
    return _tiff(
        (tiles.classes + 1).astype(np.uint8),
        tiles,
        nodata=NODATA,
        # An overview shows the label that most of its tiles have.
        creation={"overview_resampling": "mode", "predictor": "NO"},
        description="label",
        tags={f"LABEL_{value}": label for value, label in enumerate(labels, start=1)},
        colours=table,
    )


def confidence_tiff(tiles: TileMap) -> bytes:
    """The probability of the predicted label as a cloud-optimised GeoTIFF.

    Its values are float32 in [0, 1], NaN where there is no tile.
    """
    return _tiff(
        tiles.confidence,
        tiles,
        nodata=float("nan"),
        creation={"overview_resampling": "average", "predictor": "YES"},
        description="probability of the predicted label",
        tags={},
        colours=None,
    )


def names_beside(labels: Sequence[str], colours: Sequence[Colour]) -> bytes:
    """What belongs into `NAME.tif.aux.xml`, so that programs show names for the values."""
    names = ["no tile", *labels]
    categories = "".join(f"<Category>{_text(name)}</Category>" for name in names)
    columns = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
    fields = "".join(
        f'<FieldDefn index="{index}"><Name>{name}</Name><Type>{kind}</Type>'
        f"<Usage>{usage}</Usage></FieldDefn>"
        for index, (name, kind, usage) in enumerate(columns)
    )
    rows = "".join(
        f'<Row index="{index}"><F>{index + 1}</F><F>{_text(label)}</F>'
        + "".join(f"<F>{part}</F>" for part in colour)
        + "</Row>"
        for index, (label, colour) in enumerate(zip(labels, colours, strict=True))
    )
    return (
        '<PAMDataset><PAMRasterBand band="1">'
        f"<CategoryNames>{categories}</CategoryNames>"
        f'<GDALRasterAttributeTable tableType="thematic">{fields}{rows}'
        "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>\n"
    ).encode()


def _tiff(
    values: NDArray[Any],
    tiles: TileMap,
    *,
    nodata: float,
    creation: Mapping[str, str],
    description: str,
    tags: Mapping[str, str],
    colours: Mapping[int, tuple[int, ...]] | None,
) -> bytes:
    import rasterio.shutil
    from rasterio import Affine
    from rasterio.io import MemoryFile

    rows, cols = tiles.shape
    profile = {
        "driver": "GTiff",
        "width": cols,
        "height": rows,
        "count": 1,
        "dtype": values.dtype,
        "crs": tiles.grid.crs,
        "transform": Affine(*tiles.transform),
        "nodata": nodata,
    }
    with MemoryFile() as plain, MemoryFile() as finished:
        with plain.open(**profile) as dataset:
            dataset.write(values, 1)
            dataset.set_band_description(1, description)
            dataset.update_tags(1, **{name: _printable(text) for name, text in tags.items()})
            dataset.update_tags(AREA_OR_POINT="Area")
            if colours is not None:
                dataset.write_colormap(1, colours)
        rasterio.shutil.copy(
            plain.name,
            finished.name,
            driver="COG",
            compress="DEFLATE",
            blocksize=_BLOCK,
            **creation,
        )
        return bytes(finished.read())


def _text(text: str) -> str:
    return escape(_printable(text))


def _printable(text: str) -> str:
    """Without the characters that XML cannot carry; GDAL keeps tags as XML, too."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
