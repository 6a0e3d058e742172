"""The verb `tune`: the backbone, resolution and head that suit a source, and its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

from foveate.progress import Progress, stoppable
from foveate.settings import MINUTES, Settings
from foveate.tuning import Tuning
from foveate.tuning import tune as search
from foveate.workflow.places import find_project, settings_of
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.tuning import tuning_outcome


def tune(
    source: str | Path,
    settings: Settings | None = None,
    *,
    minutes: float = MINUTES,
    backbones: Sequence[str] = (),
    resolutions: Sequence[int] = (),
    classifiers: Sequence[str] = (),
    limit: int | None = None,
    report: str | Path | None = None,
    write: bool = False,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
    **changes: object,
) -> Tuning:
    """Find the backbone, the resolution and the head that suit the images of a source.

    See `tuning.tune`. The run goes on record.

    Args:
        source: see `catalog.read_source`.
        settings: as of `train`, like `progress`, `remark`, `stop` and `changes`.
        minutes: what it may take; the same call goes on where one that was stopped ended.
        backbones: names of those to try; all that are here, where none is named.
        resolutions: pixels a side to try; 224, 320, 448 and 896 as far as the images have the
            detail, where none is named.
        classifiers: heads to try; svm, logistic and forest where none is named.
        limit: use at most so many files, taken evenly.
        report: where the page goes; `usual_page` where None.
        write: whether it is written where no place is named.
        progress: see above.
        remark: see above.
        stop: see above.
        changes: see above.

    Raises:
        FoveateError: one of its kinds; see `tuning.tune`.
        Stopped: `stop` was set.
    """
    settings = settings_of(source, settings, changes)
    known = settings.as_text() | {"limit": str(limit), "minutes": str(minutes)}
    with on_record("tune", source, settings, known, remark=remark) as run:
        tuning = search(
            source,
            settings,
            minutes=minutes,
            backbones=backbones,
            resolutions=resolutions,
            classifiers=classifiers,
            limit=limit,
            progress=stoppable(progress, stop),
        )
        if write or report is not None:
            page = tuning.report(report or usual_page(find_project(source), run.name))
            tuning = replace(tuning, page=page)
        run.finish(tuning_outcome(tuning, report=tuning.page))
    return tuning


def usual_page(project: Path | None, run: str) -> Path:
    """Where the page of a search goes: among the project's reports, or beside."""
    return Path("tune.html") if project is None else project / "reports" / f"{run}.html"
