"""Paint shaded, patterned, creased shapes into a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from foveate.demo.palette import Colour
from foveate.demo.shapes import Points, Shape
from foveate.demo.textures import Field, Texture

FINE = 2
"""Outlines are drawn this many times finer, then averaged, for smooth edges."""

COARSE = 4
"""Creases and relief vary slowly: they are computed this many times coarser."""


@dataclass(frozen=True, slots=True)
class View:
    """Where a figure stands in the picture: a projective map from its units to pixels.

    Attributes:
        matrix: (3, 3) float64, homogeneous figure coordinates to homogeneous pixels.
        scale: pixels per unit near the middle.
    """

    matrix: npt.NDArray[np.float64]
    scale: float

    @classmethod
    def of(
        cls,
        *,
        focus: tuple[float, float],
        at: tuple[float, float],
        scale: float,
        roll: float = 0.0,
        yaw: float = 0.0,
        pitch: float = 0.0,
    ) -> View:
        """A figure seen from about 2 m away.

        Args:
            focus: the point of the figure looked at.
            at: where it is in the picture, in pixels.
            scale: pixels per unit there.
            roll: turn in the picture, radians.
            yaw: turn about the vertical axis, radians; narrows the figure and its far side.
            pitch: the same about the horizontal axis.
        """
        to_focus = np.array([[1, 0, -focus[0]], [0, 1, -focus[1]], [0, 0, 1]])
        # Seen from 9 units away, a point turned backwards is that much farther.
        turned = np.array(
            [
                [math.cos(yaw), 0, 0],
                [0, math.cos(pitch), 0],
                [math.sin(yaw) / 9, math.sin(pitch) / 9, 1],
            ]
        )
        cos, sin = scale * math.cos(roll), scale * math.sin(roll)
        to_picture = np.array([[cos, -sin, at[0]], [sin, cos, at[1]], [0, 0, 1]])
        return cls(to_picture @ turned @ to_focus, scale)

    def pixels(self, points: Points) -> Points:
        """Figure coordinates to pixels, (n, 2)."""
        mapped = np.column_stack([points, np.ones(len(points))]) @ self.matrix.T
        return mapped[:, :2] / mapped[:, 2:]

    def figure(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Pixels to figure coordinates; `x` (1, w) and `y` (h, 1) give two (h, w) fields."""
        inverse = np.linalg.inv(self.matrix).astype(np.float32)
        across, down, depth = (row[0] * x + row[1] * y + row[2] for row in inverse)
        return across / depth, down / depth


@dataclass(frozen=True, slots=True)
class Creases:
    """How cloth is pushed aside and lit by its folds, for every pixel of the picture.

    Attributes:
        dx: pixels by which the cloth is shifted to the right, (h, w) float32.
        dy: the same downwards.
        light: brightness added by the folds' slopes, about ±0.3.
    """

    dx: Field
    dy: Field
    light: Field

    @classmethod
    def of(
        cls,
        rng: np.random.Generator,
        size: tuple[int, int],
        *,
        count: int,
        depth: float,
        width: float,
        light: tuple[float, float],
    ) -> Creases:
        """Random ridges, more of them upright than lying.

        Args:
            rng: where and how they lie.
            size: width and height of the picture in pixels.
            count: how many.
            depth: about how far a ridge shifts the cloth, as a share of its width.
            width: half the width of a typical ridge in pixels.
            light: direction in which the light travels across the picture, a unit vector.
        """
        columns, rows = size[0] // COARSE + 1, size[1] // COARSE + 1
        x = np.arange(columns, dtype=np.float32)[None, :] * COARSE
        y = np.arange(rows, dtype=np.float32)[:, None] * COARSE
        height = np.zeros((rows, columns), np.float32)
        for _ in range(count):
            angle = rng.normal(0, 0.6) if rng.random() < 0.65 else rng.uniform(0, math.pi)
            spread = width * rng.uniform(0.6, 1.8)
            length = spread * rng.uniform(2, 7)
            middle_x, middle_y = x - rng.uniform(0, size[0]), y - rng.uniform(0, size[1])
            across = middle_x * math.cos(angle) + middle_y * math.sin(angle)
            along = middle_y * math.cos(angle) - middle_x * math.sin(angle)
            across = across + rng.normal(0, 0.15) / length * along * along
            ridge = np.exp(-0.5 * ((across / spread) ** 2 + (along / length) ** 2))
            height += np.float32(rng.choice([-1, 1]) * spread * rng.uniform(0.5, 1)) * ridge
        down, right = np.gradient(height, COARSE)
        lit = -(right * light[0] + down * light[1])
        reach = depth * width
        fields = (reach * right, reach * down, min(1.0, 0.6 * depth) * lit)
        return cls(*(_resized(field, size) for field in fields))


@dataclass(slots=True)
class Canvas:
    """A picture in the making.

    Attributes:
        rgb: (3, h, w) float32, about [0, 1]; clipped only when the picture is finished.
        light: direction in which the light travels across the picture, a unit vector.
    """

    rgb: npt.NDArray[np.float32]
    light: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.shape[2], self.rgb.shape[1]

    def paint(self, view: View, shape: Shape, material: Colour | Texture, creases: Creases) -> None:
        """Paint one shape, modelled by the light and, if it is cloth, by its folds."""
        outline = view.pixels(shape.outline)
        soft = view.scale * shape.soft
        box = self._box(outline, margin=COARSE + round(soft))
        if box is None:
            return
        left, top, right, bottom = box
        region = (slice(top, bottom), slice(left, right))
        fine = _filled([outline], box, FINE)
        mask = _shares(fine.reduce(FINE))
        shade = np.ones_like(mask)
        if shape.roundness:
            shade += shape.roundness * self._relief(fine, soft, mask.shape)
        if shape.creased:
            shade += creases.light[region]
        colours: npt.NDArray[np.generic]
        if isinstance(material, Texture):
            shade *= np.float32(1 / 255)
            colours = material.at(*_cloth(view, shape, creases, box))
        else:
            colours = material
        for channel, colour in zip(self.rgb, colours, strict=True):
            under = channel[region]
            under += mask * (colour * shade - under)

    def shadow(self, view: View, shapes: list[Shape]) -> None:
        """Darken what lies behind a figure, close to it and away from the light."""
        outlines = [view.pixels(shape.outline) + 4 * np.array(self.light) for shape in shapes]
        soft = _filled(outlines, (0, 0, *self.size), 1 / COARSE)
        soft = soft.filter(ImageFilter.GaussianBlur(5 / COARSE))
        self.rgb *= 1 - 0.4 * _shares(soft.resize(self.size, Image.Resampling.BILINEAR))

    def _box(self, outline: Points, margin: int) -> tuple[int, int, int, int] | None:
        low = np.maximum(np.floor(outline.min(0)).astype(int) - margin, 0)
        high = np.minimum(np.ceil(outline.max(0)).astype(int) + margin, self.size)
        if (high - low <= COARSE).any():
            return None
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _relief(self, fine: Image.Image, radius: float, size: tuple[int, ...]) -> Field:
        """How a bulging shape is lit: bright towards the light, darker away and at its edges."""
        small = fine.reduce(FINE * COARSE).filter(ImageFilter.GaussianBlur(radius / COARSE))
        soft = _shares(small)
        down, right = np.gradient(soft)
        facing = (right * self.light[0] + down * self.light[1]) * (radius / COARSE)
        return _resized(1.1 * facing - 0.5 * (1 - soft), size[::-1])


def _cloth(
    view: View, shape: Shape, creases: Creases, box: tuple[int, int, int, int]
) -> tuple[Field, Field]:
    """Where on its cloth each pixel of a shape lies, in pixels."""
    left, top, right, bottom = box
    x, y = view.figure(
        np.arange(left, right, dtype=np.float32)[None, :],
        np.arange(top, bottom, dtype=np.float32)[:, None],
    )
    x, y = x - shape.origin[0], y - shape.origin[1]
    cos, sin = math.cos(shape.grain), math.sin(shape.grain)
    across, along = x * cos + y * sin, y * cos - x * sin
    # Cloth round a cylinder: an arc of it is longer than what is seen of it.
    girth = np.float32(shape.girth)
    across = girth * np.arcsin(np.clip(across / girth, -0.99, 0.99))
    scale = np.float32(view.scale)
    region = (slice(top, bottom), slice(left, right))
    return across * scale + creases.dx[region], along * scale + creases.dy[region]


def _filled(outlines: list[Points], box: tuple[int, int, int, int], finer: float) -> Image.Image:
    """A box in which everything inside the outlines is white, `finer` times as many pixels."""
    left, top, right, bottom = box
    image = Image.new("L", (math.ceil((right - left) * finer), math.ceil((bottom - top) * finer)))
    draw = ImageDraw.Draw(image)
    for outline in outlines:
        draw.polygon(((outline - (left, top)) * finer).ravel().tolist(), fill=255)
    return image


def _shares(image: Image.Image) -> Field:
    """A grey image as shares of white, (h, w) float32."""
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _resized(field: npt.NDArray[np.floating], size: tuple[int, ...]) -> Field:
    image = Image.fromarray(field.astype(np.float32))
    return np.asarray(image.resize((size[0], size[1]), Image.Resampling.BILINEAR))
