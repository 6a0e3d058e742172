"""The verb `split`: which images `train` would train and test on."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from foveate.catalog import Catalog, Split
from foveate.files import write_bytes
from foveate.progress import Progress, Stopwatch, stoppable
from foveate.settings import Settings
from foveate.workflow.engine import HERE
from foveate.workflow.places import settings_of
from foveate.workflow.preparation import labelled_source
from foveate.workflow.training_data import SIDES, Means, prepare_data


@dataclass(frozen=True, slots=True)
class SplitSource:
    """A source, dealt to train and test.

    Attributes:
        catalog: one row per file.
        split: by the images' ids.
    """

    catalog: Catalog
    split: Split

    @property
    def rows(self) -> list[tuple[str, str, str | None]]:
        """Path, label and side of every labelled image; no side where it is left out."""
        side_of = self.split.sides()
        return [
            (row.path, str(row.entry.label), side_of.get(row.facts.id))
            for row in self.catalog.labelled
        ]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images by label and side."""
        images = Counter((label, side) for _, label, side in self.rows)
        labels = sorted(self.catalog.label_counts())
        return {label: {side: images[label, side] for side in SIDES} for label in labels}

    def write(self, path: str | Path) -> None:
        """Write path, label, split as CSV.

        Raises:
            OutputError: it cannot be written.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["path", "label", "split"])
        writer.writerows([path, label, side or ""] for path, label, side in self.rows)
        write_bytes(Path(path), text.getvalue().encode())


def split(
    source: str | Path = ".",
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **changes: object,
) -> SplitSource:
    """The split that `train` would make with the same settings.

    Args:
        source: see `catalog.read_source`.
        settings: as of `train`.
        out: a CSV file for path, label and side; nowhere where None.
        progress: as of `train`.
        stop: as of `train`.
        changes: as of `train`.

    Raises:
        SourceError: the source cannot be read, or has fewer than two labels.
        TooFewImages: a label has too few images to train and test on.
        Stopped: `stop` was set.
    """
    settings = settings_of(source, settings, changes)
    means = Means(HERE, Stopwatch(), stoppable(progress, stop))
    data = prepare_data(labelled_source(source, settings), settings, None, means)
    dealt = SplitSource(data.prepared.catalog, data.split)
    if out is not None:
        dealt.write(out)
    return dealt
