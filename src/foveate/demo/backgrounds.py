"""What is behind a garment: a studio, a wall, a room, a street out of focus, boards."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from foveate.demo.palette import CLOTH, WALL, WOOD, Colour, pick, tinted
from foveate.demo.textures import noise

Picture: TypeAlias = npt.NDArray[np.float32]
"""(3, h, w) float32, RGB about [0, 1]; channel by channel, which numpy works through fastest."""


def studio(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Paper, brighter in the middle."""
    width, height = size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] - rng.uniform(-0.4, 0.4)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - rng.uniform(-0.4, 0.4)
    paper = WALL[0] if rng.random() < 0.4 else pick(rng, WALL[:8])
    return tinted(paper, 1.02 - rng.uniform(0, 0.12) * (x * x + y * y))


def plaster(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A painted wall."""
    return tinted(pick(rng, WALL), 1 + 0.03 * noise(rng, size[1], size[0], 5))


def bricks(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A brick wall."""
    width, height = size
    colour = pick(rng, WALL)
    image = Image.new("RGB", size, _ink(colour * np.float32(0.8)))
    draw = ImageDraw.Draw(image)
    long, high = int(rng.integers(40, 70)), int(rng.integers(14, 24))
    for row, top in enumerate(range(0, height, high)):
        for left in range(-(row % 2) * long // 2, width, long):
            brick = (left, top, left + long - 3, top + high - 3)
            draw.rectangle(brick, fill=_ink(colour * np.float32(rng.uniform(0.88, 1.05))))
    return _picture(image)


def boards(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A wooden floor or table from above."""
    lying = rng.random() < 0.3
    long, across = size if lying else size[::-1]
    plank = int(rng.integers(45, 110))
    place = np.arange(across) + int(rng.integers(plank))
    tint = rng.normal(1, 0.06, across // plank + 2)[place // plank]
    gap = np.where(place % plank < 2, 0.6, 1)
    grain = Image.fromarray(rng.normal(0, 0.05, (long // 40, across // 2)).astype(np.float32))
    shade = tint * gap * (1 + np.asarray(grain.resize((across, long), Image.Resampling.BICUBIC)))
    return tinted(pick(rng, WOOD), shade.T if lying else shade)


def street(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Out of doors, far out of focus."""
    # So blurred that a quarter of the pixels each way is enough.
    width, height = size[0] // 4, size[1] // 4
    image = Image.new("RGB", (width, height), _ink(pick(rng, WALL)))
    draw = ImageDraw.Draw(image, "RGBA")
    horizon = height * rng.uniform(0.5, 0.85)
    draw.rectangle((0, horizon, width, height), fill=_ink(pick(rng, WALL[4:])))
    for _ in range(rng.integers(3, 8)):
        left, wide = rng.uniform(-15, width), rng.uniform(5, 35)
        colour = pick(rng, CLOTH if rng.random() < 0.3 else WALL)
        draw.rectangle((left, rng.uniform(-12, horizon), left + wide, horizon + 2), _ink(colour))
    for _ in range(rng.integers(5, 30)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, 6.5)
        light = _ink(pick(rng, CLOTH) + np.float32(0.25))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*light, 120))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.8)))
    return _picture(image.resize(size, Image.Resampling.BICUBIC))


def room(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A wall and a floor, shelves or a door, a picture."""
    width, height = size
    image = Image.new("RGB", size, _ink(pick(rng, WALL)))
    draw = ImageDraw.Draw(image)
    floor = height * rng.uniform(0.7, 0.95)
    draw.rectangle((0, floor, width, height), fill=_ink(pick(rng, WOOD)))
    draw.rectangle((0, floor - 9, width, floor), fill=_ink(pick(rng, WALL[:5])))
    left, wide = rng.uniform(-60, width), rng.uniform(70, 140)
    furniture = pick(rng, WOOD if rng.random() < 0.6 else WALL)
    high = rng.uniform(0, height / 2)
    draw.rectangle((left, high, left + wide, floor), _ink(furniture))
    for shelf in np.arange(high, floor, rng.uniform(45, 120)):
        draw.rectangle((left, shelf, left + wide, shelf + 3), _ink(furniture * np.float32(0.7)))
    x, y, side = rng.uniform(0, width), rng.uniform(0, height / 3), rng.uniform(30, 80)
    frame = (x, y, x + side, y + side * 1.2)
    draw.rectangle(frame, _ink(pick(rng, CLOTH)), _ink(pick(rng, WOOD)), 4)
    return _picture(image.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 3))))


def _picture(image: Image.Image) -> Picture:
    return np.moveaxis(np.asarray(image), 2, 0).astype(np.float32, order="C") * np.float32(1 / 255)


def _ink(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (np.clip(colour, 0, 1) * 255).astype(int).tolist()
    return red, green, blue
