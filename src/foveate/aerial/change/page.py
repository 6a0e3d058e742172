"""The page about what changed: one self-contained HTML file.

Like the report it loads nothing and runs nothing, and escapes whatever comes from the user's data.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foveate.aerial.change.change import Changes
from foveate.aerial.change.surroundings import RING, Surroundings
from foveate.aerial.change.words import area, remarks, sentences
from foveate.aerial.legend import colours_of
from foveate.evaluation.pages import page_environment

if TYPE_CHECKING:
    from foveate.progress import Progress

MOST_BYTES = 15_000_000
"""Of all pictures of candidates; then the page stays below 20 MB."""

MOST_ROWS = 5_000
"""Of candidates in the page's table; the file has them all."""

_MOST_MATRIX = 16
"""Labels above which there is no matrix: hundreds of cells say nothing to a reader."""
_MOST_FLOWS = 40
_MAP_SIDE = 900
_SAME = (214, 218, 222)
_READERS = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tile that may be new development.

    Attributes:
        rank: from 1.
        key: which tile, as text.
        start: label in the first year.
        end: label in the second.
        confidence: see `Changes`.
        x: of the centre, m.
        y: of the centre, m.
    """

    rank: int
    key: str
    start: str
    end: str
    confidence: float
    x: float
    y: float


def change_page(
    changes: Changes, title: str = "", *, shown: int, progress: Progress | None = None
) -> bytes:
    """The page.

    Args:
        changes: as `find_changes` gives it.
        title: its heading; the years where empty.
        shown: candidates that are shown with their surroundings, at most.
        progress: is told how many have been drawn.
    """
    flows = [flow for flow in changes.flows() if flow.start != flow.end]
    flows.sort(key=lambda flow: -flow.tiles)
    seen = [flow for flow in flows if flow.tiles or flow.verdict == "below"]
    candidates = list(_candidates(changes))
    pictures = _pictures(changes, min(shown, len(candidates)), progress)
    environment = page_environment("foveate.aerial.change")
    environment.filters["area"] = area
    page = environment.get_template("change.html").render(
        title=title or f"What changed: {changes.names[0]} to {changes.names[1]}",
        changes=changes,
        changed=changes.changed,
        development=changes.development,
        sentences=sentences(changes),
        remarks=remarks(changes),
        km2=len(changes) * changes.a.grid.area,
        tile_km2=changes.a.grid.area,
        with_matrix=len(changes.labels) <= _MOST_MATRIX,
        flows=seen[:_MOST_FLOWS],
        more_flows=len(seen) - len(seen[:_MOST_FLOWS]),
        map=_map(changes),
        keys=list(zip(changes.labels, colours_of(changes.labels), strict=True)),
        shown=list(zip(candidates, pictures, strict=False)),
        candidates=candidates[:MOST_ROWS],
        ring=RING,
    )
    # A file name that is no valid Unicode must not lose the whole page.
    return page.encode("utf-8", "backslashreplace")


def _candidates(changes: Changes) -> Iterator[Candidate]:
    labels = changes.labels
    rows = changes.candidates
    top = (changes.a.predictions.top[rows].tolist(), changes.b.predictions.top[rows].tolist())
    ranked = zip(rows.tolist(), *top, changes.confidence.tolist(), strict=True)
    for rank, (row, start, end, confidence) in enumerate(ranked, start=1):
        key = changes.a.key(row)
        x, y = changes.a.grid.centre(key)
        yield Candidate(rank, str(key), labels[start], labels[end], confidence, x, y)


def _pictures(
    changes: Changes, count: int, progress: Progress | None
) -> list[tuple[str | None, str | None]]:
    """Both years of the first candidates, as many as the page may have."""
    years = Surroundings(changes.a), Surroundings(changes.b)
    pictures: list[tuple[str | None, str | None]] = []
    size = 0

    def draw(row: int) -> tuple[str | None, str | None]:
        return years[0].picture(row), years[1].picture(row)

    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, count, 4 * _READERS):
            part = changes.candidates[start : min(start + 4 * _READERS, count)].tolist()
            for pair in pool.map(draw, part):
                size += sum(len(one) for one in pair if one is not None)
                if size > MOST_BYTES:
                    return pictures
                pictures.append(pair)
            if progress is not None:
                progress("drawing candidates", len(pictures), count)
    return pictures


def _map(changes: Changes) -> str:
    """A `data:` URL: what each tile became if it changed, grey where it stayed, north up."""
    from PIL import Image

    rows, cols = changes.a.rows, changes.a.cols
    thin = max(int(np.ptp(rows)), int(np.ptp(cols))) // _MAP_SIDE + 1
    down, across = (rows.max() - rows) // thin, (cols - cols.min()) // thin
    pixels = np.zeros((int(down.max()) + 1, int(across.max()) + 1, 4), np.uint8)
    pixels[down, across] = (*_SAME, 255)
    top = changes.b.predictions.top
    # Where several tiles share a pixel, one that changed is shown.
    moved = top != changes.a.predictions.top
    colours = np.array([(*colour, 255) for colour in colours_of(changes.labels)], np.uint8)
    pixels[down[moved], across[moved]] = colours[top[moved]]
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
