from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from foveate.catalog import read_source
from foveate.errors import ImageRefused
from foveate.files import digest
from foveate.finetune import samples
from foveate.finetune.samples import FilePixels, MappedPixels, Pixels, decode_once
from foveate.image import Limits, Resize, open_image

RESIZE = Resize(72, to_edge=True)


def decoded(source: Path, folder: Path, *, most_bytes: int = 10**9, workers: int = 0) -> Pixels:
    entries = read_source(source).entries
    return decode_once(
        entries,
        [digest(Path(entry.file.path).read_bytes()) for entry in entries],
        RESIZE,
        folder=folder,
        limits=Limits(),
        most_bytes=most_bytes,
        workers=workers,
    )


@pytest.mark.parametrize("most_bytes", [10**9, 0])
def test_squares_are_those_of_the_decoder(patterns: Path, tmp_path: Path, most_bytes: int) -> None:
    pixels = decoded(patterns, tmp_path, most_bytes=most_bytes)
    assert isinstance(pixels, MappedPixels if most_bytes else FilePixels)
    entries = read_source(patterns).entries
    assert len(pixels) == len(entries)
    rows = np.array([3, 0, 3])
    wanted = [open_image(Path(entries[row].file.path).read_bytes()).pixels(RESIZE) for row in rows]
    np.testing.assert_array_equal(pixels[rows], np.stack(wanted))


def test_they_are_decoded_once(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decoded(patterns, tmp_path)
    monkeypatch.setattr(FilePixels, "__getitem__", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(decoded(patterns, tmp_path)[np.arange(2)], first[np.arange(2)])
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_a_vanished_image_leaves_no_half_file(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanished(*_: object) -> None:
        raise ImageRefused("unreadable", "gone")  # type: ignore[arg-type]

    monkeypatch.setattr("foveate.finetune.samples.read_file", vanished)
    with pytest.raises(ImageRefused):
        decoded(patterns, tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_files_used_longest_ago_make_room(patterns: Path, tmp_path: Path) -> None:
    needed = len(read_source(patterns).entries) * 72 * 72 * 3
    for number, name in enumerate(("old.npy", ".killed.npy.0123.part", "new.npy")):
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (number, number))
    decoded(patterns, tmp_path, most_bytes=needed + 1500)
    left = {path.name for path in tmp_path.iterdir()}
    assert "new.npy" in left
    assert len(left) == 2


@pytest.mark.parametrize(("spare", "kept"), [(0, True), (-1, False), (-(10**9), False)])
def test_a_disk_without_room_keeps_none(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: int, kept: bool
) -> None:
    (tmp_path / "old.npy").write_bytes(bytes(1000))
    needed = len(read_source(patterns).entries) * 72 * 72 * 3
    # The old file may go, the reserve may not.
    free = samples.RESERVE + needed - 1000 + spare
    monkeypatch.setattr(samples.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    found = decoded(patterns, tmp_path)
    assert isinstance(found, MappedPixels if kept else FilePixels)
    assert (tmp_path / "old.npy").exists() != kept  # what makes no room stays


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_keeps_none(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    found = decoded(patterns, tmp_path)
    assert isinstance(found, FilePixels)
    assert found[np.arange(2)].shape == (2, 72, 72, 3)
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_disk_are_not_silent(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", broken)
    with pytest.raises(OSError, match="broken"):
        decoded(patterns, tmp_path)


def test_as_many_threads_decode_as_there_are_workers(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    decode = FilePixels._decode

    def spy(self: FilePixels, row: int) -> np.ndarray:
        seen.add(threading.current_thread().name)
        return decode(self, row)

    monkeypatch.setattr(FilePixels, "_decode", spy)
    pixels = decoded(patterns, tmp_path, most_bytes=0, workers=1)
    assert pixels[np.arange(8)].shape[0] == 8
    assert len(seen) == 1
