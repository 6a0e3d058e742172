"""Features in the parts that a cluster wrote, looked up by image id."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate import files
from foveate.catalog import FACTS, Facts, facts_of
from foveate.features import as_numpy, gather


class FeatureParts:
    """Features of many images; see `foveate.features.StoredFeatures`.

    Args:
        paths: of the parts, local or URLs.
        facts: of each row of each part.
        dimension: features per image.
    """

    def __init__(
        self, paths: Sequence[str], facts: Sequence[Sequence[Facts]], dimension: int
    ) -> None:
        self._paths = tuple(paths)
        self.dimension = dimension
        self._where = {
            one.id: (number, row)
            for number, known in enumerate(facts)
            for row, one in enumerate(known)
            if one.reason is None
        }

    def __contains__(self, image: object) -> bool:
        return image in self._where

    def path(self, number: int) -> str:
        """Where a part is."""
        return self._paths[number]

    def rows_of(self, images: Sequence[str]) -> dict[int, tuple[list[int], list[int]]]:
        """Where some images are: part → their rows in it, and their positions in `images`.

        Raises:
            KeyError: an image has no features here.
        """
        rows: dict[int, tuple[list[int], list[int]]] = {}
        for position, image in enumerate(images):
            number, row = self._where[image]
            there, here = rows.setdefault(number, ([], []))
            there.append(row)
            here.append(position)
        return rows

    def batches(self, images: Collection[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The features of some images, part by part: memory holds one part at a time.

        Raises:
            KeyError: an image has no features here.
        """
        wanted = list(dict.fromkeys(images))
        for number, (there, here) in self.rows_of(wanted).items():
            with files.open_file(self._paths[number]) as file:
                column = pq.read_table(file, columns=["features"]).column(0)
            yield [wanted[i] for i in here], as_numpy(column, self.dimension)[there]

    def load(self, images: Collection[str]) -> NDArray[np.float32]:
        """The features (n, d) of images, in their order.

        Raises:
            KeyError: an image has no features here.
        """
        return gather(self, images)


def read_facts(path: str) -> list[Facts]:
    """What is known of the image in each row of a part; the features are not read.

    Raises:
        OSError: it cannot be read.
    """
    with files.open_file(path) as file:
        return facts_of(pq.read_table(file, columns=list(FACTS)))
