"""Legends of land cover: which code of a raster has which label, and in which colour it is shown.

Three are built in, all for the codes of the National Land Cover Database (NLCD) of the USA:

    nlcd            the 16 classes by their official names, and the four that only Alaska has
    nlcd-groups     Developed (21 to 24), Cultivated (81, 82), Forest (41 to 43), Shrub (51, 52),
                    Barren (31), Herbaceous (71 to 74); no label: water and ice (11, 12), wetlands
                    (90, 95), which are no kind of land to tell apart
    nlcd-land-use   Developed (21 to 24), Cultivated (81, 82), Undeveloped (all the others, water
                    and wetlands among them, so that every place has one of the three)

Any other legend is a table, see `legend_table.find_legend`.

Sources:
    NLCD classes and colours: Multi-Resolution Land Characteristics Consortium, National Land Cover
        Database class legend and description, https://www.mrlc.gov/data/legends.
    Colours of other labels: Okabe, M. and Ito, K. (2008). Color universal design: how to make
        figures and presentations that are friendly to colorblind people.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_NLCD: dict[int, tuple[str, Colour, str]] = {
    11: ("Open Water", (70, 107, 159), ""),
    12: ("Perennial Ice/Snow", (209, 222, 248), ""),
    21: ("Developed, Open Space", (222, 197, 197), "Developed"),
    22: ("Developed, Low Intensity", (217, 146, 130), "Developed"),
    23: ("Developed, Medium Intensity", (235, 0, 0), "Developed"),
    24: ("Developed, High Intensity", (171, 0, 0), "Developed"),
    31: ("Barren Land", (179, 172, 159), "Barren"),
    41: ("Deciduous Forest", (104, 171, 95), "Forest"),
    42: ("Evergreen Forest", (28, 95, 44), "Forest"),
    43: ("Mixed Forest", (181, 197, 143), "Forest"),
    51: ("Dwarf Scrub", (175, 150, 60), "Shrub"),
    52: ("Shrub/Scrub", (204, 184, 121), "Shrub"),
    71: ("Grassland/Herbaceous", (223, 223, 194), "Herbaceous"),
    72: ("Sedge/Herbaceous", (209, 209, 130), "Herbaceous"),
    73: ("Lichens", (163, 204, 81), "Herbaceous"),
    74: ("Moss", (130, 186, 158), "Herbaceous"),
    81: ("Pasture/Hay", (220, 217, 57), "Cultivated"),
    82: ("Cultivated Crops", (171, 108, 40), "Cultivated"),
    90: ("Woody Wetlands", (184, 217, 235), ""),
    95: ("Emergent Herbaceous Wetlands", (108, 159, 184), ""),
}
_NLCD_NODATA = frozenset({0, 127, 250, 255})
"""Unclassified, and what several editions write where there is nothing."""

# Each group has the colour of one of its classes that is not easily taken for another group's.
_GROUPS: dict[str, Colour] = {
    "Developed": (235, 0, 0),
    "Cultivated": (220, 217, 57),
    "Forest": (28, 95, 44),
    "Shrub": (204, 184, 121),
    "Barren": (179, 172, 159),
    "Herbaceous": (223, 223, 194),
}
_LAND_USE: dict[str, Colour] = {
    "Developed": (235, 0, 0),
    "Cultivated": (220, 217, 57),
    "Undeveloped": (104, 171, 95),
}
_OTHERS: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (90, 90, 90),
)


@dataclass(frozen=True, slots=True)
class Legend:
    """What the codes of a land-cover raster mean.

    Attributes:
        name: as the user gave it.
        labels: of each code; an empty text where the code is known and has no label.
        colours: of each label that has one of its own.
        nodata: codes that say that nothing is known.
    """

    name: str
    labels: Mapping[int, str]
    colours: Mapping[str, Colour] = field(default_factory=dict)
    nodata: frozenset[int] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, each once: in the order of the colours, then of the codes."""
        used = dict.fromkeys(label for label in self.labels.values() if label)
        return tuple(dict.fromkeys([*(name for name in self.colours if name in used), *used]))

    def knows(self, code: int) -> bool:
        """Whether a code is in the legend, with a label or without."""
        return code in self.labels or code in self.nodata

    def label_of(self, code: int) -> str | None:
        """The label of a code; None where it has none, or is not in the legend."""
        return self.labels.get(code) or None

    def colours_of(self, labels: Sequence[str]) -> list[Colour]:
        """One colour for each label: those of this legend first; see `colours_of`."""
        return _colours(labels, {_key(name): colour for name, colour in self.colours.items()})


def colours_of(labels: Sequence[str]) -> list[Colour]:
    """One colour for each label, never two alike.

    Labels of the built-in legends have theirs, however they are written; the others get colours
    that colour-blind readers can tell apart, as long as those last.
    """
    return _colours(labels, {})


def _colours(labels: Sequence[str], own: Mapping[str, Colour]) -> list[Colour]:
    official = {**_OFFICIAL, **own}
    given: dict[int, Colour] = {}
    for number, label in enumerate(labels):
        colour = official.get(_key(label))
        if colour is not None and colour not in given.values():
            given[number] = colour
    fresh = (c for c in _palette() if c not in set(given.values()))
    return [given[number] if number in given else next(fresh) for number in range(len(labels))]


def _palette() -> Iterator[Colour]:
    yield from _OTHERS
    seen = set(_OTHERS)
    for number in count():
        # Steps of the golden angle never come back to a hue.
        hue = (number * 0.6180339887) % 1
        light = (0.42, 0.62, 0.78)[number % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, light, 0.6)
        colour = round(red * 255), round(green * 255), round(blue * 255)
        if colour not in seen:
            seen.add(colour)
            yield colour


def _key(label: str) -> str:
    return " ".join(re.split(r"[\W_]+", label.casefold())).strip()


def _built_in() -> dict[str, Legend]:
    groups = {code: group for code, (_, _, group) in _NLCD.items()}
    coarse = {"Developed", "Cultivated"}
    land_use = {code: group if group in coarse else "Undeveloped" for code, group in groups.items()}
    classes = {code: name for code, (name, _, _) in _NLCD.items()}
    colours = {name: colour for name, colour, _ in _NLCD.values()}
    return {
        "nlcd": Legend("nlcd", classes, colours, _NLCD_NODATA),
        "nlcd-groups": Legend("nlcd-groups", groups, _GROUPS, _NLCD_NODATA),
        "nlcd-land-use": Legend("nlcd-land-use", land_use, _LAND_USE, _NLCD_NODATA),
    }


BUILT_IN = _built_in()
_OFFICIAL: dict[str, Colour] = {
    _key(name): colour for legend in BUILT_IN.values() for name, colour in legend.colours.items()
}
