"""Images to learn from: decoded once, kept as squares of bytes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import Entry, read_file
from foveate.files import atomic_write, digest
from foveate.image import DECODER, Limits, Resize, open_image
from foveate.launch.position import find_position

RESERVE = 2 * 10**9
"""Bytes of the disk that squares leave free: models and checkpoints go there, too."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Pixels(Protocol):
    """Squares (n, s, s, 3) uint8, of which some are asked for at a time."""

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Samples:
    """What a training learns from and is validated on.

    Attributes:
        labels: in the order of the scores.
        train: (n, s, s, 3) uint8, squares that views are cut from.
        train_codes: (n,) position of each image's label in `labels`.
        validation: (m, r, r, 3) uint8, as the finished classifier will see them.
        validation_codes: (m,).
    """

    labels: tuple[str, ...]
    train: Pixels
    train_codes: NDArray[np.intp]
    validation: Pixels
    validation_codes: NDArray[np.intp]


class FilePixels:
    """Squares that are decoded whenever they are asked for, by so many threads."""

    def __init__(
        self, entries: Sequence[Entry], resize: Resize, limits: Limits, threads: int
    ) -> None:
        self._entries = entries
        self._resize = resize
        self._limits = limits
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        return np.stack(list(self._pool.map(self._decode, rows.tolist())))

    def _decode(self, row: int) -> NDArray[np.uint8]:
        data = read_file(self._entries[row].file, self._limits)
        return open_image(data, self._limits).pixels(self._resize)


class MappedPixels:
    """Squares in a file that the system keeps in memory as far as it fits."""

    def __init__(self, path: Path) -> None:
        self._all: NDArray[np.uint8] = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        return self._all[rows]


def decode_once(
    entries: Sequence[Entry],
    ids: Sequence[str],
    resize: Resize,
    *,
    folder: Path,
    limits: Limits,
    most_bytes: int,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Pixels:
    """The squares of images, from a file below `folder` that is made where it is not there yet.

    Args:
        entries: the images.
        ids: SHA-256 of the bytes of each.
        resize: how they become squares.
        folder: for derived data.
        limits: the largest image to accept.
        most_bytes: for all files in the folder, and less where its disk has less to spare: those
            used longest ago make room. Where these squares alone need more, or the disk is full
            all of a sudden, none are kept; they are decoded when wanted.
        workers: threads that decode, in all processes of this machine; 0: one a core.
        progress: told how many are decoded.

    Raises:
        ImageRefused: an image changed or vanished since it was inspected.
    """
    source = FilePixels(entries, resize, limits, find_position().threads(workers))
    name = digest("\n".join([repr(resize), str(DECODER), *ids]).encode())[:16]
    path = folder / f"{resize.rule}{resize.resolution}-{name}.npy"
    if path.exists():
        os.utime(path)
        return MappedPixels(path)
    shape = (len(entries), resize.resolution, resize.resolution, 3)
    if not _make_room(folder, int(np.prod(shape, dtype=np.int64)), most_bytes):
        return source
    try:
        with atomic_write(path, durable=False) as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            for start in range(0, len(entries), 64):
                rows = np.arange(start, min(start + 64, len(entries)))
                file.write(source[rows].tobytes())
                if progress is not None:
                    progress(int(rows[-1]) + 1, len(entries))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return source
    return MappedPixels(path)


def _make_room(folder: Path, needed: int, most_bytes: int) -> bool:
    """Delete files, those used longest ago first, until there is room for so many bytes more.

    Returns:
        Whether there is; where there cannot be, nothing is deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    sizes = [path.stat().st_size for path in files]
    room = min(most_bytes, shutil.disk_usage(folder).free + sum(sizes) - RESERVE)
    if needed > room:
        return False
    total = needed + sum(sizes)
    for path, size in zip(files, sizes, strict=True):
        if total <= room:
            break
        total -= size
        with suppress(OSError):  # in use by another program, on some systems
            path.unlink()
    return True
