"""Every verb's run goes on record, in its project's history or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from foveate.history import find_place, recording
from foveate.history.record import Kind
from foveate.history.recording import Recording
from foveate.launch.position import is_helper
from foveate.settings import Settings
from foveate.workflow.places import find_project

Remark = Callable[[str], None]
"""Told what a person should know, in a sentence."""


@contextmanager
def on_record(
    kind: Kind,
    source: str | Path,
    settings: Settings,
    known: Mapping[str, object],
    *,
    label: str = "",
    remark: Remark | None = None,
) -> Iterator[Recording]:
    """Within, a verb works; what it comes to is on record afterwards; see `history.recording`.

    Of several processes that refine together, the first one alone keeps a record.

    Args:
        kind: the verb.
        source: what it works on; a project keeps its own history.
        settings: say where the history is.
        known: what is on record of the run when it begins; None is left out.
        label: ends the name of the run; the verb where empty.
        remark: told where the run is not on record, and why.
    """
    place = None if is_helper() else find_place(find_project(source), settings.tracking)
    shown = {name: str(value) for name, value in known.items() if value is not None}
    with recording(place, kind, str(source), shown, label=label, remark=remark) as run:
        yield run
