"""How far a verb is."""

from __future__ import annotations

from threading import Event

import pytest

from foveate.errors import Stopped
from foveate.progress import Stopwatch, stoppable


def test_stages_add_up_even_when_they_fail() -> None:
    watch = Stopwatch()
    with watch.stage("features"):
        pass
    first = watch.seconds["features"]
    with pytest.raises(OSError, match="disk"), watch.stage("features"):
        raise OSError("disk")
    assert watch.seconds["features"] > first > 0


def test_what_is_stopped_ends_at_the_next_news() -> None:
    told: list[tuple[str, int, int, str]] = []
    stop = Event()
    progress = stoppable(lambda *news: told.append(news), stop)
    assert progress is not None
    progress("features", 1, 9)
    stop.set()
    with pytest.raises(Stopped):
        progress("features", 2, 9)
    assert told == [("features", 1, 9, "")]


def test_nobody_has_to_listen_to_be_able_to_stop() -> None:
    assert stoppable(None, None) is None
    stop = Event()
    progress = stoppable(None, stop)
    assert progress is not None
    progress("features", 1, 9)
    stop.set()
    with pytest.raises(Stopped):
        progress("features", 2, 9)
