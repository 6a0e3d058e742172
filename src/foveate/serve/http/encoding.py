"""Bodies that were compressed on their way (Content-Encoding), decoded piece by piece."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from foveate.serve.http.refusals import RequestRefused, invalid

ENCODINGS = ("gzip", "deflate")
"""What is taken; `deflate` is the format of zlib (RFC 9110, section 8.4.1.2)."""

PIECE_BYTES = 2**20
"""Bytes that are decoded at once: what a body becomes is known before it is all in memory."""

_WINDOW = {"gzip": 31, "deflate": 15}  # `wbits` of zlib
_MOST_MEMBERS = 1000
"""Streams of gzip, one after the other, in a body: each costs a copy of what comes after it. The
blocks of bgzip, of 64 KiB each, are 512 in the largest body by default."""


class Decoder:
    """Decodes one body.

    Args:
        encoding: one of `ENCODINGS`.

    Attributes:
        pending: whether there is more to come of what was fed already.
    """

    def __init__(self, encoding: str) -> None:
        self.pending = False
        self._encoding = encoding
        self._stream = zlib.decompressobj(_WINDOW[encoding])
        self._members = 1
        self._waiting = b""

    def feed(self, data: bytes) -> bytes:
        """Decode on.

        Args:
            data: what came; nothing while more is `pending`.

        Returns:
            At most `PIECE_BYTES`.

        Raises:
            RequestRefused: 422, it is not what the encoding says.
        """
        self._waiting += data
        pieces: list[bytes] = []
        room = PIECE_BYTES
        while room and (self._waiting or self.pending):
            if self._stream.eof:
                self._next_member()
            piece = self._inflate(room)
            pieces.append(piece)
            room -= len(piece)
            # With no room left, zlib may keep some more without any input.
            self.pending = not room or bool(self._waiting)
        return b"".join(pieces)

    def finish(self) -> None:
        """Check that the body was whole.

        Raises:
            RequestRefused: 422, it ends too early.
        """
        if not self._stream.eof:
            raise self._wrong("it ends too early")

    def _inflate(self, most: int) -> bytes:
        try:
            piece = self._stream.decompress(self._waiting, most)
        except zlib.error:
            raise self._wrong("it is damaged, or in another format") from None
        self._waiting = self._stream.unused_data or self._stream.unconsumed_tail
        return piece

    def _next_member(self) -> None:
        if not self._waiting:
            return
        if self._encoding != "gzip":
            raise self._wrong("something comes after its end")
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise self._wrong("it is in too many parts")
        self._stream = zlib.decompressobj(_WINDOW[self._encoding])

    def _wrong(self, why: str) -> RequestRefused:
        return invalid(f"The body cannot be decoded as {self._encoding}: {why}.")


def make_decoder(content_encoding: str) -> Decoder | None:
    """What decodes a body with this header; None where nothing needs to.

    Raises:
        RequestRefused: 415, the encoding is not taken.
    """
    encoding = content_encoding.strip().lower().removeprefix("x-")
    if encoding in ("", "identity"):
        return None
    if encoding not in ENCODINGS:
        taken = ", ".join(ENCODINGS)
        shown = "".join(c if " " < c <= "~" else "\ufffd" for c in encoding[:50])
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            f"A body in ‘{shown}’ is not decoded; send it as it is, or in one of: {taken}.",
            headers={"accept-encoding": taken},
        )
    return Decoder(encoding)
