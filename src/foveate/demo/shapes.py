"""Outlines from which garments, people and things are put together.

Figures are drawn in units of half a shoulder width (about 21 cm), x to the right and y down,
with the origin at the pit of the neck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Points: TypeAlias = npt.NDArray[np.float64]
"""(n, 2) float64: corners of a closed outline, x and y."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One patch of a figure.

    Attributes:
        outline: its corners in figure units.
        material: what it is made of; the scene says what that looks like ("cloth", "skin", …).
        origin: where its cloth was laid from.
        grain: direction of the cloth's upright thread, radians from the vertical.
        girth: radius of the body that the cloth goes round, in units.
        roundness: how strongly light and shade model it.
        soft: how far that shading reaches in from its edges, in units.
        creased: whether folds show on it.
    """

    outline: Points
    material: str
    origin: tuple[float, float] = (0.0, 0.0)
    grain: float = 0.0
    girth: float = 1.0
    roundness: float = 0.5
    soft: float = 0.3
    creased: bool = False

    def moved(self, right: float, down: float) -> Shape:
        """The same somewhere else."""
        origin = (self.origin[0] + right, self.origin[1] + down)
        return replace(self, outline=shifted(self.outline, right, down), origin=origin)


def cloth(
    outline: Points,
    *,
    material: str = "cloth",
    origin: tuple[float, float] = (0.0, 0.0),
    grain: float = 0.0,
) -> Shape:
    """A patch of creased cloth, round a body a little wider than itself."""
    across = (outline - origin) @ (math.cos(grain), math.sin(grain))
    girth = 1.2 * float(np.abs(across).max())
    return Shape(outline, material, origin, grain, girth, roundness=0.55, soft=0.2, creased=True)


def points(*corners: tuple[float, float]) -> Points:
    """Corners as an array."""
    return np.array(corners, np.float64)


def point(x: float, y: float) -> Points:
    """One point, (2,)."""
    return np.array([x, y], np.float64)


def shifted(outline: Points, right: float, down: float = 0.0) -> Points:
    """The same outline somewhere else."""
    return outline + point(right, down)


def mirrored(right: Points) -> Points:
    """A closed outline from its right half, listed from top to bottom."""
    return np.concatenate([right, right[::-1] * (-1, 1)])


def smooth(outline: Points, times: int = 2) -> Points:
    """Round the corners off (Chaikin's corner cutting)."""
    for _ in range(times):
        following = np.roll(outline, -1, axis=0)
        outline = np.stack(
            [0.8 * outline + 0.2 * following, 0.2 * outline + 0.8 * following], axis=1
        ).reshape(-1, 2)
    return outline


def ellipse(x: float, y: float, width: float, height: float, tilt: float = 0.0) -> Points:
    """An ellipse by its middle and half axes."""
    angle = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    across, down = width * np.cos(angle), height * np.sin(angle)
    cos, sin = math.cos(tilt), math.sin(tilt)
    return np.column_stack([x + across * cos - down * sin, y + across * sin + down * cos])


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """A rectangle."""
    return points((left, top), (right, top), (right, bottom), (left, bottom))


def limb(
    start: Points, end: Points, start_width: float, end_width: float, *, cut: bool = False
) -> Points:
    """A bar between two points, of these half widths, with round ends.

    With `cut` the far end is straight, as on sleeves and trouser legs.
    """
    towards = math.atan2(end[1] - start[1], end[0] - start[0])
    turn = np.linspace(0, math.pi, 2 if cut else 9)
    first = towards + math.pi / 2 + np.linspace(0, math.pi, 9)
    last = towards - math.pi / 2 + turn
    return np.concatenate(
        [
            middle + width * np.column_stack([np.cos(angle), np.sin(angle)])
            for middle, width, angle in ((start, start_width, first), (end, end_width, last))
        ]
    )


def heading(start: Points, end: Points) -> float:
    """Grain of cloth that hangs from `start` towards `end`: 0 straight down, radians."""
    return math.atan2(start[0] - end[0], end[1] - start[1])


def along(start: Points, end: Points, share: float) -> Points:
    """The point that far on the way from one to the other."""
    return start + share * (end - start)
