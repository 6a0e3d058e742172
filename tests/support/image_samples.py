"""Images made by code, and the bytes of them in every format."""

from __future__ import annotations

import struct
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@lru_cache(maxsize=16)
def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with soft edges and a little texture, as a photo has."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    channels = []
    for _ in range(3):
        plane = np.zeros_like(x)
        for _ in range(6):
            fx, fy, phase = rng.uniform(-9, 9), rng.uniform(-9, 9), rng.uniform(0, 6.3)
            plane += rng.uniform(0.3, 1) * np.sin(fx * x + fy * y + phase)
        cx, cy, radius = rng.uniform(0.2, 0.8, 3)
        plane += 1.5 / (1 + np.exp(40 * (np.hypot(x - cx, y - cy) - radius / 3)))
        channels.append(plane + rng.normal(0, 0.02, x.shape))
    levels = np.stack(channels, axis=-1)
    low, high = levels.min(), levels.max()
    return Image.fromarray(np.rint((levels - low) / (high - low) * 255).astype(np.uint8))


def encode(image: Image.Image, name: str, then: Image.Image | None = None, **options: Any) -> bytes:
    """The bytes of `image` in Pillow's format `name`, with `then` as second frame."""
    file = BytesIO()
    if then is not None:
        options |= {"save_all": True, "append_images": [then.copy()]}
    image.copy().save(file, name, **options)  # a copy, as Pillow leaves encoder settings behind
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    """EXIF data that holds an orientation and nothing else."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def tiff(levels: NDArray[Any], photometric: int, bits: int | None = None, **tags: int) -> bytes:
    """An uncompressed little-endian TIFF of an array (height, width[, samples]), TIFF 6.0."""
    height, width, samples = levels.shape if levels.ndim == 3 else (*levels.shape, 1)
    bits = levels.dtype.itemsize * 8 if bits is None else bits
    entries = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * samples),
        259: (3, [1]),
        262: (3, [photometric]),
        273: (4, [0]),
        277: (3, [samples]),
        278: (4, [height]),
        279: (4, [levels.nbytes]),
    }
    if "extra" in tags:
        entries[338] = (3, [tags["extra"]])
    if "sample_format" in tags:
        entries[339] = (3, [tags["sample_format"]] * samples)
    values = 8 + 2 + 12 * len(entries) + 4
    packed = {tag: struct.pack(f"<{len(v)}{'HI'[k == 4]}", *v) for tag, (k, v) in entries.items()}
    pixels = values + sum(len(p) for p in packed.values() if len(p) > 4)
    packed[273] = struct.pack("<I", pixels)
    head, tail = struct.pack("<2sHIH", b"II", 42, 8, len(entries)), b""
    for tag in sorted(entries):
        kind, content = entries[tag]
        value = packed[tag]
        if len(value) > 4:
            value, tail = struct.pack("<I", values + len(tail)), tail + value
        head += struct.pack("<HHI4s", tag, kind, len(content), value)
    return head + struct.pack("<I", 0) + tail + levels.tobytes()


@lru_cache(maxsize=1)
def every_format() -> dict[str, bytes]:
    """One small image of each format and of their notable varieties."""
    image, other = photo(60, 44), photo(60, 44, seed=1)
    grey, few = image.convert("L"), image.quantize(128)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    rgba = image.copy()
    rgba.putalpha(grey)
    return {
        "jpeg": encode(image, "JPEG"),
        "jpeg-grey": encode(grey, "JPEG"),
        "jpeg-cmyk": encode(image.convert("CMYK"), "JPEG"),
        "jpeg-progressive": encode(image, "JPEG", progressive=True),
        "jpeg-444": encode(image, "JPEG", subsampling=0, quality=95),
        "jpeg-restarts": encode(image, "JPEG", restart_marker_blocks=1),
        "mpo": encode(image, "MPO", then=other),
        "png": encode(image, "PNG"),
        "png-1bit": encode(grey.convert("1"), "PNG"),
        "png-grey": encode(grey, "PNG"),
        "png-16bit": encode(deep, "PNG"),
        "png-palette": encode(few, "PNG"),
        "png-palette-alpha": encode(few, "PNG", transparency=bytes(range(0, 256, 2))),
        "png-alpha": encode(rgba, "PNG"),
        "png-grey-alpha": encode(rgba.convert("LA"), "PNG"),
        "png-animated": encode(image, "PNG", then=other),
        "gif": encode(few, "GIF"),
        "gif-animated": encode(few, "GIF", then=other.quantize(128)),
        "webp": encode(image, "WEBP"),
        "webp-lossless": encode(rgba, "WEBP", lossless=True),
        "webp-animated": encode(image, "WEBP", then=other),
        "bmp": encode(image, "BMP"),
        "bmp-palette": encode(few, "BMP"),
        "bmp-1bit": encode(grey.convert("1"), "BMP"),
        "tiff": encode(image, "TIFF"),
        "tiff-16bit": encode(deep, "TIFF"),
        "tiff-float": encode(Image.fromarray(np.asarray(grey) / np.float32(255)), "TIFF"),
        "tiff-lzw": encode(image, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(image, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(image, "TIFF", compression="jpeg"),
        "tiff-cmyk": encode(image.convert("CMYK"), "TIFF"),
        "tiff-lab": tiff(np.full((9, 9, 3), (128, 0, 0), np.uint8), photometric=8),
        "tiff-pages": encode(image, "TIFF", then=other),
        "ppm": encode(image, "PPM"),
        "pgm": encode(grey, "PPM"),
        "pgm-16bit": encode(Image.fromarray(np.asarray(deep).astype(np.int32)), "PPM"),
        "pbm": encode(grey.convert("1"), "PPM"),
        "pfm": encode(Image.fromarray(np.asarray(grey) / np.float32(255)), "PPM"),
        "jp2": encode(image, "JPEG2000"),
        "j2k": encode(image, "JPEG2000", no_jp2=True),
        "avif": encode(image, "AVIF"),
        "qoi": encode(image, "QOI"),
    }
