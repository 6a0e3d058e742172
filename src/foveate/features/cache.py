"""Features kept on disk, by image id, one folder per backbone and preprocessing.

A folder holds Parquet files of a few hundred images each with the columns `id` and `features`.
A file appears whole or not at all, so a run can be killed at any moment; what it had written is
found again. Two runs may write to the same folder at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate.backbones import Card
from foveate.catalog.workspace import not_kept
from foveate.errors import OutputError, SourceError
from foveate.files import atomic_write
from foveate.image import DECODER, Resize

ROWS_PER_FILE = 256
SECONDS_BETWEEN_WRITES = 3.0


SUMS = 2
"""Counts how int8 was computed: until foveate knew of it, wrong on processors without VNNI."""


def feature_key(card: Card, resize: Resize, precision: str) -> str:
    """The folder name for features: everything that influences them is in it."""
    pack = card.pack_sha256[:12]
    if precision == "int8":
        precision = f"int8s{SUMS}"
    return f"{card.name}-{pack}-{resize.rule}{resize.resolution}-{precision}-d{DECODER}"


class StoredFeatures(Protocol):
    """Features that can be looked up by image id, wherever they are kept.

    Attributes:
        dimension: features per image.
    """

    dimension: int

    def __contains__(self, image: object) -> bool: ...

    def batches(self, images: Collection[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The features of some images in pieces: ids and (n, d); each once, in any order.

        Raises:
            KeyError: an image has no features here.
        """
        ...

    def load(self, images: Collection[str]) -> NDArray[np.float32]:
        """The features (n, d) of images, in their order.

        Raises:
            KeyError: an image has no features here.
        """
        ...


class FeatureCache:
    """The features of one backbone and preprocessing.

    Args:
        folder: the folder of Parquet files; made when the first features are written.
        dimension: features per image.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        self._folder = folder
        self.dimension = dimension
        self._fresh_ids: list[str] = []
        self._fresh: list[NDArray[np.float32]] = []
        self._written = time.monotonic()
        self._files_of: dict[str, Path] = {}
        for path in sorted(folder.glob("*.parquet")):
            for image in _column(path, "id"):
                self._files_of[image] = path

    def __contains__(self, image: object) -> bool:
        return image in self._files_of

    def add(self, image: str, features: NDArray[np.float32]) -> None:
        """Keep the features (d,) of one image; on disk within a few seconds.

        Raises:
            SourceError: they cannot be written.
        """
        self._fresh_ids.append(image)
        self._fresh.append(features)
        waited = time.monotonic() - self._written > SECONDS_BETWEEN_WRITES
        if waited or len(self._fresh) >= ROWS_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet.

        Raises:
            SourceError: it cannot be written.
        """
        if self._fresh:
            path = self._folder / f"{uuid.uuid4().hex}.parquet"
            table = pa.table({"id": self._fresh_ids, "features": as_arrow(np.stack(self._fresh))})
            try:
                with atomic_write(path, durable=False) as file:
                    # Floats gain nothing from a dictionary, and making one takes ten times as long.
                    pq.write_table(
                        table,
                        file,
                        compression="none",
                        use_dictionary=False,
                        write_statistics=False,
                    )
            except OutputError as error:
                raise SourceError(not_kept(self._folder, error)) from None
            self._files_of |= dict.fromkeys(self._fresh_ids, path)
            self._fresh_ids, self._fresh = [], []
        self._written = time.monotonic()

    def batches(self, images: Collection[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The features of some images, file by file: memory holds one file at a time.

        Yields:
            Ids and their features (n, d); each image once, in no particular order.

        Raises:
            KeyError: an image has no features here.
        """
        wanted: dict[Path, set[str]] = {}
        for image in images:
            wanted.setdefault(self._files_of[image], set()).add(image)
        for path, ids in wanted.items():
            table = pq.read_table(path, memory_map=True)
            stored = table.column("id").to_pylist()
            rows = {image: row for row, image in enumerate(stored) if image in ids}
            yield (
                list(rows),
                as_numpy(table.column("features"), self.dimension)[list(rows.values())],
            )

    def load(self, images: Collection[str]) -> NDArray[np.float32]:
        """The features (n, d) of images, in their order.

        Raises:
            KeyError: an image has no features here.
        """
        return gather(self, images)


def gather(stored: StoredFeatures, images: Collection[str]) -> NDArray[np.float32]:
    """The features (n, d) of images in their order, put together from batches."""
    images = list(images)
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image, []).append(row)
    features = np.empty((len(images), stored.dimension), np.float32)
    for ids, block in stored.batches(rows):
        for image, values in zip(ids, block, strict=True):
            features[rows[image]] = values
    return features


def as_arrow(features: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """A matrix (n, d) as an Arrow column of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(features).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, features.shape[1])


def as_numpy(column: pa.ChunkedArray, dimension: int) -> NDArray[np.float32]:
    """An Arrow column of fixed-size lists as a matrix (n, d)."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: NDArray[np.float32] = flat.reshape(-1, dimension)
    return matrix


def _column(path: Path, name: str) -> list[str]:
    try:
        values: list[str] = pq.read_table(path, columns=[name]).column(name).to_pylist()
    except (OSError, ValueError, KeyError):
        return []  # derived data that is damaged or gone is made again
    return values
