"""The verb `check`: what is wrong with the images of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event

from foveate.catalog import (
    Catalog,
    Duplicates,
    Findings,
    find_duplicates,
    find_problems,
    read_source,
    read_test_list,
)
from foveate.progress import Progress, Stopwatch, stoppable
from foveate.settings import Settings
from foveate.workflow.places import settings_of
from foveate.workflow.preparation import prepare


@dataclass(frozen=True, slots=True)
class Checked:
    """Images that were opened, and what is wrong with them.

    Attributes:
        catalog: one row per file.
        duplicates: which images are copies of each other.
        findings: everything that a person may want to repair, by path.
    """

    catalog: Catalog
    duplicates: Duplicates
    findings: Findings


def check(
    source: str | Path = ".",
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **changes: object,
) -> Checked:
    """Open every image of a source once, without a network: what is wrong with the data.

    Args:
        source: see `catalog.read_source`; labels are not needed.
        settings: as of `train`: the limits of an image, how alike near duplicates are.
        limit: use at most so many files, taken evenly.
        progress: as of `train`.
        stop: as of `train`.
        changes: as of `train`.

    Raises:
        SourceError: the source cannot be read.
        Stopped: `stop` was set.
    """
    settings = settings_of(source, settings, changes)
    listed = read_source(source).without(settings.exclude).limited(limit)
    if settings.test_list:
        listed = read_test_list(settings.test_list, listed)
    catalog = prepare(listed, settings, Stopwatch(), stoppable(progress, stop), None).catalog
    duplicates = find_duplicates(catalog, max_bits=settings.near_duplicate_bits)
    return Checked(catalog, duplicates, find_problems(catalog, duplicates))
