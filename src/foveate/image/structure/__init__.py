"""What the parts of a file cost, seen before any decoder is given them.

A file is a header, pixels, and parts around them: segments, chunks, blocks, boxes, entries. Some
decoders take a microsecond or a kilobyte for each, or hold several copies of all pixels, so that
a small file can cost a minute or gigabytes. `examine` walks the parts, with bounded work of its
own, refuses more of them than real encoders write, and says how much memory the decoder needs.

It judges no damage: where the walk cannot go on, it ends, and the decoder says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foveate.image.formats import Format
from foveate.image.limits import Limits
from foveate.image.structure.avif import examine_avif
from foveate.image.structure.bitmaps import examine_bmp, examine_netpbm, examine_qoi
from foveate.image.structure.gif import examine_gif
from foveate.image.structure.jpeg import examine_jpeg
from foveate.image.structure.jpeg2000 import examine_jpeg2000
from foveate.image.structure.png import examine_png
from foveate.image.structure.tiff import examine_tiff
from foveate.image.structure.webp import examine_webp

_EXAMINE: Final[dict[Format, Callable[[bytes, Limits], int]]] = {
    "JPEG": examine_jpeg,
    "PNG": examine_png,
    "GIF": examine_gif,
    "WEBP": examine_webp,
    "BMP": examine_bmp,
    "TIFF": examine_tiff,
    "PPM": examine_netpbm,
    "JPEG2000": examine_jpeg2000,
    "AVIF": examine_avif,
    "QOI": examine_qoi,
}


def examine(name: Format, data: bytes, limits: Limits) -> int:
    """Walk the parts of a file of format `name`.

    Returns:
        Bytes of memory that its decoder needs besides the pixels that it hands over; an upper
        bound for files whose header is whole.

    Raises:
        ImageRefused: more parts, pixels or passes than `limits` allow, or than encoders write.
    """
    return _EXAMINE[name](data, limits)
