"""Open one image and learn what the catalog needs to know of it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from foveate import files
from foveate.errors import ImageRefused, Reason
from foveate.image import Limits, Resize, open_image


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an image once it was opened.

    Attributes:
        id: SHA-256 of the bytes; empty where they could not be read.
        width: pixels, upright; 0 where refused.
        height: pixels, upright; 0 where refused.
        dhash: 256-bit difference hash (32 bytes), None where refused.
        reason: why the image was refused, None where it was not.
        detail: the refusal in one sentence.
    """

    id: str
    width: int = 0
    height: int = 0
    dhash: bytes | None = None
    reason: Reason | None = None
    detail: str = ""

    @property
    def refusal(self) -> str | None:
        """Reason and detail in one line, None where the image was not refused."""
        return f"{self.reason}: {self.detail}" if self.reason else None


def inspect(
    file: files.FileEntry,
    *,
    limits: Limits,
    resize: Resize | None = None,
    known: Mapping[str, Facts] = MappingProxyType({}),
    featurized: Container[str] = frozenset(),
) -> tuple[Facts, NDArray[np.uint8] | None]:
    """Read, identify and decode one image, once for everything that is wanted of it.

    Never raises for a bad file: the refusal is in the facts.

    Args:
        file: the file.
        limits: the largest image to accept.
        resize: the pixels wanted; None where only the facts are.
        known: facts of images seen before, by id; such an image is not decoded for its facts.
        featurized: ids whose pixels are not needed any more.

    Returns:
        The facts, and the pixels (resolution, resolution, 3) if they were wanted and the image
        was not refused.
    """
    image_id = ""
    try:
        data = read_file(file, limits)
        image_id = files.digest(data)
        wanted = resize is not None and image_id not in featurized
        if image_id in known and not wanted:
            return known[image_id], None
        image = open_image(data, limits)
        pixels = image.pixels(resize) if resize is not None and wanted else None
        return Facts(image_id, image.width, image.height, image.dhash()), pixels
    except ImageRefused as refusal:
        return Facts(image_id, reason=refusal.reason, detail=refusal.detail), None


def read_file(file: files.FileEntry, limits: Limits) -> bytes:
    """The bytes of an image file, unless it is over the limit.

    Raises:
        ImageRefused: it is too large, or it cannot be read.
    """
    if file.size < 0:
        raise ImageRefused(
            Reason.UNREADABLE, "a broken link, a folder without access, or not a regular file"
        )
    if file.size > limits.max_bytes:
        raise ImageRefused(
            Reason.TOO_LARGE,
            f"the file has {file.size / 2**20:.0f} MB, the limit is {limits.max_bytes / 2**20:.0f}",
        )
    try:
        return files.read_bytes(file.path)
    except OSError as error:
        raise ImageRefused(Reason.UNREADABLE, error.strerror or str(error)) from None
