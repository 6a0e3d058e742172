"""Write tiles: images in label folders, and the index that says where each comes from."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from foveate import files
from foveate.aerial.address import TileAddress, View
from foveate.aerial.cutting.tiles import Tiles
from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.raster import read_tile
from foveate.errors import SettingsError, SourceError

FORMATS: Mapping[str, str] = {"png": ".png", "jpeg": ".jpg"}
"""What tiles are written as, and how such files end."""

JOURNAL = ".foveate-cut.json"
"""Says in a folder of tiles with which settings they were cut."""

TILES_A_TASK = 128
"""Written in one go."""

_QUALITY = 95
_COMPRESSION = 3
"""Of a PNG: half the time of the usual 6 for a few per cent more bytes."""


@dataclass(frozen=True, slots=True)
class WriteTask:
    """Some tiles of one raster that are to become files.

    Attributes:
        path: of the raster.
        view: how it is shown.
        grid: of the tiles.
        out: the folder.
        tiles: which, and where each goes below `out`.
    """

    path: str
    view: View
    grid: Grid
    out: str
    tiles: tuple[tuple[TileKey, str], ...]

    def __len__(self) -> int:
        return len(self.tiles)


def is_index_alone(out: str) -> bool:
    """Whether OUT names an index, not a folder of images."""
    return out.lower().endswith(".parquet")


def write_tiles(task: WriteTask) -> int:
    """Write the images of a task, each whole or not at all.

    Returns:
        How many.

    Raises:
        SourceError: the raster cannot be read.
        OSError: an image cannot be written.
    """
    for key, name in task.tiles:
        try:
            pixels, _ = read_tile(TileAddress(task.path, key, task.grid, task.view))
        except OSError as error:
            raise SourceError(f"The tile {key} cannot be cut: {error}.") from None
        data = _encoded(pixels, jpeg=name.endswith(FORMATS["jpeg"]))
        files.write_anywhere(files.join(task.out, name), data, durable=False)
    return len(task.tiles)


def missing(tiles: Tiles, there: set[str], grid: Grid, out: str) -> Iterator[WriteTask]:
    """What is still to be written, in pieces of one raster each."""
    rasters = tiles.rasters()
    for (path, view), some in groupby(zip(rasters, tiles, strict=True), key=lambda pair: pair[0]):
        names = ((tile.key, tile.path) for _, tile in some if tile.path not in there)
        while piece := tuple(islice(names, TILES_A_TASK)):
            yield WriteTask(path, view, grid, out, piece)


def check_folder(out: str, settings: Mapping[str, Any]) -> set[str]:
    """See whether tiles can go into a folder: a new one, or one of the same settings.

    Args:
        out: the folder, a local path or URL.
        settings: all that the tiles depend on, as JSON takes it, by names that a user knows.

    Returns:
        The files that an earlier start has left there, as paths below it.

    Raises:
        SettingsError: it holds something else, or tiles of another cut.
    """
    try:
        if files.is_folder(out):
            there = {entry.relative for entry in files.list_files(out)}
        elif files.exists(out):
            raise SettingsError(
                f"‘{out}’ is a file; name a folder, or an index that ends in .parquet."
            )
        else:
            there = set()
        if not there:
            return there
        journal = files.join(out, JOURNAL)
        if not files.exists(journal):
            raise SettingsError(
                f"‘{out}’ is not empty and holds no tiles of an earlier cut. Name another folder."
            )
        known = json.loads(files.read_bytes(journal))
    except ValueError:
        raise SettingsError(f"‘{journal}’ cannot be read. Name another folder.") from None
    except OSError as error:
        raise SettingsError(f"‘{out}’ cannot be read: {error}.") from None
    said = json.loads(json.dumps(settings))
    other = [_flag(name) for name in said if known.get(name) != said[name]]
    if other:
        raise SettingsError(
            f"‘{out}’ holds tiles that were cut otherwise ({', '.join(other)} differ). Name "
            "another folder, or remove this one."
        )
    return there


def keep_settings(out: str, settings: Mapping[str, Any]) -> None:
    """Note in a folder with which settings its tiles are cut, before the first one is.

    Raises:
        OutputError: nothing can be written there.
    """
    said = json.dumps(settings, ensure_ascii=False)
    files.write_anywhere(files.join(out, JOURNAL), said.encode())


def _flag(name: str) -> str:
    return "the imagery" if name == "imagery" else f"--{name.replace('_', '-')}"


def _encoded(pixels: Any, *, jpeg: bool) -> bytes:
    """(n, n, 3) uint8 as the bytes of an image."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if jpeg:
        image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    else:
        image.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()
