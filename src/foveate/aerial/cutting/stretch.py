"""How rasters that are not 8 bit are shown: which values become black and white."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.address import View
from foveate.aerial.header import RasterFacts
from foveate.aerial.raster import open_raster
from foveate.errors import SourceError

LOW, HIGH = 2, 98
"""Percentiles of the values that become black and white."""

MOST_SAMPLED = 256
"""Rasters that are looked at, evenly chosen where there are more."""

_WINDOWS = 8
_SIDE = 32
_MOST_VALUES = 4_000_000
_READERS = 16


def choose_stretch(
    facts: Sequence[RasterFacts], bands: tuple[int, int, int]
) -> tuple[float, float] | None:
    """The values that become black and white in rasters that are not 8 bit.

    They are the 2nd and 98th percentile of a sample: a regular net of small windows in each raster
    (in 256 of them, evenly chosen, where there are more), so that no raster is read whole.

    Returns:
        None where all rasters are 8 bit.

    Raises:
        SourceError: there is no data in any of them, or one cannot be read.
    """
    deep = [one for one in facts if one.dtype != "uint8"]
    if not deep:
        return None
    numbers = np.linspace(0, len(deep) - 1, min(len(deep), MOST_SAMPLED)).round().astype(int)
    most = _MOST_VALUES // len(numbers)
    with ThreadPoolExecutor(min(_READERS, len(numbers))) as pool:
        parts = list(pool.map(lambda n: _sample(deep[n].path, bands)[:most], numbers))
    values = np.concatenate(parts)
    if not values.size:
        raise SourceError(f"There is no data in ‘{deep[0].path}’ that could be shown.")
    low, high = (float(f"{value:.6g}") for value in np.percentile(values, [LOW, HIGH]))
    return low, high if high > low else low + 1


def view_of(
    facts: RasterFacts,
    bands: tuple[int, int, int],
    stretch: tuple[float, float] | None,
    *,
    always: bool,
) -> View:
    """How a raster is shown; those of 8 bit stay as they are, unless `always` asks for more."""
    return View(bands, stretch if always or facts.dtype != "uint8" else None)


def _sample(path: str, bands: tuple[int, int, int]) -> NDArray[np.float32]:
    """Values of a net of windows, in an order that mixes them."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    raster = open_raster(path)
    wanted = sorted(set(bands))
    dataset = raster.dataset
    across, down = (max(side // _WINDOWS, 1) for side in (dataset.width, dataset.height))
    width, height = min(across, _SIDE), min(down, _SIDE)
    parts = []
    try:
        for top in range((down - height) // 2, dataset.height - height + 1, down):
            for left in range((across - width) // 2, dataset.width - width + 1, across):
                window = Window(left, top, width, height)
                values = dataset.read(wanted, window=window)
                parts.append(values[:, raster.valid(values, window, values.shape[1:])].ravel())
    except (RasterioError, OSError) as error:
        raise SourceError(f"‘{path}’ cannot be read: {error}.") from None
    sampled = np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)
    return np.random.default_rng(0).permutation(sampled)
