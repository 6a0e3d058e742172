"""The three textures, as cloth that repeats.

Every texture is a small square tile, drawn at the size at which it will be seen, so that
sampling it needs no further smoothing. Dots and leopard spots come from the same construction:
points scattered on a jittered lattice, and for each pixel the nearest of them (Worley, "A
cellular texture basis function", SIGGRAPH 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveate.demo.palette import CLOTH, LEOPARD, Colour, pick, pick_against

Field: TypeAlias = npt.NDArray[np.float32]
"""(h, w) float32, one value per pixel."""

TILE = 256
"""Side of a tile in pixels; a power of two, so that wrapping round is a bit mask."""

FINE = 2
"""Cloth is stored this many times finer, so that looking up the nearest point is smooth enough."""


@dataclass(frozen=True, slots=True)
class Texture:
    """A cloth that repeats for ever in both directions.

    Attributes:
        tile: (TILE × FINE)² uint32, each the bytes R, G, B and one unused.
        angle: how far the cloth is turned against the grain of the garment, in radians.
    """

    tile: npt.NDArray[np.uint32]
    angle: float

    def at(self, u: Field, v: Field) -> npt.NDArray[np.uint8]:
        """Colours at cloth coordinates in pixels: (3, h, w) uint8."""
        cos, sin = np.float32(FINE * math.cos(self.angle)), np.float32(FINE * math.sin(self.angle))
        side = TILE * FINE
        # Whole numbers are cut off towards zero: many tiles up and to the left, zero is far away.
        far = np.float32(64 * side)
        column = (u * cos + v * sin + far).astype(np.int32) & (side - 1)
        row = (v * cos - u * sin + far).astype(np.int32) & (side - 1)
        packed = self.tile.reshape(-1).take(row * side + column)
        return np.moveaxis(packed.view(np.uint8).reshape(*u.shape, 4), 2, 0)[:3]


@dataclass(frozen=True, slots=True)
class Cells:
    """For each pixel of a tile, the nearest of its scattered points.

    Attributes:
        dx: pixels from that point to the right, (TILE, TILE) float32.
        dy: pixels downwards.
        distance: from that point, in pixels of the stretched plane in which it is nearest.
        index: which point, in [0, count).
        count: how many points there are.
        spacing: pixels between neighbours along the closer-set direction.
    """

    dx: Field
    dy: Field
    distance: Field
    index: npt.NDArray[np.intp]
    count: int
    spacing: float


def dotted(rng: np.random.Generator, pitch: float) -> Texture:
    """Polka dots, confetti, rings, rows of dots, short dashes, blots.

    `pitch` is the distance from dot to dot in pixels.
    """
    style = rng.choice(
        ["polka", "scattered", "confetti", "rows", "dashes", "rings", "blots"],
        p=[0.42, 0.16, 0.14, 0.08, 0.06, 0.06, 0.08],
    )
    jitter = {"scattered": 0.6, "confetti": 0.7, "blots": 0.6}.get(style, rng.uniform(0, 0.1))
    stretch = {"rows": rng.uniform(1.6, 2.4), "dashes": rng.uniform(0.5, 0.65)}.get(style, 1.0)
    cells = _scatter(rng, pitch, stretch, float(jitter), staggered=bool(rng.random() < 0.6))
    radius = np.full(cells.count, cells.spacing * rng.uniform(0.16, 0.36), np.float32)
    if style in ("confetti", "blots"):
        radius *= rng.uniform(0.45, 1.2, cells.count).astype(np.float32)
    distance = cells.distance
    if style == "dashes":
        distance = np.hypot(cells.dx / rng.uniform(2.0, 3.0), cells.dy)
        radius *= 0.5
    if style == "blots":
        distance = distance * (1 + 0.35 * periodic_noise(rng, 2 * TILE / pitch))
    reach = np.maximum(radius, 1.1)[cells.index]
    inked = _inside(reach - distance)
    if style == "rings":
        inked -= _inside(reach * rng.uniform(0.45, 0.65) - distance)

    ground = pick(rng, CLOTH)
    contrast = rng.choice([0.25, 0.5, 0.8], p=[0.2, 0.4, 0.4])
    inks = np.stack([pick_against(rng, ground, contrast) for _ in range(_few(rng))])
    ink = inks.T[:, rng.integers(len(inks), size=cells.count)][:, cells.index]
    return _woven(rng, _dyed(ground, inked, ink), _turn(rng, 0.15))


def leopard(rng: np.random.Generator, pitch: float) -> Texture:
    """Rosettes, cheetah spots, streaks, and the same woven tone on tone.

    `pitch` is the distance from spot to spot in pixels.
    """
    style = rng.choice(["rosettes", "spots", "streaks"], p=[0.66, 0.22, 0.12])
    stretch = rng.uniform(1.5, 2.3) if style == "streaks" else rng.uniform(0.85, 1.3)
    cells = _scatter(rng, pitch, stretch, 0.75, staggered=True)
    per_cell = rng.uniform(0, 1, (6, cells.count)).astype(np.float32)
    size, small, phase2, phase3, phase1, open_to = (row[cells.index] for row in per_cell)

    angle = np.arctan2(cells.dy, cells.dx)
    turn = np.float32(2 * math.pi)
    lobes = 0.16 * np.cos(2 * angle + turn * phase2) + 0.12 * np.cos(3 * angle + turn * phase3)
    uneven = 1 + lobes + 0.2 * periodic_noise(rng, 2.5 * TILE / pitch)
    reach = cells.spacing * (0.4 + 0.13 * size) * uneven
    solid = small < (0.9 if style == "spots" else 0.28)
    reach = np.where(solid, reach * (0.72 if style == "spots" else 0.55), reach)
    gaps = np.cos(angle + turn * open_to) + 0.8 * np.cos(3 * angle + turn * phase1)
    rim = reach * rng.uniform(0.36, 0.52) * np.clip(0.9 + 0.55 * gaps, -0.2, 1.3)
    heart = np.where(solid, 0, _inside(reach - cells.distance))
    ring = np.minimum(_inside(reach - cells.distance), _inside(cells.distance - reach + rim))
    spot = np.where(solid, _inside(reach - cells.distance), ring * _inside(3 * rim))

    ground, middle, ink = _coat(rng)
    shade = 1 + 0.1 * periodic_noise(rng, 3)
    cloth = _dyed(ground[:, None, None] * shade, heart, middle)
    return _woven(rng, _dyed(cloth, spot, ink), _turn(rng, 0.4))


def striped(rng: np.random.Generator, pitch: float) -> Texture:
    """Even, Breton, coloured, pin, wobbly and dashed stripes; across, upright, slanted.

    `pitch` is the distance from stripe to stripe in pixels.
    """
    style = rng.choice(
        ["even", "breton", "coloured", "pin", "wobbly", "dashed"],
        p=[0.3, 0.18, 0.2, 0.12, 0.11, 0.09],
    )
    share = {"even": rng.uniform(0.35, 0.65), "breton": rng.uniform(0.15, 0.35)}.get(style, 0.5)
    if style == "pin":
        share = rng.uniform(0.08, 0.16)
    if style == "dashed":
        share = rng.uniform(0.2, 0.35)
    number = int(rng.integers(2, 5)) if style == "coloured" else 1
    # The colours take turns, also from one tile to the next.
    periods = number * max(1, round(TILE / pitch / number))
    x = np.arange(TILE, dtype=np.float32)[None, :]
    y = np.arange(TILE, dtype=np.float32)[:, None]
    if style == "wobbly":
        y = y + 0.15 * pitch * periodic_noise(rng, 1.2 * TILE / pitch)
    phase = (y * (periods / TILE)) % 1
    width = max(share, 1.3 * periods / TILE)
    inked = _inside((width / 2 - np.abs(phase - 0.5)) * TILE / periods)
    if style == "dashed":
        dashes = max(1, round(TILE / (pitch * rng.uniform(0.7, 1.3))))
        inked = inked * _inside((0.36 - np.abs((x * dashes / TILE) % 1 - 0.5)) * TILE / dashes)

    ground = pick(rng, CLOTH)
    contrast = rng.choice([0.25, 0.5, 0.8], p=[0.2, 0.4, 0.4])
    inks = np.stack([pick_against(rng, ground, contrast) for _ in range(number)])
    turn = (y * (periods / TILE)).astype(np.intp) % number
    lying = np.broadcast_to(_dyed(ground, inked, inks.T[:, turn]), (3, TILE, TILE))
    across = rng.choice([0.0, math.pi / 2, rng.uniform(0.4, 1.2)], p=[0.64, 0.24, 0.12])
    return _woven(rng, lying, across + rng.normal(0, 0.03))


TEXTURES: dict[str, Callable[[np.random.Generator, float], Texture]] = {
    "dotted": dotted,
    "leopard": leopard,
    "striped": striped,
}
"""Label → the function that draws such a cloth."""


def noise(rng: np.random.Generator, height: int, width: int, cells: float) -> Field:
    """Smooth noise, about ±1, with `cells` bumps across the width."""
    columns = max(2, round(cells))
    rows = max(2, round(cells * height / width))
    return _enlarged(rng.normal(0, 1, (rows, columns)), height, width)


def periodic_noise(rng: np.random.Generator, cells: float) -> Field:
    """Smooth noise, about ±1, that continues from one side of a tile to the other."""
    side = int(np.clip(round(cells), 1, TILE // 2))
    margin = 3
    grid = np.pad(rng.normal(0, 1, (side, side)), margin, mode="wrap")
    box = (margin, margin, margin + side, margin + side)
    return _enlarged(grid, TILE, TILE, box)


def _enlarged(
    grid: npt.NDArray[np.float64],
    height: int,
    width: int,
    box: tuple[float, float, float, float] | None = None,
) -> Field:
    image = Image.fromarray(grid.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def _scatter(
    rng: np.random.Generator, pitch: float, stretch: float, jitter: float, *, staggered: bool
) -> Cells:
    """Points on a lattice, `stretch` times as far apart downwards, each moved by up to `jitter`."""
    columns = max(2, round(TILE / pitch))
    # Staggered rows only close up across the tile's edge when there is an even number of them.
    rows = (
        max(2, 2 * round(TILE / pitch / stretch / 2))
        if staggered
        else max(2, round(TILE / pitch / stretch))
    )
    across, down = TILE / columns, TILE / rows
    moved = rng.uniform(-jitter / 2, jitter / 2, (2, rows, columns)).astype(np.float32) + 0.5
    if staggered:
        moved[0, 1::2] += 0.5
    inset_x, inset_y = (moved[0] * across).reshape(-1), (moved[1] * down).reshape(-1)

    pixel = np.arange(TILE, dtype=np.float32) + 0.5
    row = (pixel / down).astype(np.intp)[:, None]
    column = (pixel / across).astype(np.intp)[None, :]
    flatten = np.float32(across / down if stretch != 1 else 1)
    best = np.full((TILE, TILE), np.inf, np.float32)
    best_index = np.zeros((TILE, TILE), np.intp)
    for row_step in (-1, 0, 1):
        for column_step in (-1, 0, 1):
            index = (row + row_step) % rows * columns + (column + column_step) % columns
            dx = (pixel - (column + column_step) * across).astype(np.float32) - inset_x[index]
            dy = (pixel[:, None] - (row + row_step) * down).astype(np.float32) - inset_y[index]
            dy *= flatten
            distance = dx * dx + dy * dy
            closer = distance < best
            np.copyto(best, distance, where=closer)
            np.copyto(best_index, index, where=closer)
    number = np.arange(rows * columns)
    dx = pixel - (inset_x + (number % columns * across).astype(np.float32))[best_index]
    dy = pixel[:, None] - (inset_y + (number // columns * down).astype(np.float32))[best_index]
    spacing = min(across, down) if stretch <= 1 else across
    return Cells(_short(dx), _short(dy), np.sqrt(best), best_index, rows * columns, spacing)


def _short(offset: Field) -> Field:
    """An offset between two points of a tile, the short way round its edges."""
    short: Field = offset - TILE * np.rint(offset * np.float32(1 / TILE))
    return short


def _inside(pixels: npt.NDArray[np.floating]) -> Field:
    """Coverage of a pixel whose centre lies that many pixels inside an edge."""
    coverage: Field = np.clip(pixels + 0.5, 0, 1).astype(np.float32, copy=False)
    return coverage


def _few(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 2, 3, 4], p=[0.7, 0.12, 0.1, 0.08]))


def _turn(rng: np.random.Generator, slant: float) -> float:
    return float(rng.normal(0, slant) + rng.choice([0, math.pi / 4], p=[0.8, 0.2]))


def _coat(rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """Ground, heart and spot colours; now and then pale, as if woven tone on tone."""
    natural = rng.random() < 0.55
    ground, middle, ink = LEOPARD[rng.integers(3 if natural else len(LEOPARD))]
    keep = rng.uniform(0.35, 0.6) if rng.random() < 0.12 else rng.uniform(0.85, 1)
    lift = np.float32(rng.uniform(0.92, 1.06))
    return ground * lift, (ground + keep * (middle - ground)) * lift, ground + keep * (ink - ground)


def _woven(rng: np.random.Generator, cloth: npt.NDArray[np.float32], angle: float) -> Texture:
    """The cloth, (3, TILE, TILE) float32, with the grain of its threads."""
    strength = np.float32(rng.choice([0.01, 0.022, 0.04], p=[0.5, 0.35, 0.15]))
    grain = rng.standard_normal((TILE, TILE), np.float32)
    grain += rng.standard_normal((TILE, 1), np.float32)
    grain += rng.standard_normal((1, TILE), np.float32)
    tile = np.zeros((TILE, FINE, TILE, FINE, 4), np.uint8)
    woven = np.clip(cloth * (255 + 255 * strength * grain), 0, 255).astype(np.uint8)
    tile[:, 0, :, 0, :3] = np.moveaxis(woven, 0, 2)
    # Between two points of the cloth, their mean; past the last one comes the first again.
    tile[:, 0, :, 1] = _mean(tile[:, 0, :, 0], axis=1)
    tile[:, 1] = _mean(tile[:, 0], axis=0)
    return Texture(tile.reshape(TILE * FINE, -1).view(np.uint32), float(angle))


def _mean(values: npt.NDArray[np.uint8], axis: int) -> npt.NDArray[np.uint8]:
    following = np.roll(values, -1, axis)
    # Without the bit that carries: (a + b) / 2 in eight bits.
    return (values & following) + ((values ^ following) >> 1)


def _dyed(
    cloth: npt.NDArray[np.float32], coverage: Field, ink: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Lay an ink, (3,) or (3, h, w), over a cloth, (3,) or (3, h, w), where `coverage` says."""
    cloth, ink = (a.reshape(3, *(a.shape[1:] or (1, 1))) for a in (cloth, ink))
    dyed: npt.NDArray[np.float32] = cloth + coverage * (ink - cloth)
    return dyed
