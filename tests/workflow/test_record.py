"""What is on record of a verb, whichever it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foveate.history import find_place
from foveate.history.outbox import waiting
from foveate.settings import Settings
from foveate.workflow.record import on_record


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    monkeypatch.setattr(sys.modules["foveate.history.recording"], "_spawn", lambda *_: None)


def test_a_project_keeps_its_own_history(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "foveate.toml").touch()
    for source in (project, tmp_path / "photos"):
        with on_record("score", source, Settings(), {"limit": None, "sample_frac": 0.5}):
            pass
        place = find_place(project if source == project else None)
        assert place is not None
        (entry,) = waiting(place.outbox)
        record = entry.read()
        assert record is not None
        assert (record.source, record.settings) == (str(source), {"sample_frac": "0.5"})


def test_helpers_keep_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with on_record("train", tmp_path, Settings(), {}) as run:
        assert run.name
    assert not (tmp_path / "history").exists()
