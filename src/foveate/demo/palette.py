"""Colours of cloth, skin, hair and walls, as float32 RGB in [0, 1]."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Colour: TypeAlias = npt.NDArray[np.float32]
"""(3,) float32, RGB in [0, 1]."""


def _colours(codes: str) -> npt.NDArray[np.float32]:
    rows = [list(bytes.fromhex(code)) for code in codes.split()]
    return np.array(rows, np.float32) * np.float32(1 / 255)


CLOTH = _colours(
    "f6f3ec f6f3ec efe4d0 d9d9d6 9a9da1 55585c 1d1e22 1d1e22 1b2440 22315e 2f5d9b 7fb0d8 "
    "b9d7e6 1f6f6b 7cc0ad 2f5137 7b8a4a e6c24d d98e2b c8512b b3202c 7a1f2e e2788f f3b9c2 "
    "8e5aa0 c6b2da 6d4a34 a57b54"
)
"""What dresses and shirts are dyed in; whites, blacks and navies are the most common."""

DENIM = _colours("26344f 3c5478 6b87ab 1e2025 3a3b40 c9bda5 8b7f6c f0eee8")
SKIN = _colours("f3d3bd e6b896 d39d76 b57a52 8c5a3a 5d3a26")
HAIR = _colours("17120f 2d1f18 4b2f20 7a4c2a b98a4e d9bf8c 8d8a86 6b2a1a")
WALL = _colours(
    "ffffff fbfbfb f2f2f0 e6e4e0 d4d6d8 c9c2b8 b5bcc4 8f9296 e9d9c9 cfdccf 6f7f86 a3573f"
)
WOOD = _colours("b98a5b 8a5f3c d8b98e 5c4130 a79a8a")

LEOPARD = tuple(
    tuple(_colours(row))
    for row in (
        "d9b382 a8713c 241812",
        "e8cfa6 b98650 3a2416",
        "c79a63 8a5a2b 15100d",
        "e5ddd0 a89f93 2b2a2a",
        "b9b9b9 7f8083 1c1c1f",
        "f2efe9 cfcac2 1d1c1c",
        "e9a9a6 c26b76 3a1a22",
        "a9c3d6 5f86a6 182338",
        "3a3d46 23252c 0d0e12",
        "d4693a 8f3a1c 160d0a",
        "7b6a4f 51452f 16130e",
        "9a3f55 6a2238 1d0d16",
    )
)
"""Ground, heart of a rosette, and spot; natural colours first, then what fashion makes of them."""


def pick(rng: np.random.Generator, colours: npt.NDArray[np.float32]) -> Colour:
    """One of the rows, a little lighter or darker, so that no two images share a colour exactly."""
    colour = colours[rng.integers(len(colours))]
    varied: Colour = (colour * rng.uniform(0.9, 1.06) + rng.normal(0, 0.012, 3)).astype(np.float32)
    return varied.clip(0, 1)


def tinted(colour: Colour, shade: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """One colour under a field of brightness, (h, w): (3, h, w) float32."""
    picture: npt.NDArray[np.float32] = colour[:, None, None] * shade.astype(np.float32)
    return picture


def pick_against(rng: np.random.Generator, ground: Colour, contrast: float) -> Colour:
    """A cloth colour at least `contrast` away from `ground` (distance in RGB, up to 1.7)."""
    distance = np.linalg.norm(CLOTH - ground, axis=1)
    far = CLOTH[distance >= min(contrast, float(distance.max()))]
    return pick(rng, far)
