"""The door to Pillow: one named decoder at a time, and every failure a typed refusal."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageFile

from foveate.errors import ImageRefused, Reason
from foveate.image.formats import Format, ends_early
from foveate.image.netpbm import decode_scaled_values, open_netpbm

_PLUGINS: Final[dict[Format, str]] = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "GIF": "GifImagePlugin",
    "WEBP": "WebPImagePlugin",
    "BMP": "BmpImagePlugin",
    "TIFF": "TiffImagePlugin",
    "PPM": "PpmImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "AVIF": "AvifImagePlugin",
    "QOI": "QoiImagePlugin",
}

# Pillow has no error types for these two, only words.
_CUT = re.compile(r"truncated|not enough image data|reached eof|premature end|only got", re.I)
_UNSUPPORTED = re.compile(
    r"unsupported|unknown pixel mode|not supported|not installed|samples per pixel", re.I
)

_IGNORE_PILLOW: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

# Without a handler of its own, what Pillow logs about a file would end up on stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def open_header(name: Format, data: bytes) -> ImageFile.ImageFile:
    """Read the header of `data` with Pillow's decoder for `name`; pixels are not decoded.

    `PIL.Image.open` tries decoders in turn, hides why each one failed, and applies Pillow's own
    size limit, a global; here the format is known, the reason wanted, and `Limits` decides.

    Raises:
        ImageRefused: truncated, unreadable, unsupported or too large.
    """
    with refusals(name, data):
        import_module(f"PIL.{_PLUGINS[name]}")  # registers itself in Image.OPEN
        decoder, _ = Image.OPEN[name]
        return open_netpbm(decoder, data) if name == "PPM" else decoder(BytesIO(data), "")


def decode_pixels(name: Format, data: bytes) -> Image.Image:
    """Decode the first frame of `data` in full, in whatever mode the file has.

    Raises:
        ImageRefused: as `open_header`.
    """
    image = open_header(name, data)
    with refusals(name, data):
        # OpenJPEG takes some cut files for whole; libtiff's codecs complain on stderr.
        if _tiff_pixels_end_early(image, len(data)) or (
            name == "JPEG2000" and ends_early(name, data)
        ):
            raise _truncated(name)
        if name == "PPM":
            scaled = decode_scaled_values(image, data)
            if scaled is not None:
                return scaled
            image.fp = BytesIO(data)
        image.load()
    return image


@contextmanager
def refusals(name: Format, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises on `data` into an `ImageRefused`.

    Decoders fed with damaged bytes raise nearly anything: OSError, SyntaxError, ValueError,
    KeyError, struct.error, zlib.error, OverflowError, even ZeroDivisionError.
    """
    _silence_pillow()
    try:
        yield
    except ImageRefused:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageRefused(
            Reason.TOO_LARGE, f"Decoding this {name} needs more memory than foveate gives it."
        ) from error
    except Exception as error:
        raise _refusal(name, data, error) from error


def _refusal(name: Format, data: bytes, error: Exception) -> ImageRefused:
    said = " ".join(str(error).split())[:100] or type(error).__name__
    if _CUT.search(said) or ends_early(name, data):
        return _truncated(name)
    # Pillow looks up what it supports in tables, and disguises the KeyError of what it does not.
    cause = error.__cause__ or error
    if _UNSUPPORTED.search(said) or isinstance(cause, ImportError | KeyError | NotImplementedError):
        return ImageRefused(
            Reason.UNSUPPORTED,
            f"It is a kind of {name} that foveate does not read ({said}); save it as 8-bit PNG.",
        )
    return ImageRefused(Reason.UNREADABLE, f"The {name} is damaged ({said}); fetch it again.")


def _truncated(name: Format) -> ImageRefused:
    return ImageRefused(
        Reason.TRUNCATED, f"The {name} ends before all of its pixels; fetch it again."
    )


_COMPRESSION: Final = 259
_STRIPS_OR_TILES: Final = ((273, 279), (324, 325))  # offsets and byte counts


def _tiff_pixels_end_early(image: Image.Image, length: int) -> bool:
    """Whether a compressed strip or tile of a TIFF reaches beyond the end of the file.

    Byte counts of uncompressed TIFFs are often wrong, and not needed.
    """
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    if tags.get(_COMPRESSION, 1) == 1:
        return False
    return any(
        offset + count > length
        for offsets, counts in _STRIPS_OR_TILES
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False)
    )


def _silence_pillow() -> None:
    """Put a filter for warnings that arise inside Pillow in front of all others.

    Pillow warns about odd metadata, which is no concern of a user with a thousand images. The
    filter stays: `warnings.catch_warnings` would swap the filters of all threads at once, and
    this is called from many. It is narrow, only Pillow's own modules.
    """
    if not warnings.filters or warnings.filters[0] != _IGNORE_PILLOW:
        warnings.filterwarnings("ignore", module=_IGNORE_PILLOW[3].pattern)
