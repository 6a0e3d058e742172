"""Where a user's own folders are, with a home and without."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from foveate.backbones import find_backbone, list_backbones
from foveate.catalog import user_cache
from foveate.errors import OutputError
from foveate.folders import own_folder
from foveate.history import find_place, recording


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom a container was given as a number: no home, no passwd entry."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("FOVEATE_CACHE", "FOVEATE_BACKBONES", "FOVEATE_HISTORY"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize(
    ("chosen", "found"), [("~/c", "home/c"), ("c", "here/c"), ("../c", "here/../c")]
)
def test_the_variable_names_a_folder_as_a_shell_does(
    chosen: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOVEATE_CACHE", chosen)
    assert user_cache() == tmp_path / found
    monkeypatch.setenv("FOVEATE_HISTORY", chosen)
    place = find_place()
    assert place is not None
    assert place.folder == tmp_path / found


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"no home folder\. Set FOVEATE_CACHE to"):
        user_cache()
    monkeypatch.setenv("FOVEATE_CACHE", "~/c")
    with pytest.raises(OutputError, match="no home folder"):
        user_cache()
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "c"))
    assert own_folder("FOVEATE_CACHE", "cache") == tmp_path / "c"
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_are_the_backbones_of_the_package() -> None:
    assert find_backbone("efficientnet-lite0") in list_backbones()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_a_run_is_not_on_record_and_says_so() -> None:
    said: list[str] = []
    place = find_place()
    assert place is None
    with recording(place, "train", "images", {}, remark=said.append):
        pass
    assert "not on record" in said[0]
    assert "FOVEATE_HISTORY" in said[0]
