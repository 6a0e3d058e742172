"""Compressed bodies, in pieces of any size."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.http.encoding import PIECE_BYTES, make_decoder
from foveate.serve.http.refusals import RequestRefused

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "x-gzip": gzip.compress,
    " GZIP ": gzip.compress,
}


def decode(encoding: str, body: bytes, step: int = 2**16, most: int = 2**30) -> bytes:
    """All of a body, or its beginning from the piece on that makes it more than `most`."""
    decoder = make_decoder(encoding)
    assert decoder is not None
    out = bytearray()
    for at in range(0, len(body), step):
        piece = decoder.feed(body[at : at + step])
        assert len(piece) <= PIECE_BYTES
        out += piece
        while decoder.pending:
            out += decoder.feed(b"")
            if len(out) > most:
                return bytes(out)
    decoder.finish()
    return bytes(out)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50))
def test_any_body_in_any_pieces(parts: list[bytes], step: int) -> None:
    whole = b"".join(parts)
    assert decode("gzip", b"".join(map(gzip.compress, parts)), step) == whole
    for encoding, pack in PACK.items():
        assert decode(encoding, pack(whole), step) == whole


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES])
def test_bodies_larger_than_a_piece(size: int) -> None:
    body = bytes(size)
    for encoding, pack in PACK.items():
        assert decode(encoding, pack(body)) == body
    assert decode("gzip", gzip.compress(body) * 2) == body * 2


def test_a_bomb_is_decoded_no_further_than_it_is_asked_for() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    start = time.monotonic()
    assert len(decode("gzip", bomb, most=2**22)) <= 2**22 + PIECE_BYTES
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_not_whole_is_refused(encoding: str) -> None:
    whole = PACK[encoding](b"some bytes " * 50)
    damaged = bytes([*whole[:20], whole[20] ^ 255, *whole[21:]])
    wrong = [b"", whole[:-1], whole[:5], whole + b"x", whole + b"\0" * 9, damaged, b"\xff\xd8jpeg"]
    wrong.append(zlib.compress(b"a")[2:-4])  # raw, as some call deflate
    for body in wrong:
        with pytest.raises(RequestRefused, match=f"cannot be decoded as {encoding}") as refused:
            decode(encoding, body)
        assert refused.value.status == 422


def test_streams_without_end_take_no_time() -> None:
    start = time.monotonic()
    with pytest.raises(RequestRefused, match="too many parts"):
        decode("gzip", gzip.compress(b"") * 2**16, 2**18)
    assert time.monotonic() - start < 2


@given(st.binary(max_size=100))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    for head in (b"", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x78\x9c"):
        for encoding in ("gzip", "deflate"):
            with pytest.raises(RequestRefused):
                decode(encoding, head + body + b"\xff")


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "\x1b", "x" * 999])
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        make_decoder(encoding)
    assert (refused.value.status, refused.value.reason) == (415, "unsupported_encoding")
    assert refused.value.headers["accept-encoding"] == "gzip, deflate"
    assert f"‘{encoding[:50]}’".replace("\x1b", "\ufffd").replace(", ", ",\ufffd") in (
        refused.value.sentence
    )
    assert make_decoder("") is make_decoder("identity") is None
