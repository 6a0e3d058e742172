"""Painting: where shapes land, how edges, light and folds look."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.demo.canvas import Canvas, Creases, View
from foveate.demo.shapes import Shape, box, cloth, ellipse, heading, limb, point
from foveate.demo.textures import TILE, Texture

RED = np.array([1, 0, 0], np.float32)
SIZE = (90, 120)


def still(size: tuple[int, int] = SIZE) -> Creases:
    """No folds at all."""
    flat = np.zeros(size[::-1], np.float32)
    return Creases(flat, flat, flat)


def white() -> Canvas:
    return Canvas(np.ones((3, *SIZE[::-1]), np.float32), (1.0, 0.0))


def straight(scale: float = 20.0) -> View:
    return View.of(focus=(0, 0), at=(45, 60), scale=scale)


def test_view_goes_there_and_back() -> None:
    view = View.of(focus=(0.2, 1), at=(40, 50), scale=30, roll=0.2, yaw=0.5, pitch=-0.2)
    corners = box(-1, 0, 1, 2)
    for corner, (x, y) in zip(corners, view.pixels(corners), strict=True):
        back = view.figure(np.full((1, 1), x, np.float32), np.full((1, 1), y, np.float32))
        assert np.ravel(back) == pytest.approx(corner, abs=1e-3)
    assert view.pixels(np.array([[0.2, 1.0]]))[0] == pytest.approx((40, 50))


def test_yaw_narrows_the_figure_and_its_far_side() -> None:
    view = View.of(focus=(0, 0), at=(0, 0), scale=1, yaw=0.6)
    left, right = view.pixels(np.array([[-1.0, 0], [1.0, 0]]))[:, 0]
    assert -1 < left < 0 < right < 1
    assert abs(right) < abs(left)


def test_a_flat_shape_covers_its_pixels_and_nothing_else() -> None:
    canvas = white()
    shape = Shape(box(-1, -1, 1, 1), "red", roundness=0)
    canvas.paint(straight(), shape, RED, still())
    inside = canvas.rgb[:, 45:75, 30:60]
    assert np.array_equal(inside, np.broadcast_to(RED[:, None, None], inside.shape))
    assert (canvas.rgb[:, :38] == 1).all()
    assert (canvas.rgb[:, :, :23] == 1).all()


def test_a_shape_outside_the_picture_leaves_it_alone() -> None:
    canvas = white()
    shape = Shape(box(9, 9, 10, 10), "red")
    canvas.paint(straight(), shape, RED, still())
    assert (canvas.rgb == 1).all()


def test_round_shapes_are_brighter_towards_the_light() -> None:
    canvas = white()
    grey = np.full(3, 0.5, np.float32)
    canvas.paint(straight(), Shape(ellipse(0, 0, 1.5, 1.5), "skin"), grey, still())
    row = canvas.rgb[0, 60]
    assert row[22:28].mean() > row[62:68].mean()


def test_cloth_shows_its_texture_along_its_grain() -> None:
    stripes = np.zeros((2 * TILE, 2 * TILE, 4), np.uint8)
    stripes[np.arange(2 * TILE) // 8 % 2 == 0] = 255
    texture = Texture(stripes.view(np.uint32)[..., 0], 0.0)
    for grain, axis in ((0.0, 1), (np.pi / 2, 0)):
        canvas = white()
        canvas.paint(straight(), cloth(box(-1, -1, 1, 1), grain=grain), texture, still())
        middle = canvas.rgb[0, 50:70, 35:55]
        assert middle.mean(axis).std() > 5 * middle.mean(1 - axis).std()


def test_shadow_falls_away_from_the_light() -> None:
    canvas = white()
    canvas.shadow(straight(), [Shape(ellipse(0, 0, 1, 1), "red")])
    left, right = canvas.rgb[0, 60, :45].sum(), canvas.rgb[0, 60, 45:].sum()
    assert right < left
    assert canvas.rgb.min() > 0.5


def test_creases_are_as_deep_as_asked() -> None:
    def creases(depth: float) -> Creases:
        rng = np.random.default_rng(0)
        return Creases.of(rng, SIZE, count=12, depth=depth, width=9, light=(1, 0))

    shallow, deep = creases(0.1), creases(0.8)
    assert shallow.dx.shape == SIZE[::-1]
    assert np.abs(deep.dx).max() == pytest.approx(8 * np.abs(shallow.dx).max(), rel=1e-3)
    assert deep.light.std() > shallow.light.std() > 0


def test_limbs_end_where_they_are_told() -> None:
    round_end = limb(point(0, 0), point(0, 3), 0.5, 0.2)
    cut_end = limb(point(0, 0), point(0, 3), 0.5, 0.2, cut=True)
    assert round_end[:, 1].max() == pytest.approx(3.2)
    assert cut_end[:, 1].max() == pytest.approx(3.0)
    assert round_end[:, 1].min() == pytest.approx(-0.5)
    assert heading(point(0, 0), point(0, 3)) == 0
    assert heading(point(0, 0), point(-1, 0)) == pytest.approx(np.pi / 2)
