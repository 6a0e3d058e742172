"""The page of a tuning: one self-contained HTML file, which loads nothing and runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foveate.evaluation.figures import interval_strip
from foveate.evaluation.pages import drawn, page_environment
from foveate.files import write_bytes
from foveate.tuning.figures import curve_figure, trade_off_figure
from foveate.tuning.results import table_rows

if TYPE_CHECKING:
    from foveate.tuning.tuning import Tuning


def write_page(path: Path | str, tuning: Tuning) -> None:
    """Write the page; the file appears whole or not at all, its folder is made."""
    # A folder name that is no valid Unicode must not lose the whole page.
    write_bytes(Path(path), _render(tuning).encode("utf-8", "backslashreplace"))


def _render(tuning: Tuning) -> str:
    environment = page_environment("foveate.tuning")
    rows = table_rows(tuning)
    found = tuning.continuation
    return environment.get_template("tune.html.j2").render(
        title=f"{Path(tuning.source).name or tuning.source}: {tuning.chosen.candidate}",
        tuning=tuning,
        evaluation=tuning.evaluation,
        summary=tuning.training.classifier.metadata.training,
        strip=drawn(interval_strip(tuning.evaluation.accuracy, 0.0, tuning.evaluation.chance)),
        rows=rows,
        trade_off=drawn(trade_off_figure([row for row in rows if row.tried.state == "complete"])),
        curve=drawn(curve_figure(found)) if found is not None else "",
        total_seconds=sum(tuning.seconds.values()),
    )
