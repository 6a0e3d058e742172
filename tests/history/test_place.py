from __future__ import annotations

from pathlib import Path

import pytest

from foveate.history import find_place


def test_a_project_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "elsewhere"))
    project = tmp_path / "garments"
    place = find_place(project)
    assert place is not None
    assert place.database == project / "runs.db"
    assert place.artifacts == project / "runs"
    assert place.outbox == project / "runs.outbox"
    assert place.experiment == "garments"


def test_bare_sources_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    place = find_place()
    assert place is not None
    assert place.database == tmp_path / "runs.db"
    assert place.experiment == "foveate"


def test_a_server_by_setting_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    place = find_place(tracking="http://one")
    assert place is not None
    assert (place.uri, place.database, place.artifacts) == ("http://one", None, None)
    assert place.outbox == tmp_path / "runs.outbox"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://two")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    place = find_place(tracking="http://one")
    assert place is not None
    assert (place.uri, place.experiment) == ("http://two", "mine")


def test_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", "off")
    assert find_place() is None
    assert find_place(tmp_path) is None


def test_passwords_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host:5000/a@b")
    place = find_place()
    assert place is not None
    assert place.shown == "https://host:5000/a@b"
    assert "secret" not in place.hide(f"no answer from {place.uri}")
