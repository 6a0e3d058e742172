from __future__ import annotations

from pathlib import Path

import pytest

from foveate.history import find_place
from foveate.history.secrets import without_secrets


def test_a_project_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "elsewhere"))
    project = tmp_path / "garments"
    place = find_place(project)
    assert place is not None
    assert place.database == project / "runs.db"
    assert place.artifacts == project / "runs"
    assert place.is_own
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
    assert (place.uri, place.database, place.is_own) == ("http://one", None, False)
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


def test_another_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.chdir(tmp_path)
    place = find_place()
    assert place is not None
    assert (place.database, place.is_own) == (tmp_path / "mlflow.db", False)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://host:5000/a@b", "https://host:5000/a@b"),
        ("https://me:secret@host:5000/a", "https://host:5000/a"),
        ("https://me:s@cret@host", "https://host"),
        ("postgresql://me:secret@host/db?sslkey=secret", "postgresql://host/db?…"),
        ("sqlite:////a b/runs.db", "sqlite:////a b/runs.db"),
    ],
)
def test_passwords_are_not_shown(
    uri: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    place = find_place()
    assert place is not None
    assert place.shown == shown
    assert "secret" not in without_secrets(f"no answer from {uri}")
