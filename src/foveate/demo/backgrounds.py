"""What is behind a garment: a studio, a wall, a room, a street out of focus, boards, a shop."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from foveate.demo.palette import CLOTH, WALL, WOOD, Colour, pick
from foveate.demo.textures import noise

Picture: TypeAlias = npt.NDArray[np.float32]
"""(h, w, 3) float32, RGB about [0, 1]."""


def studio(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Paper, brighter in the middle."""
    width, height = size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] - np.float32(rng.uniform(-0.4, 0.4))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.4, 0.4))
    fall = 1.02 - np.float32(rng.uniform(0, 0.12)) * (x * x + y * y)
    paper = WALL[0] if rng.random() < 0.4 else pick(rng, WALL[:8])
    return paper * fall[..., None]


def wall(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Plaster, or bricks."""
    width, height = size
    colour = pick(rng, WALL)
    if rng.random() < 0.7:
        return colour * (1 + 0.03 * noise(rng, height, width, 5))[..., None]
    image = Image.new("RGB", size, _ink(colour * 0.8))
    draw = ImageDraw.Draw(image)
    long, high = rng.integers(40, 70), rng.integers(14, 24)
    for row, top in enumerate(range(0, height, high)):
        for left in range(-(row % 2) * long // 2, width, long):
            brick = (left, top, left + long - 3, top + high - 3)
            draw.rectangle(brick, fill=_ink(colour * rng.uniform(0.88, 1.05)))
    return _softened(image, 0.8)


def boards(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A wooden floor or table from above."""
    width, height = size
    wood = pick(rng, WOOD)
    plank = int(rng.integers(45, 110))
    place = np.arange(width) + int(rng.integers(plank))
    tint = rng.normal(1, 0.06, width // plank + 2)[place // plank]
    grain = noise(rng, max(2, height // 40), width, width / 3)
    grain = np.asarray(Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC))
    shade = tint * np.where(place % plank < 2, 0.6, 1) * (1 + 0.06 * grain)
    picture: Picture = wood * shade.astype(np.float32)[..., None]
    return picture if rng.random() < 0.7 else np.ascontiguousarray(_turned(picture, size))


def street(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Out of doors, far out of focus."""
    width, height = size
    image = Image.new("RGB", size, _ink(pick(rng, WALL)))
    draw = ImageDraw.Draw(image, "RGBA")
    horizon = height * rng.uniform(0.5, 0.85)
    draw.rectangle((0, horizon, width, height), fill=_ink(pick(rng, WALL[4:])))
    for _ in range(rng.integers(3, 8)):
        left, wide = rng.uniform(-60, width), rng.uniform(20, 140)
        colour = pick(rng, CLOTH if rng.random() < 0.3 else WALL)
        draw.rectangle((left, rng.uniform(-50, horizon), left + wide, horizon + 10), _ink(colour))
    for _ in range(rng.integers(5, 30)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(4, 26)
        light = np.clip(pick(rng, CLOTH) + 0.25, 0, 1)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*_ink(light), 120))
    return _softened(image, rng.uniform(2, 7))


def room(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A wall, a floor, a door or a shelf, a picture."""
    width, height = size
    image = Image.new("RGB", size, _ink(pick(rng, WALL)))
    draw = ImageDraw.Draw(image)
    floor = height * rng.uniform(0.7, 0.95)
    draw.rectangle((0, floor, width, height), fill=_ink(pick(rng, WOOD)))
    draw.rectangle((0, floor - 9, width, floor), fill=_ink(pick(rng, WALL[:5])))
    left, wide = rng.uniform(-60, width), rng.uniform(70, 140)
    furniture = pick(rng, WOOD if rng.random() < 0.6 else WALL)
    draw.rectangle((left, rng.uniform(0, height / 2), left + wide, floor), _ink(furniture))
    for shelf in np.arange(0.2, 1, rng.uniform(0.12, 0.3)) * floor:
        draw.rectangle((left, shelf, left + wide, shelf + 3), _ink(furniture * 0.7))
    x, y, side = rng.uniform(0, width), rng.uniform(0, height / 3), rng.uniform(30, 80)
    draw.rectangle(
        (x, y, x + side, y + side * 1.2), _ink(pick(rng, CLOTH)), _ink(pick(rng, WOOD)), 4
    )
    return _softened(image, rng.uniform(0.7, 3.5))


def _turned(picture: Picture, size: tuple[int, int]) -> Picture:
    """The picture with its planks lying: a quarter turn, cut and stretched back to its size."""
    columns = np.linspace(0, picture.shape[0] - 1, size[0]).astype(np.intp)
    rows = np.linspace(0, picture.shape[1] - 1, size[1]).astype(np.intp)
    return picture[columns][:, rows].transpose(1, 0, 2)


def _softened(image: Image.Image, radius: float) -> Picture:
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def _ink(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (np.clip(colour, 0, 1) * 255).astype(int).tolist()
    return red, green, blue
