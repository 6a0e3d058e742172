"""Every image shows what its label says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from foveate.demo import scene
from foveate.demo.backgrounds import Picture
from foveate.demo.textures import TILE, Texture

MARKED = np.frombuffer(bytes([255, 0, 255, 255]), np.uint32)[0]


def marked(rng: np.random.Generator, pitch: float) -> Texture:
    """Magenta cloth, of which nothing else is made."""
    return Texture(np.full((2 * TILE, 2 * TILE), MARKED), 0.0)


def developed(rng: np.random.Generator, picture: Picture) -> Image.Image:
    """The scene as it was painted, without the camera."""
    return Image.fromarray(np.moveaxis(picture.clip(0, 1) * 255, 0, 2).astype(np.uint8))


@pytest.mark.slow
def test_the_cloth_is_seen_in_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scene.TEXTURES, "dotted", marked)
    monkeypatch.setattr(scene, "photographed", developed)
    for number in range(80):
        pixels = np.asarray(scene.draw_image("dotted", np.random.default_rng([7, number])))
        red, green, blue = np.moveaxis(pixels.astype(int), 2, 0)
        share = np.mean((green < 20) & (np.abs(red - blue) < 20) & (red > 30))
        assert share > 0.008, f"number {number}: {share:.1%}"


def test_shots_are_all_of_the_images() -> None:
    assert sum(shot.share for shot in scene.SHOTS.values()) == pytest.approx(1)
