"""A map as one self-contained HTML page, to be moved, zoomed and pointed at.

The tiles travel as compressed arrays of one byte each and are painted on a canvas by the script in
the page, so that there is no element for a tile. The content security policy allows that script
alone, by its digest, and no network.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from base64 import b64encode
from importlib import resources
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.legend import Colour
from foveate.aerial.mapping.areas import km2_text
from foveate.aerial.mapping.mapping import TilesMapped
from foveate.evaluation.pages import drawn, page_environment

MOST_CELLS = 9_000_000
"""On the page; of a larger map, every second (third, …) row and column is shown."""

SURE = 101
"""Steps of confidence on the page: whole per cents."""

_RAMP: tuple[Colour, Colour] = ((253, 231, 200), (0, 60, 120))
_VERDICTS: tuple[Colour, Colour, Colour] = ((86, 160, 211), (213, 94, 0), (190, 196, 202))


def map_page(mapped: TilesMapped, title: str) -> bytes:
    """The page.

    Args:
        mapped: the map.
        title: its heading.
    """
    tiles, known = mapped.predicted, mapped.reference.known
    area = tiles.grid.area
    step = ceil(sqrt(tiles.classes.size / MOST_CELLS))
    script = (resources.files(__package__) / "templates" / "map.js").read_text(encoding="utf-8")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    counts = [one.counts for one in (tiles, mapped.smoothed)]
    page = (
        page_environment("foveate.aerial.mapping")
        .get_template("map.html.j2")
        .render(
            title=title,
            mapped=mapped,
            layers=_layers(known=known),
            rows=tiles.shape[0],
            cols=tiles.shape[1],
            step=step,
            colours=[_hex(colour) for colour in mapped.colours],
            others=mapped.reference.labels[len(mapped.labels) :],
            ramp=[_hex(colour) for colour in _RAMP],
            verdicts=[_hex(colour) for colour in _VERDICTS],
            counts=counts[0].tolist(),
            mapped_km2=[(one * area).tolist() for one in counts],
            total_km2=tiles.tiles * area,
            adjusted=any(one.area.known for one in mapped.areas),
            km2=km2_text,
            data=drawn(_embedded(_data(mapped, step))),
            script=drawn(script),
            script_hash=f"sha256-{digest}",
        )
    )
    return page.encode("utf-8", "backslashreplace")


def _layers(*, known: bool) -> dict[str, str]:
    """What can be shown, by name."""
    compared = {"known": "known labels", "mistakes": "where it differs from them"} if known else {}
    return {
        "predicted": "as predicted",
        "smoothed": "smoothed",
        "changed": "what smoothing changed",
        "confidence": "confidence",
        **compared,
    }


def _data(mapped: TilesMapped, step: int) -> dict[str, Any]:
    """What the script draws."""
    tiles, reference = mapped.predicted, mapped.reference
    there = tiles.classes >= 0
    wide = len(reference.labels) > np.iinfo(np.uint8).max
    sure = np.where(there, np.nan_to_num(tiles.confidence) * (SURE - 1) + 1.5, 0)
    layers: dict[str, NDArray[Any]] = {
        "predicted": tiles.classes + 1,
        "smoothed": mapped.smoothed.classes + 1,
        "confidence": sure,
    }
    if reference.known:
        layers["known"] = reference.classes + 1
    if reference.trained is not None:
        beside = there & ~reference.independent & ~reference.trained
        layers["roles"] = reference.trained + 2 * beside
    kind = np.dtype("<u2" if wide else "u1")
    shown = {name: layer[::step, ::step] for name, layer in layers.items()}
    rows, cols = shown["predicted"].shape
    return {
        "rows": rows,
        "cols": cols,
        "step": step,
        "top": tiles.top,
        "left": tiles.left,
        "size": tiles.grid.size,
        "labels": reference.labels,
        "colours": mapped.colours,
        "ramp": _RAMP,
        "verdicts": _VERDICTS,
        "sure": SURE,
        "wide": wide,
        "layers": {
            name: b64encode(zlib.compress(layer.astype(kind).tobytes(), 9)).decode()
            for name, layer in shown.items()
        },
    }


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
