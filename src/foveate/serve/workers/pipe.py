"""What the server and its workers say to each other: frames over a pipe.

A frame is a header (JSON) and any number of parts (bytes). On the pipe: the length of the
header and the number of parts, the length of each part, the header, the parts. All lengths are
unsigned 32-bit integers in network order. Both ends are this program, so nothing is negotiated;
no pickle, so a frame executes nothing.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

_LENGTH = struct.Struct("!I")
_START = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        header: anything that JSON can say.
        parts: bytes, for what it cannot.
    """

    header: dict[str, Any]
    parts: Sequence[bytes] = ()

    def pack(self) -> list[bytes]:
        """The frame as buffers to write one after the other; the parts are not copied."""
        header = json.dumps(self.header, separators=(",", ":")).encode()
        lengths = [_START.pack(len(header), len(self.parts))]
        lengths += [_LENGTH.pack(len(part)) for part in self.parts]
        return [b"".join([*lengths, header]), *self.parts]


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame.

    Raises:
        asyncio.IncompleteReadError: the other end is gone.
    """
    header_length, count = _START.unpack(await reader.readexactly(_START.size))
    lengths = struct.unpack(f"!{count}I", await reader.readexactly(_LENGTH.size * count))
    header = json.loads(await reader.readexactly(header_length))
    return Frame(header, [await reader.readexactly(length) for length in lengths])


def read_frame_blocking(file: BinaryIO) -> Frame | None:
    """The next frame; None where the other end is gone."""
    try:
        header_length, count = _START.unpack(_exactly(file, _START.size))
        lengths = struct.unpack(f"!{count}I", _exactly(file, _LENGTH.size * count))
        header = json.loads(_exactly(file, header_length))
        return Frame(header, [_exactly(file, length) for length in lengths])
    except EOFError:
        return None


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise EOFError
    return data
