"""What light, lens and sensor make of a scene."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from foveate.demo.backgrounds import Picture
from foveate.demo.textures import noise


def photographed(rng: np.random.Generator, picture: Picture) -> Image.Image:
    """A photograph of a scene: one in four in poor light, as many out of focus."""
    _, height, width = picture.shape
    dim, blurred = rng.random() < 0.25, rng.random() < 0.25
    exposure = rng.uniform(0.4, 0.7) if dim else rng.uniform(0.85, 1.12)
    warmth = rng.normal(0, 0.08 if dim else 0.035)
    contrast = rng.uniform(0.8, 1.12)
    grain = rng.uniform(0.015, 0.045) if dim else rng.uniform(0.002, 0.012)

    lamp = 1 + rng.uniform(0.03, 0.18) * noise(rng, height, width, 2)
    lamp *= 255 * exposure * contrast
    sensor = rng.standard_normal((height, width), np.float32) * np.float32(255 * grain)
    # Contrast turns about a middle grey; the sensor's noise is the same in all channels.
    sensor += 255 * 0.45 * (1 - contrast)
    seen = np.empty((height, width, 3), np.uint8)
    for index, (channel, tint) in enumerate(
        zip(picture, (1 + warmth, 1.0, 1 - warmth), strict=True)
    ):
        seen[..., index] = np.clip(channel * (lamp * tint) + (0 if blurred else sensor), 0, 255)
    image = Image.fromarray(seen)
    if not blurred:
        return image
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 2.2)))
    return Image.fromarray(np.clip(np.asarray(image) + sensor[..., None], 0, 255).astype(np.uint8))
