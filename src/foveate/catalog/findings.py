"""What is wrong with the images of a catalog, by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from foveate.catalog.duplicates import Duplicates
from foveate.catalog.table import Catalog

TINY = 32
"""Images with a side below this hold next to nothing that a network could see."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that holds no image that can be used."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a person may want to repair; paths are sorted.

    Attributes:
        refused: files that cannot be used.
        unlabelled: images without a label.
        tiny: images with a side below `TINY` pixels.
        duplicates: images that are copies of each other, exact or near.
        contradictory: the same image under more than one label.
        leaks: copies on both sides of the split that the source brings.
    """

    refused: list[Refused]
    unlabelled: list[str]
    tiny: list[str]
    duplicates: list[list[str]]
    contradictory: list[list[str]]
    leaks: list[list[str]]

    def to_json(self) -> dict[str, object]:
        """The same as plain lists and dictionaries."""
        return asdict(self)


def find_problems(catalog: Catalog, duplicates: Duplicates) -> Findings:
    """Name what is wrong with the images of a catalog."""
    paths: dict[str, list[str]] = {}
    sides: dict[str, set[str]] = {}
    for row in catalog.usable:
        paths.setdefault(row.facts.id, []).append(row.path)
        if row.entry.side:
            sides.setdefault(row.facts.id, set()).add(row.entry.side)
    groups: dict[int, list[str]] = {}
    for image, number in duplicates.group.items():
        groups.setdefault(number, []).append(image)
    copies, leaks = [], []
    for images in groups.values():
        files = sorted(path for image in images for path in paths[image])
        if len(files) > 1:
            copies.append(files)
        if len(set().union(*(sides.get(image, ()) for image in images))) > 1:
            leaks.append(files)
    return Findings(
        refused=[
            Refused(row.path, str(row.facts.reason), row.facts.detail) for row in catalog.quarantine
        ],
        unlabelled=[row.path for row in catalog.usable if row.entry.label is None],
        tiny=[row.path for row in catalog.usable if min(row.facts.width, row.facts.height) < TINY],
        duplicates=sorted(copies),
        contradictory=sorted(sorted(paths[image]) for image in duplicates.contradictory),
        leaks=sorted(leaks),
    )
