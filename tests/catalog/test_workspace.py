from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.catalog import (
    Catalog,
    Entry,
    Facts,
    FactStore,
    ImageRow,
    Source,
    Workspace,
    open_workspace,
    user_cache,
    workspace,
)
from foveate.errors import Reason, SourceError
from foveate.files import FileEntry

FACTS = Facts("1" * 64, 30, 20, bytes(range(32)))
REFUSED = Facts("2" * 64, reason=Reason.TOO_LARGE, detail="It is too large.")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return open_workspace(bare(tmp_path))


def bare(folder: Path) -> Source:
    return Source(str(folder), None, (), ())


def entry(path: str = "/a/1.jpg", stamp: str = "5-1") -> Entry:
    return Entry(FileEntry(path, path, 5, stamp), "a", None)


def catalog(*rows: tuple[Entry, Facts]) -> Catalog:
    return Catalog(tuple(ImageRow(*row) for row in rows))


def test_a_bare_folder_is_kept_in_the_cache(tmp_path: Path, cache: Path) -> None:
    one, two = (open_workspace(bare(tmp_path / name)) for name in "ab")
    assert one.folder.is_dir()
    assert one.folder.is_relative_to(cache)
    assert one.folder != two.folder
    assert one.features == two.features == cache / "features"
    assert open_workspace(bare(tmp_path / "a")) == one
    assert list(tmp_path.iterdir()) == [cache]


def test_a_project_keeps_everything_itself(tmp_path: Path, cache: Path) -> None:
    project = tmp_path / "project"
    space = open_workspace(Source(str(project / "images"), project, (), ()))
    assert space.folder == project / ".foveate"
    assert space.catalog == project / ".foveate" / "catalog.parquet"
    assert space.features == project / ".foveate" / "features"
    assert not cache.exists()


def test_a_name_that_is_not_utf_8_has_a_workspace(tmp_path: Path) -> None:
    assert open_workspace(bare(tmp_path / os.fsdecode(b"\xff"))).folder.is_dir()


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.write_bytes(b"in the way")
    with pytest.raises(SourceError, match="FOVEATE_CACHE"):
        open_workspace(bare(Path("/a")))


def test_without_the_variable_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", "")
    assert user_cache().name == "foveate"
    assert user_cache().is_absolute()


def test_a_run_that_ended_is_remembered(space: Workspace) -> None:
    store = FactStore(space)
    store.add(entry(), FACTS)
    store.flush()
    store.close(catalog((entry(), FACTS)))
    assert space.catalog.is_file()
    assert list(space.inspected.iterdir()) == []
    assert FactStore(space).facts_of(entry()) == FACTS


def test_a_run_that_was_killed_is_remembered(space: Workspace) -> None:
    store = FactStore(space)
    store.add(entry("/a/1.jpg"), FACTS)
    store.flush()
    store.add(entry("/a/2.jpg"), FACTS)
    assert FactStore(space).facts_of(entry("/a/1.jpg")) == FACTS
    assert FactStore(space).facts_of(entry("/a/2.jpg")) is None
    store.flush()
    # The next run ends, and so clears up after the one that was killed.
    later = FactStore(space)
    assert later.facts_of(entry("/a/2.jpg")) == FACTS
    later.close(catalog((entry("/a/2.jpg"), FACTS)))
    assert list(space.inspected.iterdir()) == []
    assert FactStore(space).facts_of(entry("/a/1.jpg")) is None


def test_facts_are_written_every_few_seconds(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(workspace.time, "monotonic", lambda: now)
    store = FactStore(space)
    store.add(entry("/a/1.jpg"), FACTS)
    assert not space.inspected.exists()
    now += workspace.SECONDS_BETWEEN_WRITES + 0.1
    store.add(entry("/a/2.jpg"), FACTS)
    assert FactStore(space).facts_of(entry("/a/1.jpg")) == FACTS


def test_nothing_new_writes_nothing(space: Workspace) -> None:
    FactStore(space).flush()
    assert not space.inspected.exists()


@pytest.mark.parametrize("changed", [entry(stamp="5-2"), entry("/b/1.jpg"), entry(stamp="")])
def test_a_file_that_changed_is_not_known(space: Workspace, changed: Entry) -> None:
    FactStore(space).close(catalog((entry(), FACTS), (entry(stamp=""), FACTS)))
    assert FactStore(space).facts_of(changed) is None


def test_a_file_that_moved_is_known_by_its_bytes(space: Workspace) -> None:
    FactStore(space).close(catalog((entry(), FACTS)))
    assert FactStore(space).by_id == {FACTS.id: FACTS}


def test_a_refused_image_is_opened_again(space: Workspace) -> None:
    store = FactStore(space)
    store.add(entry(), REFUSED)
    store.flush()
    assert FactStore(space).facts_of(entry()) is None
    store.close(catalog((entry(), REFUSED)))
    assert FactStore(space).facts_of(entry()) is None
    assert FactStore(space).by_id == {}


def test_without_a_workspace_nothing_is_written(tmp_path: Path) -> None:
    store = FactStore(None)
    store.add(entry(), FACTS)
    store.flush()
    store.close(catalog((entry(), FACTS)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 100, b"\0" * 1000])
def test_a_damaged_memory_is_no_memory(space: Workspace, content: bytes) -> None:
    space.inspected.mkdir()
    space.catalog.write_bytes(content)
    (space.inspected / "x.parquet").write_bytes(content)
    store = FactStore(space)
    assert store.by_id == {}
    store.close(catalog((entry(), FACTS)))
    assert FactStore(space).facts_of(entry()) == FACTS


def test_the_rest_of_a_damaged_memory_is_used(space: Workspace) -> None:
    FactStore(space).close(catalog((entry(), FACTS)))
    space.inspected.mkdir(exist_ok=True)
    (space.inspected / "x.parquet").write_bytes(b"PAR1")
    assert FactStore(space).facts_of(entry()) == FACTS


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    space = Workspace(folder, folder)
    FactStore(space).close(catalog(*((entry(f"/a/{i}.jpg"), FACTS) for i in range(50))))
    return space.catalog.read_bytes()


@settings(deadline=None)
@given(st.data())
def test_a_cut_memory_is_no_memory(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "cut"
    folder.mkdir(exist_ok=True)
    space = Workspace(folder, folder)
    space.catalog.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert FactStore(space).by_id == {}


def test_a_table_of_another_version_is_no_memory(space: Workspace) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"path": ["/a/1.jpg"], "stamp": ["5-1"]}), space.catalog)
    assert FactStore(space).by_id == {}
    columns = {name: np.zeros(2) for name in ("path", "stamp", "id", "width", "height", "dhash")}
    pq.write_table(pa.table(columns | {"status": ["ok", "odd"], "detail": ["", ""]}), space.catalog)
    assert FactStore(space).by_id == {}
