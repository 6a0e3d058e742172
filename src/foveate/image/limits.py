"""How large an image may be, decided from its header before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from foveate.errors import ImageRefused, Reason

_SCANS_OF_THE_LARGEST = 20
"""Passes over the largest image. The scripts of jpegtran and mozjpeg make ten to fifteen."""

_SLOW_PIXELS_PER_BYTE = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes above which an image is refused as too large.

    A few kilobytes can declare gigabytes of pixels, so the declared size decides, not the
    size of the file alone.

    Attributes:
        max_bytes: length of the file, in bytes.
        max_pixels: width × height.
        max_side: the longer of width and height, in pixels; 65 500 is also the most that
            libjpeg decodes.
        max_slow_bytes: length of a file whose decoder is slow, in bytes; a server wants fewer.
        max_scans: passes over the pixels of a JPEG. Progressive files have about ten; each takes
            time, whatever it holds, so that a small file of thousands takes minutes.
        max_memory: bytes that decoding may take besides the file: pixels, what becomes of them,
            and the decoder's own copies. Estimated before it begins, see `image.memory`.
    """

    max_bytes: int = 256 * 2**20
    max_pixels: int = 100_000_000
    max_side: int = 65_500
    max_slow_bytes: int = 256 * 2**20
    max_scans: int = 100
    max_memory: int = 2 * 2**30

    def check_bytes(self, count: int) -> None:
        """Refuse a file of `count` bytes if it is empty or over `max_bytes`."""
        if count == 0:
            raise ImageRefused(Reason.EMPTY, "The file holds no bytes.")
        if count > self.max_bytes:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"The file has {count:,} bytes; the limit is {self.max_bytes:,}.",
            )

    def check_slow(self, count: int) -> None:
        """Refuse a file of `count` bytes in a slow format if these are over `max_slow_bytes`."""
        if count > self.max_slow_bytes:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"The file has {count:,} bytes; in its format, which is slow to decode, the limit "
                f"is {self.max_slow_bytes:,}. Save it as JPEG or PNG.",
            )

    def check_slow_pixels(self, count: int) -> None:
        """Refuse a file of `count` pixels if unpacking them one by one takes too long.

        The limit is eight pixels for each of `max_slow_bytes`, which take about as long.
        """
        most = _SLOW_PIXELS_PER_BYTE * self.max_slow_bytes
        if count > most:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"The image has {count:,} pixels; in its format, which is slow to decode, the "
                f"limit is {most:,}. Save it as JPEG or PNG.",
            )

    def most_scans(self, pixels: int) -> int:
        """How many scans a JPEG of `pixels` pixels may have: fewer, the larger it is."""
        most = _SCANS_OF_THE_LARGEST * self.max_pixels // max(pixels, 1)
        return min(self.max_scans, max(most, _SCANS_OF_THE_LARGEST))

    def check_scans(self, count: int, pixels: int) -> None:
        """Refuse a JPEG of `pixels` pixels in `count` scans if these are too many."""
        most = self.most_scans(pixels)
        if count > most:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"The JPEG has {count:,} scans; the limit for its size is {most}.",
            )

    def check_memory(self, count: int) -> None:
        """Refuse an image whose decoding takes `count` bytes if these are over `max_memory`."""
        if count > self.max_memory:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"Decoding it takes {count / 1e6:,.0f} MB of memory; the limit is "
                f"{self.max_memory / 1e6:,.0f}. Save it smaller, or as an ordinary JPEG.",
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse a declared size over `max_pixels` or `max_side`."""
        if width < 1 or height < 1:
            raise ImageRefused(Reason.UNREADABLE, f"The header declares {width} × {height} pixels.")
        if max(width, height) > self.max_side:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"The image is {width:,} × {height:,} pixels; "
                f"the limit for a side is {self.max_side:,}.",
            )
        if width * height > self.max_pixels:
            raise ImageRefused(
                Reason.TOO_LARGE,
                f"The image is {width:,} × {height:,} = {width * height:,} pixels; "
                f"the limit is {self.max_pixels:,}.",
            )


DEFAULT_LIMITS = Limits()
