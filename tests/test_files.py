from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate import files


def test_lists_every_file_sorted_by_path(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "a.jpg", "b/1.jpg", "c/d/e.jpg", "B.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listed = list(files.list_files(str(tmp_path)))
    assert [entry.relative for entry in listed] == [
        "B.jpg", "a.jpg", "b/1.jpg", "b/2.jpg", "c/d/e.jpg",
    ]  # fmt: skip
    assert [files.read_bytes(entry.path) for entry in listed] == [b"x"] * 5
    assert listed == list(files.list_files(str(tmp_path)))


def test_listing_skips_what_file_managers_hide(tmp_path: Path) -> None:
    for name in (".git/x", ".hidden.jpg", "__MACOSX/a.jpg", "a/Thumbs.db", "a/desktop.ini", "a/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [entry.relative for entry in files.list_files(str(tmp_path))] == ["a/b"]


def test_listing_enters_a_linked_folder_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "1.jpg").write_bytes(b"x")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    assert len([entry for entry in files.list_files(str(folder)) if entry.size == 1]) == 1


def test_what_cannot_be_looked_at_is_listed(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    listed = list(files.list_files(str(tmp_path)))
    assert [(entry.relative, entry.size, entry.stamp) for entry in listed] == [
        ("broken.jpg", -1, ""),
        ("itself.jpg", -1, ""),
        ("pipe.jpg", -1, ""),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_without_access_is_listed(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        (entry,) = files.list_files(str(tmp_path))
    finally:
        locked.chmod(0o700)
    assert (entry.relative, entry.size) == ("locked", -1)


def test_a_folder_that_fails_to_list_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "open.jpg").write_bytes(b"x")
    scandir = os.scandir

    def without_access(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", without_access)
    listed = list(files.list_files(str(tmp_path)))
    assert [(entry.relative, entry.size) for entry in listed] == [("locked", -1), ("open.jpg", 1)]


def test_a_missing_folder_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        list(files.list_files(str(tmp_path / "nowhere")))
    with pytest.raises(OSError, match="nowhere"):
        list(files.list_files("memory://nowhere"))


def test_the_stamp_changes_with_the_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    before = files.file_entry(str(path)).stamp
    assert files.file_entry(str(path)).stamp == before
    path.write_bytes(b"two")
    os.utime(path, ns=(10**18, 10**18 + 1))
    later = files.file_entry(str(path)).stamp
    path.write_bytes(b"three")
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert len({before, later, files.file_entry(str(path)).stamp}) == 3


@pytest.mark.parametrize("name", ["nowhere.jpg", "nul\0.jpg", "\ud800.jpg", "x" * 300])
def test_the_entry_of_what_is_not_there_has_no_size(tmp_path: Path, name: str) -> None:
    assert files.file_entry(str(tmp_path / name)).size == -1


def test_a_url_is_read_as_a_local_path_is() -> None:
    with fsspec.open("memory://files/a/1.jpg", "wb") as file:
        file.write(b"one")
    with fsspec.open("memory://files/.hidden/2.jpg", "wb") as file:
        file.write(b"two")
    (entry,) = files.list_files("memory://files/")
    assert (entry.path, entry.relative, entry.size) == ("memory://files/a/1.jpg", "a/1.jpg", 3)
    assert files.read_bytes(entry.path) == b"one"
    assert entry.stamp != ""
    assert files.file_entry(entry.path).size == 3
    assert files.is_folder("memory://files")
    assert not files.is_folder(entry.path)
    assert files.exists(entry.path)
    assert not files.exists("memory://files/nowhere")
    assert files.file_entry("memory://files/nowhere").size == -1


def test_a_url_of_an_unknown_kind_is_an_os_error() -> None:
    with pytest.raises(OSError, match="nonsense"):
        files.read_bytes("nonsense://a/b")
    assert files.file_entry("nonsense://a/b").size == -1


@pytest.mark.parametrize(
    ("folder", "relative", "joined"),
    [
        ("/a", "b/c", "/a/b/c"),
        ("/a", "./b", "/a/b"),
        ("/a", "/b", "/b"),
        ("/a", "s3://b/c", "s3://b/c"),
        ("s3://a/", "b", "s3://a/b"),
        ("s3://a", "b", "s3://a/b"),
    ],
)
def test_join(folder: str, relative: str, joined: str) -> None:
    assert files.join(folder, relative) == joined


def test_parent() -> None:
    assert files.parent("/a/b.csv") == "/a"
    assert files.parent("s3://a/b/c.csv") == "s3://a/b"


def test_an_atomic_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write_half() -> None:
        with files.atomic_write(path) as file:
            file.write(b"half")
            file.flush()
            assert path.read_bytes() == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_files_are_hidden(tmp_path: Path) -> None:
    with files.atomic_write(tmp_path / "file.bin") as file:
        file.write(b"half")
        assert list(files.list_files(str(tmp_path))) == []


def test_digest_is_sha_256() -> None:
    # FIPS 180-2, appendix B.1
    assert files.digest(b"abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_printable_text_can_be_encoded(text: str) -> None:
    shown = files.printable(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert shown == text


def test_printable_shows_bytes_and_surrogates() -> None:
    assert files.printable(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"
    assert files.printable("a\ud800b") == r"a\ud800b"


@settings(deadline=None)
@given(st.text())
def test_a_normal_form_is_the_same_for_every_spelling(text: str) -> None:
    normal = files.normal_form(text)
    assert files.normal_form(unicodedata.normalize("NFD", text)) == normal
    assert files.normal_form(f"  {text}\t") == normal
