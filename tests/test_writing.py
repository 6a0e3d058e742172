"""What is at the place of an output, and what the system says against writing it."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foveate import files
from foveate.errors import FoveateError, OutputError
from foveate.writing import atomic_write, write_bytes


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # such a path may have but 100 bytes
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


def make_device(path: Path) -> None:
    """A node of our own that does what /dev/null does."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes device nodes")


@pytest.mark.parametrize("is_linked", [False, True], ids=["itself", "by a link"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_folder, "is a folder"),
        (make_pipe, "is a pipe"),
        (make_socket, "is a socket"),
        (make_device, "is a device"),
    ],
)
def test_what_is_no_file_is_refused_and_stays(
    make: Callable[[Path], None], said: str, is_linked: bool, tmp_path: Path
) -> None:
    path = tmp_path / "out.csv"
    make(path)
    kind = stat.S_IFMT(path.stat().st_mode)
    named = tmp_path / "link.csv" if is_linked else path
    if is_linked:
        named.symlink_to(path)
    for write in (write_bytes, lambda one, data: files.write_anywhere(f"file://{one}", data)):
        with pytest.raises(OutputError, match=said) as caught:
            write(named, b"data")
        assert isinstance(caught.value, OSError)
        assert str(named) in str(caught.value)
    assert stat.S_IFMT(path.stat().st_mode) == kind
    assert named.is_symlink() == is_linked
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "dangling"])
def test_a_link_is_followed(is_there: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    if is_there:
        write_bytes(target, b"before")
    link.symlink_to("elsewhere/target")
    write_bytes(link, b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"
    assert not target.is_symlink()


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OutputError, match="leads to itself"):
        write_bytes(link, b"data")
    assert link.is_symlink()


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    write_bytes(path, b"data")
    assert path.read_bytes() == b"data"
    with pytest.raises(OutputError, match="too long"):
        write_bytes(tmp_path / ("x" * 256), b"data")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not mount or not umount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def test_a_full_disk_is_a_sentence_and_leaves_what_was(small_disk: Path) -> None:
    path = small_disk / "m.onnx"
    write_bytes(path, b"before")
    with pytest.raises(OutputError, match=r"m.onnx’ .*the disk is full\. Make room") as caught:
        write_bytes(path, bytes(200_000))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OutputError, match="the disk is full"), atomic_write(path) as file:
        file.write(bytes(200_000))
    assert path.read_bytes() == b"before"
    assert [one.name for one in small_disk.iterdir()] == ["m.onnx"]


def test_a_limit_of_size_is_a_sentence(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match="larger than a file may be"):
            write_bytes(tmp_path / "m.onnx", bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "can only be read"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_system_says_is_said(
    code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=said):
        write_bytes(tmp_path / "m.onnx", b"data")
    assert not list(tmp_path.iterdir())


def test_what_the_caller_fails_to_read_stays_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "out"):
        (tmp_path / "nowhere").read_bytes()
    assert not isinstance(caught.value, FoveateError)


def test_the_error_survives_another_process() -> None:
    error = OutputError("‘x’ cannot be written: no.", "no", errno.EROFS)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_store_that_fails_is_a_sentence() -> None:
    with pytest.raises(OutputError, match="nosuch://x/y"):
        files.write_anywhere("nosuch://x/y", b"data")
