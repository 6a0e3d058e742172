from __future__ import annotations

import base64
import errno
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate import copying
from foveate.copying import Copied, CopyError, copy, transfer
from foveate.copying.failures import WriteError, is_transient, sentence
from foveate.copying.journal import Record, open_journal
from foveate.copying.local import LocalStore
from foveate.copying.opening import open_store
from foveate.copying.plan import is_within, make_plan
from foveate.copying.remote import MOST_PARTS, RemoteStore, part_size
from foveate.copying.stores import refuse_unsafe, temporary_name

if TYPE_CHECKING:
    from support.stores import Endpoint, Opened

pytest_plugins = ("support.stores",)

WEIRD = (
    "a b.jpg",
    "100%.jpg",
    "%41%2F.jpg",
    "#1.jpg",
    "what?.jpg",
    "Ünïcödé – 猫 🐈.jpg",
    "e\u0301.jpg",  # e and an accent, which is not é
    "+&=;,@!$'().jpg",
    "[a]*{b}.jpg",
    'quote".jpg',
    "-rf",
    "dot.",
    " blank ",
    "a::b.jpg",
    "no suffix",
)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def numbers(copied: Copied) -> tuple[int, int, int, int]:
    return copied.files, copied.copied, copied.skipped, len(copied.failed)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SECONDS_BEFORE_RETRY", 0.0)


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    for path in list(filesystem.store):
        del filesystem.store[path]
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(
        tmp_path / "source",
        {f"{kind}/{i}.jpg": f"{kind} {i}".encode() for kind in ("cat", "dog") for i in range(5)},
    )


def test_what_is_below_the_source_is_then_below_the_destination(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    first = copy(str(source), str(out))
    assert numbers(first) == (10, 10, 0, 0)
    assert first.bytes == sum(len(data) for data in contents(source).values())
    assert first.complete
    assert contents(out) == contents(source)
    assert numbers(copy(str(source), str(out))) == (10, 0, 10, 0)


def test_to_a_url_and_back(source: Path, tmp_path: Path, memory: Any) -> None:
    for name in WEIRD:
        (source / "weird names").mkdir(exist_ok=True)
        (source / "weird names" / name).write_bytes(name.encode())
    assert copy(str(source), "memory://box/photos").complete
    assert copy("memory://box/photos", f"file://{tmp_path}/back").complete
    assert contents(tmp_path / "back") == contents(source)
    assert not [path for path in memory.store if path.endswith(".part")]


def test_only_what_is_missing_or_different_is_copied(source: Path, memory: Any) -> None:
    copy(str(source), "memory://box")
    (source / "cat" / "0.jpg").write_bytes(b"cat O")  # as many bytes as before
    (source / "cat" / "1.jpg").write_bytes(b"longer than before")
    (source / "cat" / "new.jpg").write_bytes(b"new")
    memory.rm_file("/box/dog/0.jpg")
    memory.pipe_file("/box/dog/1.jpg", b"dog !")
    memory.pipe_file("/box/kept.jpg", b"of somebody else")
    assert numbers(copy(str(source), "memory://box")) == (11, 5, 6, 0)
    there = {name.removeprefix("/box/"): memory.cat_file(name) for name in memory.find("/box")}
    assert there == contents(source) | {"kept.jpg": b"of somebody else"}


def test_without_a_journal_what_is_there_is_compared(
    source: Path, memory: Any, own_cache: Path
) -> None:
    copy(str(source), "memory://box")
    memory.pipe_file("/box/dog/1.jpg", b"dog !")
    for path in (own_cache / "copies").glob("*.jsonl"):
        path.unlink()
    assert numbers(copy(str(source), "memory://box")) == (10, 1, 9, 0)
    assert memory.cat_file("/box/dog/1.jpg") == b"dog 1"


def test_what_was_only_touched_is_not_copied_again(source: Path, tmp_path: Path) -> None:
    copy(str(source), str(tmp_path / "out"))
    for path in (source / "cat" / "0.jpg", tmp_path / "out" / "dog" / "0.jpg"):
        os.utime(path, ns=(10**18, 10**18))
    assert numbers(copy(str(source), str(tmp_path / "out"))) == (10, 0, 10, 0)


def test_reading_everything_finds_what_no_stamp_tells(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    copy(str(source), str(out))
    damaged = out / "cat" / "3.jpg"
    before = damaged.stat()
    damaged.write_bytes(b"cat E")
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert numbers(copy(str(source), str(out))) == (10, 0, 10, 0)
    assert numbers(copy(str(source), str(out), verify="read")) == (10, 1, 9, 0)
    assert damaged.read_bytes() == b"cat 3"


def test_by_size_nothing_is_read_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write(tmp_path / "out", {"cat/0.jpg": b"cat ?"})
    monkeypatch.setattr(transfer.Transfer, "_digests", None)
    assert numbers(copy(str(source), str(out), verify="size")) == (10, 9, 1, 0)


def test_limit(source: Path, tmp_path: Path) -> None:
    assert numbers(copy(str(source), str(tmp_path / "out"), limit=3)) == (3, 3, 0, 0)
    assert numbers(copy(str(source), str(tmp_path / "out"), limit=4)) == (4, 1, 3, 0)
    assert set(contents(tmp_path / "out")) == {f"cat/{i}.jpg" for i in range(4)}


@pytest.mark.parametrize(
    ("out", "there"),
    [
        ("new.jpg", "new.jpg"),
        ("sub/folder/new.jpg", "sub/folder/new.jpg"),
        ("folder/", "folder/0.jpg"),
        ("exists", "exists/0.jpg"),
    ],
)
@pytest.mark.parametrize("base", ["", "memory://box/"])
def test_one_file(
    source: Path, tmp_path: Path, memory: Any, base: str, out: str, there: str
) -> None:
    (tmp_path / "exists").mkdir()
    memory.pipe_file("/box/exists/x", b"")
    base = base or f"{tmp_path}/"
    for copies in (1, 0):
        copied = copy(str(source / "cat" / "0.jpg"), base + out)
        assert (copied.files, copied.copied) == (1, copies)
    with fsspec.open(base + there, "rb") as file:
        assert file.read() == b"cat 0"


def test_empty_and_large_files(tmp_path: Path, memory: Any) -> None:
    data = os.urandom(9 * 2**20 + 1)
    write(tmp_path / "source", {"empty.tif": b"", "large.tif": data})
    states: list[copying.State] = []
    copied = copy(str(tmp_path / "source"), "memory://box", progress=states.append)
    assert (copied.copied, copied.bytes) == (2, len(data))
    assert copied.megabytes_per_second > 0
    assert memory.cat_file("/box/large.tif") == data
    assert memory.cat_file("/box/empty.tif") == b""
    assert (states[-1].files, states[-1].bytes) == (2, len(data))
    assert all(one.total_bytes == len(data) and one.total_files == 2 for one in states)
    assert copy("memory://box", str(tmp_path / "back")).complete
    assert contents(tmp_path / "back") == contents(tmp_path / "source")


def test_hidden_files_stay(tmp_path: Path) -> None:
    write(tmp_path / "source", {"a": b"1", ".foveate/b": b"2", "c/.d": b"3", "Thumbs.db": b"4"})
    copy(str(tmp_path / "source"), str(tmp_path / "out"))
    assert contents(tmp_path / "out") == {"a": b"1"}


def test_names_that_would_leave_the_folder_are_refused(tmp_path: Path, memory: Any) -> None:
    memory.pipe_file("/box/good.jpg", b"good")
    for name in ("../out.jpg", "a/../../out.jpg", "a//b.jpg", "./c.jpg"):
        memory.store[f"/box/{name}"] = memory.store["/box/good.jpg"]
    copied = copy("memory://box", str(tmp_path / "a" / "b"))
    assert numbers(copied) == (2, 1, 0, 1)  # names that begin with a dot count as hidden
    assert all("is not a name that a folder can hold" in one.reason for one in copied.failed)
    assert contents(tmp_path) == {"a/b/good.jpg": b"good"}


@given(st.text(max_size=40))
def test_no_name_leaves_its_folder(name: str) -> None:
    store = LocalStore("/base/folder")
    try:
        store.check_name(name)
    except CopyError:
        assert not name or "\0" in name or any(p in ("", ".", "..") for p in name.split("/"))
    else:
        assert os.path.normpath(f"/base/folder/{name}") == f"/base/folder/{name}"


@pytest.fixture(scope="module")
def blob_stores() -> list[RemoteStore]:
    adlfs, s3fs = pytest.importorskip("adlfs"), pytest.importorskip("s3fs")
    azure = adlfs.AzureBlobFileSystem(account_name="none", anon=True)
    return [RemoteStore(one, "box", "box") for one in (azure, s3fs.S3FileSystem(anon=True))]


@given(name=st.text(min_size=1, max_size=30))
def test_a_name_survives_or_is_refused(name: str, blob_stores: list[RemoteStore]) -> None:
    for store in blob_stores:
        try:
            store.check_name(name)
        except CopyError:
            continue
        refuse_unsafe(name)
        filesystem, root = store.identity
        assert filesystem.split_path(f"{root}/{name}")[:2] == (root, name)


@given(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1), st.lists(st.sampled_from("ab")))
def test_within(folder: list[str], more: list[str]) -> None:
    path = "/" + "/".join(folder)
    assert is_within("/".join([path, *more]), path)
    assert not is_within(f"{path}x", path)


@given(st.one_of(st.none(), st.integers(0, 5 * 2**40)))
def test_objects_have_no_more_parts_than_stores_allow(size: int | None) -> None:
    part = part_size(size)
    assert part >= 5 * 2**20
    assert (size or 0) <= part * MOST_PARTS


@given(st.text(min_size=1), st.text(min_size=1))
def test_temporary_names(one: str, other: str) -> None:
    names = {temporary_name(text, "mark") for text in (one, other)}
    assert len(names) == len({one, other})
    assert all(name.startswith(".") and len(name) < 60 for name in names)


@settings(max_examples=30)
@given(
    records=st.dictionaries(
        st.text(min_size=1), st.builds(Record, st.text(), st.text(), st.text()), max_size=5
    ),
    lost=st.integers(0, 200),
)
def test_a_journal_survives_being_cut_off(
    records: dict[str, Record], lost: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder))
        with open_journal("key") as journal:
            for name, record in records.items():
                journal.add(name, record)
            mark = journal.mark
        (path,) = folder.rglob("*.jsonl")
        whole = path.read_bytes()
        path.write_bytes(whole[: max(len(whole.splitlines()[0]) + 1, len(whole) - lost)])
        with open_journal("key") as journal:
            assert journal.mark == mark
            kept = [journal.get(name) for name in records]
            assert all(
                got in (None, want) for got, want in zip(kept, records.values(), strict=True)
            )
            assert None not in kept[: len(kept) - lost]
            for name, record in records.items():
                journal.add(name, record)
        with open_journal("key") as journal:
            assert [journal.get(name) for name in records] == list(records.values())


def test_a_journal_of_nonsense_is_begun_anew(source: Path, tmp_path: Path, own_cache: Path) -> None:
    copy(str(source), str(tmp_path / "out"))
    (path,) = own_cache.rglob("*.jsonl")
    for nonsense in (b"", b"{", b"[]\n", b'{"format": 99}\n', b"\xff\n"):
        path.write_bytes(nonsense)
        assert numbers(copy(str(source), str(tmp_path / "out"))) == (10, 0, 10, 0)


def test_one_copy_at_a_time(source: Path, tmp_path: Path) -> None:
    plan = make_plan(str(source), str(tmp_path / "out"), None)
    with open_journal(plan.key), pytest.raises(CopyError, match="Another process"):
        copy(str(source), str(tmp_path / "out"))
    assert copy(str(source), str(tmp_path / "out")).complete


def test_a_cache_that_cannot_be_written_is_said(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "file"))
    with pytest.raises(CopyError, match="Set FOVEATE_CACHE"):
        copy(str(source), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("source", "source", "onto itself"),
        ("source", "source/", "onto itself"),
        ("source", "link", "onto itself"),
        ("source", "source/cat/more", "inside"),
        ("source", "link/cat", "inside"),
        ("source/cat/0.jpg", "source/cat/0.jpg", "onto itself"),
        ("source/cat/0.jpg", "source/cat", "onto itself"),
        ("source/cat", "source", None),
        ("source/same", "source", "copied over others"),
        ("source", "source2", None),
        ("nowhere", "out", "is not there"),
        ("empty", "out", "has no files"),
        ("source", "source/cat/0.jpg", "is a folder"),
        ("", "out", "Name a folder"),
        ("nonsense://a", "out", "no kind of store called ‘nonsense://’"),
        ("source", "s3://", "names no container or bucket"),
        ("source", "https://host/folder/?sig=secret", "to ‘https://host/folder/’: the web is for"),
        ("memory://nowhere", "out", "is not there"),
        ("memory://full", "memory://full", "onto itself"),
        ("memory://full", "memory://full/a", "inside"),
        ("memory://full/a", "memory://full", None),
    ],
)
def test_what_cannot_be_meant_is_refused(
    source: Path,
    tmp_path: Path,
    memory: Any,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    end: str,
    message: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(source)
    if start == "source/same":
        write(source / "same", {"same/x.jpg": b"1", "x.jpg": b"2"})
    memory.pipe_file("/full/a/1.jpg", b"1")
    before = contents(tmp_path)
    if message is None:
        assert copy(start, end).complete
        return
    with pytest.raises(CopyError, match=message):
        copy(start, end)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [("abfs://box/a", "adlfs", r"foveate\[azure\]"), ("s3://box/a", "s3fs", r"foveate\[s3\]")],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, module: str, package: str
) -> None:
    loaded = sys.modules["fsspec.registry"]._registry
    monkeypatch.delitem(loaded, url.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CopyError, match=f"pip install '{package}'"):
        copy(url, str(tmp_path / "out"))


def test_one_failed_file_does_not_stop_the_others(source: Path, tmp_path: Path) -> None:
    (source / "cat" / "broken.jpg").symlink_to(tmp_path / "nowhere")
    write(tmp_path / "out", {"dog/0.jpg/x": b"a folder where the file belongs"})
    copied = copy(str(source), str(tmp_path / "out"))
    assert numbers(copied) == (11, 9, 0, 2)
    assert [one.path for one in copied.failed] == ["cat/broken.jpg", "dog/0.jpg"]
    assert "broken link" in copied.failed[0].reason
    assert copied.failed[1].reason == "is a folder"
    assert not copied.complete
    assert not list(tmp_path.rglob("*.part"))


def test_a_name_that_is_not_utf8(tmp_path: Path, memory: Any) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write(tmp_path / "source", {name: b"1", "b.jpg": b"2"})
    copied = copy(str(tmp_path / "source"), "memory://box")
    assert [(one.path, "is not UTF-8" in one.reason) for one in copied.failed] == [
        ("caf\\xe9.jpg", True)
    ]
    assert copy(str(tmp_path / "source"), str(tmp_path / "out")).complete
    assert contents(tmp_path / "out") == {name: b"1", "b.jpg": b"2"}


class Trouble:
    """Makes a method of a store fail some times, for each file that it is called for."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error = times, error
        self.calls: dict[str, int] = {}
        self._lock = threading.Lock()

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(filesystem: Any, path: str, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls[path] = self.calls.get(path, 0) + 1
                fails = self.calls[path] <= self.times
            if fails:
                raise self.error
            return method(filesystem, path, *args, **kwargs)

        return wrapped


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (TimeoutError(), 4),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 4),
        (RuntimeError("Failed to upload block"), 4),
        (OSError(errno.EBUSY, "Please reduce your request rate"), 4),
        (PermissionError(errno.EACCES, "Permission denied"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
    ],
)
def test_what_may_pass_is_tried_again(
    source: Path,
    tmp_path: Path,
    memory: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    attempts: int,
) -> None:
    copy(str(source), "memory://box")
    opening = type(memory)._open
    for times, complete in ((attempts - 1, True), (attempts, False)):
        trouble = Trouble(times, error)
        monkeypatch.setattr(type(memory), "_open", trouble.around(opening))
        copied = copy("memory://box", str(tmp_path / f"out{times}"))
        assert copied.complete == complete
        assert set(trouble.calls.values()) == {attempts}
    assert numbers(copied) == (10, 0, 0, 10)
    monkeypatch.setattr(type(memory), "_open", opening)
    assert numbers(copy("memory://box", str(tmp_path / f"out{attempts}"))) == (10, 10, 0, 0)


def test_a_store_that_is_gone_is_given_up(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "source", {f"{i:03}.jpg": b"x" for i in range(200)})
    trouble = Trouble(10**6, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
    monkeypatch.setattr(type(memory), "_open", trouble.around(type(memory)._open))
    copied = copy(str(tmp_path / "source"), "memory://box", workers=4)
    assert 32 <= len(copied.failed) < 40
    assert len(copied.failed) + copied.untried == 200
    assert not copied.complete


def test_many_unreadable_files_are_no_reason_to_give_up(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"z.jpg": b"x"})
    for i in range(60):
        (source / f"{i:02}.jpg").symlink_to(tmp_path / "nowhere")
    assert numbers(copy(str(source), str(tmp_path / "out"), workers=1)) == (61, 1, 0, 60)


def test_damage_on_the_way_is_seen_and_sent_again(
    source: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFile

    seen: set[bytes] = set()

    def damaging(file: Any, chunk: bytes) -> int:
        damaged = bytes([chunk[0] ^ 1]) + chunk[1:] if chunk not in seen else chunk
        seen.add(chunk)
        return io.BytesIO.write(file, damaged)

    monkeypatch.setattr(MemoryFile, "write", damaging, raising=False)
    assert numbers(copy(str(source), "memory://box")) == (10, 10, 0, 0)
    there = {name.removeprefix("/box/"): memory.cat_file(name) for name in memory.find("/box")}
    assert there == contents(source)


def test_lasting_damage_is_no_success(
    source: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFile

    monkeypatch.setattr(
        MemoryFile, "write", lambda file, chunk: io.BytesIO.write(file, b"?" * len(chunk)), False
    )
    copied = copy(str(source), "memory://box")
    assert numbers(copied) == (10, 0, 0, 10)
    assert {one.reason for one in copied.failed} == {"what arrived differs from what was sent"}
    assert memory.find("/box") == []  # such a store shows nothing before it was seen to be right


def test_a_source_that_changes_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "source", {"a.tif": b"1" * (6 * 2**20)}) / "a.tif"
    reading = LocalStore.read
    changed: list[str] = []

    def read(store: LocalStore, address: str, size: int | None = None) -> Iterator[bytes]:
        for chunk in reading(store, address):
            yield chunk
            if address == str(path) and not changed:
                changed.append(address)
                path.write_bytes(b"2" * (6 * 2**20))

    monkeypatch.setattr(LocalStore, "read", read)
    assert copy(str(tmp_path / "source"), str(tmp_path / "out")).complete
    assert (tmp_path / "out" / "a.tif").read_bytes() == path.read_bytes()
    assert numbers(copy(str(tmp_path / "source"), str(tmp_path / "out"))) == (1, 0, 1, 0)


def test_stopped_it_keeps_what_was_copied(source: Path, tmp_path: Path) -> None:
    def stop_when_begun(state: copying.State) -> None:
        if state.files >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(str(source), str(tmp_path / "out"), workers=1, progress=stop_when_begun)
    kept = len(contents(tmp_path / "out"))
    assert kept >= 1
    assert numbers(copy(str(source), str(tmp_path / "out"))) == (10, 10 - kept, kept, 0)


def test_a_store_that_does_not_rename_onto_a_file(
    source: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/box/cat/0.jpg", b"older")
    moving = type(memory).mv

    def mv(filesystem: Any, old: str, new: str, **kwargs: Any) -> None:
        if filesystem.exists(new):
            raise FileExistsError(new)
        moving(filesystem, old, new, **kwargs)

    monkeypatch.setattr(type(memory), "mv", mv)
    assert numbers(copy(str(source), "memory://box")) == (10, 10, 0, 0)
    assert memory.cat_file("/box/cat/0.jpg") == b"cat 0"


class AnswerError(Exception):
    def __init__(self, status: int, text: str = "x") -> None:
        super().__init__(text)
        self.status_code = status


class NoCredentialsError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "transient", "words"),
    [
        (NoCredentialsError(), False, "no credentials for it"),
        (ValueError("Must provide a connection_string with credentials!!"), False, "--target"),
        (AnswerError(503, "Server busy.\nRequestId:1"), True, "Server busy"),
        (AnswerError(429), True, "x"),
        (AnswerError(404, "The specified container does not exist."), False, "container does not"),
        (AnswerError(403), False, "no permission"),
        (PermissionError(), False, "no permission"),
        (FileNotFoundError("box/a"), False, "it is not there"),
        (WriteError(TimeoutError()), True, "no answer in time"),
        (ValueError(), True, "ValueError"),
        (OSError("GET https://h/a?sig=secret&x failed"), True, "GET https://h/a?… failed"),
        (OSError("x" * 999), True, "x" * 200),
    ],
)
def test_failures_in_words(error: Exception, transient: bool, words: str) -> None:
    assert is_transient(error) == transient
    assert words in sentence(error)
    assert "secret" not in sentence(error)


def test_the_query_of_a_web_address_is_no_part_of_the_name() -> None:
    pytest.importorskip("aiohttp")
    store = open_store("https://host/a%20b/c%20d.jpg?sig=secret")
    assert store.parent()[1] == "c d.jpg"
    assert "secret" not in store.name


@pytest.fixture
def website(source: Path) -> Iterator[str]:
    """A web server with the source."""
    (source / "cat" / "a b%.jpg").write_bytes(b"odd name")
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split("(")[1].split(")")[0].rstrip("/")
        server.terminate()


def test_from_the_web(website: str, source: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    for copies in (1, 0):
        copied = copy(f"{website}/cat/0.jpg?sig=1", f"{tmp_path}/one/")
        assert (copied.files, copied.copied) == (1, copies)
    assert contents(tmp_path / "one") == {"0.jpg": b"cat 0"}
    for copies in (6, 0):
        copied = copy(f"{website}/cat/", str(tmp_path / "all"))
        assert (copied.files, copied.copied) == (6, copies)
    assert contents(tmp_path / "all") == contents(source / "cat")
    with pytest.raises(CopyError, match="is not there"):
        copy(f"{website}/nowhere.jpg", f"{tmp_path}/none/")


# With real stores from here on. aiohttp remarks that bodies over 1 MB are sent as bytes.
large_bodies = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


def draw_files(folder: Path) -> Path:
    """200 small files with odd names, and one of 20 MB."""
    small = {
        f"{i % 7} folder #{i % 3}%/{i:03} {WEIRD[i % len(WEIRD)]}": os.urandom(i * 37 % 5000)
        for i in range(200)
    }
    return write(folder, small | {"large.tif": os.urandom(20_000_003)})


@large_bodies
@pytest.mark.slow
def test_round_trip_through_real_stores(tmp_path: Path, abfs: Opened, s3: Opened) -> None:
    source = draw_files(tmp_path / "source")
    ways = [str(source), f"{abfs.url}/a b#/c%20d", f"{s3.url}/e", str(tmp_path / "back")]
    for start, end in pairwise(ways):
        copied = copy(start, end)
        assert copied.failed == ()
        assert (copied.copied, copied.bytes) == (
            201, sum(len(data) for data in contents(source).values())
        )  # fmt: skip
        assert numbers(copy(start, end)) == (201, 0, 201, 0)
    assert contents(tmp_path / "back") == contents(source)


@pytest.mark.slow
def test_a_name_that_azure_would_change(tmp_path: Path, abfs: Opened, s3: Opened) -> None:
    source = write(tmp_path / "source", {"back\\slash.jpg": b"1", "question?and#.jpg": b"2"})
    copied = copy(str(source), f"{abfs.url}/all")
    assert len(copied.failed) == 2
    assert all("cannot hold the name" in one.reason for one in copied.failed)
    assert copy(str(source), f"{s3.url}/all").complete
    assert copy(f"{s3.url}/all", str(tmp_path / "back")).complete
    assert contents(tmp_path / "back") == contents(source)


@large_bodies
@pytest.mark.slow
@pytest.mark.parametrize(("store", "verify"), [("abfs", "auto"), ("s3", "auto"), ("s3", "read")])
def test_a_corrupted_object_is_repaired(
    tmp_path: Path, request: pytest.FixtureRequest, store: str, verify: transfer.Verify
) -> None:
    opened: Opened = request.getfixturevalue(store)
    source = write(tmp_path / "source", {f"{i}.jpg": os.urandom(1000) for i in range(5)})
    write(source, {"large.tif": os.urandom(9 * 2**20)})
    out = f"{opened.url}/photos"
    copy(str(source), out)
    for name in ("3.jpg", "large.tif"):
        wrong = bytearray((source / name).read_bytes())
        wrong[500] ^= 1
        with fsspec.open(f"{out}/{name}", "wb") as file:
            file.write(bytes(wrong))
    assert numbers(copy(str(source), out, verify=verify)) == (6, 2, 4, 0)
    copy(out, str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(source)


@large_bodies
@pytest.mark.slow
@pytest.mark.parametrize("store", ["abfs", "s3"])
def test_the_stores_own_md5_saves_reading_back(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    own_cache: Path,
) -> None:
    opened: Opened = request.getfixturevalue(store)
    source = write(tmp_path / "source", {f"{i}.jpg": os.urandom(1000) for i in range(5)})
    read: list[str] = []
    reading = RemoteStore.read
    monkeypatch.setattr(
        RemoteStore,
        "read",
        lambda self, address, size: read.append(address) or reading(self, address, size),
    )
    assert copy(str(source), f"{opened.url}/x").complete
    for path in own_cache.rglob("*.jsonl"):
        path.unlink()
    assert numbers(copy(str(source), f"{opened.url}/x")) == (5, 0, 5, 0)
    assert read == []
    assert numbers(copy(str(source), f"{opened.url}/x", verify="read")) == (5, 0, 5, 0)
    assert len(read) == 5


@large_bodies
@pytest.mark.slow
@pytest.mark.parametrize("store", ["abfs", "s3"])
def test_a_failed_upload_leaves_nothing(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: Opened = request.getfixturevalue(store)
    source = write(tmp_path / "source", {"large.tif": os.urandom(18 * 2**20), "a.jpg": b"a"})
    reading = LocalStore.read

    def read(store: LocalStore, address: str, size: int | None = None) -> Iterator[bytes]:
        for number, chunk in enumerate(reading(store, address)):
            if number == 4:
                raise OSError(errno.EIO, "Input/output error")
            yield chunk

    monkeypatch.setattr(LocalStore, "read", read)
    copied = copy(str(source), f"{opened.url}/x")
    assert [(one.path, one.reason) for one in copied.failed] == [
        ("large.tif", "Input/output error")
    ]
    filesystem, root = fsspec.core.url_to_fs(opened.url)
    filesystem.invalidate_cache()
    assert filesystem.find(root) == [f"{root}/x/a.jpg"]


@pytest.mark.slow
def test_a_wrong_key(tmp_path: Path, azurite: Endpoint, source: Path) -> None:
    fresh = azurite.fresh()
    right = fresh.storage_options["connection_string"]
    key = right.partition("AccountKey=")[2].partition(";")[0]
    wrong = right.replace(key, base64.b64encode(b"wrong" * 10).decode())
    from support.stores import in_use

    with in_use({"abfs": {"connection_string": wrong}}):
        with pytest.raises(CopyError, match=r"cannot be looked at: no permission\."):
            copy(fresh.url, str(tmp_path / "out"))
        with pytest.raises(CopyError, match=r"cannot be looked at: no permission\."):
            copy(str(source), f"{fresh.url}/x")


@large_bodies
@pytest.mark.slow
@pytest.mark.parametrize("store", ["abfs", "s3"])
def test_a_container_that_is_not_there(
    tmp_path: Path, request: pytest.FixtureRequest, store: str, source: Path
) -> None:
    request.getfixturevalue(store)
    copied = copy(str(source), f"{store}://notthere/x")
    assert len(copied.failed) == 10
    assert "not" in copied.failed[0].reason
    with pytest.raises(CopyError, match="Make that container or bucket first"):
        copy(str(source / "cat" / "0.jpg"), f"{store}://notthere")
    with pytest.raises(CopyError, match="is not there"):
        copy(f"{store}://notthere/x", str(tmp_path / "out"))


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_is_no_file_at_the_destination_stays(kind: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for folder in (source, out):
        folder.mkdir()
    (source / "a").write_bytes(b"data")
    if kind == "pipe":
        os.mkfifo(out / "a")
    else:
        (out / "a").symlink_to("b")
    copied = copy(str(source), str(out))
    if kind == "pipe":
        assert (out / "a").is_fifo()
        assert [one.reason for one in copied.failed] == ["is a pipe"]
    else:
        assert copied.complete
        assert (out / "a").is_symlink()
        assert (out / "b").read_bytes() == b"data"
