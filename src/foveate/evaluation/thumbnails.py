"""Small versions of images, to be shown inside a page without a file beside it."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from pathlib import Path

from foveate.files import is_url, read_bytes

MAX_SIDE = 160
"""Longer side of a thumbnail, px."""
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 100_000_000

# Formats whose decoders are safe on files from anywhere; EPS, for one, would start a program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")


def load_image_bytes(path: str) -> bytes:
    """The bytes of a local path or URL, unless they are too many for a thumbnail.

    Raises:
        OSError: it cannot be read.
        ValueError: a local file is larger than 256 MiB.
    """
    if not is_url(path) and Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES} bytes")
    return read_bytes(path)


def thumbnail(path: str, load_bytes: Callable[[str], bytes]) -> str | None:
    """An image as the `data:` URL of a small JPEG.

    Returns:
        None where the image cannot be loaded or decoded, for whatever reason: a page about
        10,000 images must not fail because one of them has gone.
    """
    try:
        data = load_bytes(path)
        return None if len(data) > MAX_BYTES else _encode(data)
    except Exception:  # decoders and loaders of third parties raise anything
        return None


def _encode(data: bytes) -> str | None:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        # Size has its own limit below; other warnings are about metadata nobody sees here.
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return None
            opened.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):
                image = image.point(lambda value: value / 256).convert("L")
            if image.has_transparency_data:
                image = image.convert("RGBA")
                paper = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(paper, image)
            image = image.convert("RGB")
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
