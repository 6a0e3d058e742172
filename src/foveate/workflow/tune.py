"""The verb `tune`: the backbone, resolution and head that suit a source, and its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from foveate.settings import Settings
from foveate.tuning import MINUTES, Tuning
from foveate.tuning import tune as search
from foveate.workflow.places import find_project
from foveate.workflow.preparation import Progress, stoppable
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.tuning import tuning_outcome


@dataclass(frozen=True, slots=True)
class TuningRun:
    """A finished search, and where its page was written.

    Attributes:
        tuning: everything about it.
        report: the page; None where it was not written.
    """

    tuning: Tuning
    report: Path | None


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
) -> TuningRun:
    """Search, train what is chosen, and put the run on record; see `tuning.tune`.

    Args:
        source: see `catalog.read_source`.
        settings: all other parameters; the defaults where None.
        minutes: what it may take.
        backbones: names of those to try.
        resolutions: pixels a side to try.
        classifiers: heads to try.
        limit: use at most so many files, taken evenly.
        report: where the page goes; `usual_page` where None.
        write: whether it is written at all.
        progress: told how far each stage is.
        remark: told what a person should know of the record.
        stop: ends the search once it is set; the same call goes on from there.

    Raises:
        FoveateError: one of its kinds; see `tuning.tune`.
        Stopped: `stop` was set.
    """
    settings = settings or Settings()
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
        page = None
        if write or report is not None:
            page = tuning.report(report or usual_page(find_project(source), run.name))
        run.finish(tuning_outcome(tuning, report=page))
    return TuningRun(tuning, page)


def usual_page(project: Path | None, run: str) -> Path:
    """Where the page of a search goes: among the project's reports, or beside."""
    return Path("tune.html") if project is None else project / "reports" / f"{run}.html"
