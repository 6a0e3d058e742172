"""Open an image from its bytes; decode it once, when pixels or the hash are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from foveate.errors import ImageRefused, Reason
from foveate.image.dhash import difference_hash
from foveate.image.formats import Format, check_comments, slow_bytes, sniff
from foveate.image.jpeg import Eighths, covering_scale, decode_scaled
from foveate.image.limits import DEFAULT_LIMITS, Limits
from foveate.image.memory import scaled_bytes, whole_bytes
from foveate.image.modes import to_rgb
from foveate.image.pillow import decode_pixels, open_header, refusals
from foveate.image.resize import Resize, resample, scaled_box
from foveate.image.structure import examine

DECODER = 1
"""Raised whenever decode or resize change what pixels come out."""

_HASH_RESOLUTION = 224
"""What the decode behind a hash covers, whatever resolution features use: a hash must not depend
on settings. At the default resolution both use the same decode."""

_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what turns the stored image upright (Exif 2.32, section 4.6.4 A)."""


def open_image(data: bytes, limits: Limits = DEFAULT_LIMITS) -> OpenedImage:
    """Open an image from its bytes, reading its header only.

    The format is told from the bytes. Of animations and multi-page files, the first frame is
    the image.

    Raises:
        ImageRefused: empty, too large, unsupported, truncated or unreadable.
    """
    limits.check_bytes(len(data))
    name = sniff(data)
    check_comments(name, data)
    limits.check_slow(slow_bytes(name, data))
    decoder_bytes = examine(name, data, limits)
    header = open_header(name, data)
    limits.check_size(*header.size)
    return OpenedImage(name, data, header, limits, decoder_bytes)


class OpenedImage:
    """An image whose header is read and within limits; made by `open_image`.

    Pixels are decoded on first use and kept, so `pixels` and `dhash` decode once between them.
    Any number of images may be opened and decoded in parallel.

    Attributes:
        format: `JPEG`, `PNG`, `WEBP`, …
        width: in pixels, after turning upright as EXIF says.
        height: in pixels, after turning upright as EXIF says.
    """

    __slots__ = (
        "_data",
        "_decoded",
        "_decoder_bytes",
        "_limits",
        "_scalable",
        "_stored",
        "_upright",
        "_whole_bytes",
        "format",
        "height",
        "width",
    )

    def __init__(
        self,
        name: Format,
        data: bytes,
        header: ImageFile.ImageFile,
        limits: Limits,
        decoder_bytes: int,
    ) -> None:
        orientation = _orientation(header)
        self.format: Format = name
        self.width, self.height = header.size if orientation < 5 else header.size[::-1]
        self._data = data
        self._limits = limits
        self._decoder_bytes = decoder_bytes
        self._whole_bytes = whole_bytes(name, header.mode, header.size, decoder_bytes)
        self._stored = header.size
        self._upright = _UPRIGHT.get(orientation)
        self._scalable = name == "JPEG" and header.mode in ("L", "RGB")
        self._decoded: tuple[Image.Image, float] | None = None

    def pixels(self, resize: Resize) -> NDArray[np.uint8]:
        """The image as an upright square.

        Returns:
            (resolution, resolution, 3) uint8, RGB, C-contiguous.

        Raises:
            ImageRefused: truncated or unreadable, seen only now that pixels are decoded; too
                large for the memory there is.
        """
        image, scale = self._decode(resize.resolution)
        box = scaled_box(resize.box(*self._stored), scale)
        square = resample(image, box, resize.resolution)
        if self._upright is not None:  # both rules are symmetric: turning may wait until now
            square = square.transpose(self._upright)
        # Pillow packs 4 bytes a pixel into 3 ten times faster than a strided copy in numpy.
        packed = np.frombuffer(square.tobytes("raw", "RGB"), np.uint8)
        return packed.reshape(resize.resolution, resize.resolution, 3).copy()  # writable

    def dhash(self) -> bytes:
        """The perceptual hash of the upright image: 32 bytes, see `dhash.difference_hash`.

        Raises:
            ImageRefused: as `pixels`.
        """
        image, scale = self._decode(_HASH_RESOLUTION)
        return difference_hash(image, scaled_box((0, 0, *self._stored), scale), self._upright)

    def _decode(self, resolution: int) -> tuple[Image.Image, float]:
        """Pixels (RGB or RGBX) that cover `resolution`, and their scale in (0, 1]."""
        eighths = covering_scale(*self._stored, resolution) if self._scalable else 8
        if self._decoded is None or self._decoded[1] != eighths / 8:
            self._decoded = self._decode_jpeg(eighths) if self._scalable else self._decode_whole()
        return self._decoded

    def _decode_jpeg(self, eighths: Eighths) -> tuple[Image.Image, float]:
        self._limits.check_memory(self._decoder_bytes + scaled_bytes(self._stored, eighths))
        with refusals(self.format, self._data):
            image = decode_scaled(self._data, *self._stored, eighths)
        if image is None:
            self._scalable = False
            return self._decode_whole()
        return image, eighths / 8

    def _decode_whole(self) -> tuple[Image.Image, float]:
        self._limits.check_memory(self._whole_bytes)
        # From the bytes again: after a failed decode, Pillow's image may pass for a decoded one.
        image = decode_pixels(self.format, self._data)
        if image.size != self._stored:
            raise ImageRefused(
                Reason.UNREADABLE,
                f"The {self.format} is damaged (its pixels have another size than its header "
                "says); fetch it again.",
            )
        with refusals(self.format, self._data):
            return to_rgb(image), 1.0


def _orientation(header: ImageFile.ImageFile) -> int:
    """The EXIF orientation, 1 to 8; 1 is upright."""
    if header.format == "TIFF":  # turned by Pillow itself, in `size` as in the pixels
        return 1
    if "exif" not in header.info and "Raw profile type exif" not in header.info:
        return 1
    try:
        orientation = header.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata does not damage the pixels
        return 1
    return orientation if orientation in _UPRIGHT else 1
