"""Images and requests to break a server with: drawn, then damaged, the same for the same seed."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from support.image_samples import encode, every_format, exif, photo

ABSURD = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(width: int, height: int, *chunks: bytes, colour: int = 2, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced)
    parts = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pixel_data(data: bytes) -> bytes:
    return png_chunk(b"IDAT", zlib.compress(data))


def interlaced_png() -> bytes:
    """Adam7 (PNG, 8.2), which Pillow reads but does not write."""
    pixels = np.asarray(photo(60, 44))
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4))
    passes += ((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [
        b"\0" + row.tobytes() for y, x, down, right in passes for row in pixels[y::down, x::right]
    ]
    return png(60, 44, pixel_data(b"".join(rows)), interlaced=1)


@lru_cache(maxsize=1)
def images() -> dict[str, bytes]:
    """Whole images of every format, small, and JPEGs large enough to be decoded at a scale."""
    large = photo(500, 300)
    return {
        **every_format(),
        "png-interlaced": interlaced_png(),
        "jpeg-turned": encode(large, "JPEG", exif=exif(6)),
        "jpeg-large": encode(large, "JPEG"),
        "jpeg-large-progressive": encode(large, "JPEG", progressive=True),
        "jpeg-large-grey": encode(large.convert("L"), "JPEG"),
        "jpeg-large-444": encode(large, "JPEG", subsampling=0),
        "webp-turned": encode(large, "WEBP", exif=exif(3)),
    }


def patched(name: str, at: int, layout: str, *values: int) -> bytes:
    data = bytearray(images()[name])
    struct.pack_into(layout, data, at, *values)
    return bytes(data)


def looping_tiff() -> bytes:
    """A TIFF whose directory is its own next one."""
    data = bytearray(images()["tiff"])
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    return bytes(data)


def tiff_of_width(width: int) -> bytes:
    data = images()["tiff"]
    at = data.index(struct.pack("<HHII", 256, 4, 1, 60))
    return data[: at + 8] + struct.pack("<I", width) + data[at + 12 :]


@lru_cache(maxsize=1)
def bombs() -> dict[str, bytes]:
    """Little data that declares, or really is, very much."""
    gap = pixel_data(bytes(99))
    frame = images()["jpeg"].index(b"\xff\xc0")
    webp = (2**24 - 1).to_bytes(3, "little")
    vp8x = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + webp * 2
    text = zlib.compress(bytes(10**8), 9)
    return {
        "ppm of comments": b"P1 1000 1000\n" + b"#\n" * 10**6 + b"0 " * 100,
        "png of 2^31": png(2**31 - 1, 2**31 - 1, gap),
        "png of no size": png(0, 0, gap),
        "png just under the limit": png(
            7000, 7000, pixel_data(bytes(7000 * 7001)), colour=0
        ),  # is decoded
        "png just under the limit, but short": png(7000, 7000, gap),
        "png of text": png(9, 9, png_chunk(b"zTXt", b"a\0\0" + text), pixel_data(bytes(9 * 28))),
        "png of international text": png(9, 9, png_chunk(b"iTXt", b"a\0\1\0\0\0" + text), gap),
        "png of colour profile": png(9, 9, png_chunk(b"iCCP", b"a\0\0" + text), gap),
        "png of too many pixels": png(9, 9, pixel_data(bytes(10**8))),
        "png of many chunks": png(9, 9, *[png_chunk(b"tEXt", b"a\0b")] * 20_000, gap),
        "jpeg": patched("jpeg", frame + 5, ">HH", 65_500, 65_500),
        "jpeg under the limit": patched("jpeg", frame + 5, ">HH", 7000, 7000),
        "gif": patched("gif", 6, "<HH", 65_535, 65_535),
        "gif under the limit": patched("gif", 6, "<HH", 7000, 7000),
        "webp": b"RIFF" + struct.pack("<I", len(vp8x)) + vp8x,
        "bmp": patched("bmp", 18, "<ii", 2**31 - 1, -(2**31)),
        "bmp under the limit": patched("bmp", 18, "<ii", 7000, 7000),
        "tiff loop": looping_tiff(),
        "tiff width": tiff_of_width(2**32 - 1),
        "tiff of a directory everywhere": b"II*\0\x08\0\0\0" + b"\xff" * 4000,
        "ppm": b"P6 90000 90000 255\n" + bytes(99),
        "ppm under the limit": b"P6 7000 7000 255\n" + bytes(99),
        "ppm of many digits": b"P6 " + b"9" * 9999,
        "jpeg 2000": patched("j2k", 8, ">II", 60_000, 60_000),
        "jpeg 2000 of tiles": patched("j2k", 24, ">II", 1, 1),
        "jpeg 2000 under the limit": patched("j2k", 8, ">IIIIII", 7000, 7000, 0, 0, 7000, 7000),
        "jpeg of comments": images()["jpeg"][:2] + b"\xff\xfe\0\2" * 200_000,
        "gif of comments": images()["gif"][:13] + b"!\xfe" + b"\1a" * 400_000,
        "ppm of a comment": b"P6 #" + b"a" * 900_000 + b"\n9 9 255\n" + bytes(243),
        "ppm of three": b"P6 500 500 3\n" + b"\1" * 750_000,
        "qoi": b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 3, 0) + bytes(99),
        "qoi under the limit": b"qoif" + struct.pack(">IIBB", 7000, 7000, 3, 0) + bytes(99),
    }


@lru_cache(maxsize=1)
def others() -> dict[str, bytes]:
    """What is no image at all."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", images()["png"])
    return {
        "nothing": b"",
        "a byte": b"\xff",
        "a web page": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a/>',
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "zip": archive.getvalue(),
        "gzip": gzip.compress(bytes(10**7)),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
        "pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R.",
        "json": b'{"images": []}',
        "text": "Это не картинка".encode("utf-16"),
        "zeros": bytes(10_000),
        "icon": b"\0\0\1\0\1\0\x10\x10" + bytes(200),
        "video": b"\0\0\0\x18ftypisom" + bytes(200),
    }


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4, 20))):
        last = len(data) if rng.random() < 0.5 else min(200, len(data))  # headers decide most
        data[rng.randrange(last)] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def leave_out(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 4, 40, 400))]


def repeat(data: bytearray, rng: random.Random) -> None:
    start, where = rng.randrange(len(data)), rng.randrange(len(data))
    data[where:where] = data[start : start + rng.choice((4, 40, 4000))] * rng.choice((1, 30))


def splice(data: bytearray, rng: random.Random) -> None:
    other = images()[rng.choice(sorted(images()))]
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def exaggerate(data: bytearray, rng: random.Random) -> None:
    """Put an absurd number where a header may have a size, a count or an offset."""
    layout = rng.choice((">H", "<H", ">I", "<I"))
    at = rng.randrange(4, max(5, min(300, len(data) - 4)))
    mask = 0xFFFF if layout[1] == "H" else 0xFFFFFFFF
    if at + 4 <= len(data):
        struct.pack_into(layout, data, at, rng.choice(ABSURD) & mask)


def noise(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start : start + 50] = rng.randbytes(50)


def pieces(data: bytes) -> list[bytes]:
    """A file cut where its format cuts it: chunks, segments, boxes, entries; else in no pieces."""
    if data.startswith(b"\x89PNG"):
        return cut_at(data, 8, lambda at: 12 + int.from_bytes(data[at : at + 4], "big"))
    if data.startswith(b"RIFF"):
        even = lambda at: 9 + int.from_bytes(data[at + 4 : at + 8], "little") & ~1  # noqa: E731
        return cut_at(data, 12, even)
    if data.startswith(b"\xff\xd8"):
        scan = data.find(b"\xff\xda")
        length = lambda at: 2 + int.from_bytes(data[at + 2 : at + 4], "big")  # noqa: E731
        return [*cut_at(data[:scan], 2, length), data[scan:]]
    if data[4:8] in (b"ftyp", b"jP  "):
        return cut_at(data, 0, lambda at: int.from_bytes(data[at : at + 4], "big") or len(data))
    if data.startswith(b"\xff\x4f"):
        tile = data.find(b"\xff\x90")
        length = lambda at: 2 + int.from_bytes(data[at + 2 : at + 4], "big")  # noqa: E731
        return [*cut_at(data[:tile], 2, length), data[tile:]]
    if data.startswith(b"II*\0"):
        first = int.from_bytes(data[4:8], "little")
        entries = int.from_bytes(data[first : first + 2], "little")
        end = first + 2 + 12 * entries
        return [data[: first + 2], *cut_at(data[:end], first + 2, lambda _: 12)[1:], data[end:]]
    if data.startswith(b"GIF8"):
        return [data[:13], *data[13:].split(b"!")]
    return [data]


def cut_at(data: bytes, start: int, length: Callable[[int], int]) -> list[bytes]:
    """What is before `start`, then pieces of `length` of where each begins."""
    found, at = [data[:start]], start
    while at < len(data):
        step = max(4, length(at))
        found.append(data[at : at + step])
        at += step
    return found


def rearrange(data: bytearray, rng: random.Random) -> None:
    """Repeat, swap, leave out or borrow whole pieces, so that the structure stays one."""
    found = pieces(bytes(data))
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(found))
        other = rng.randrange(len(found))
        match rng.randrange(4):
            case 0:
                found[at:at] = [found[other]] * rng.choice((1, 10, 3000))
            case 1:
                found[at], found[other] = found[other], found[at]
            case 2 if len(found) > 1:
                del found[at]
            case _:
                strange = pieces(images()[rng.choice(sorted(images()))])
                found.insert(at, rng.choice(strange))
    data[:] = b"".join(found)[: 2**20 - 4096]


def reseal(data: bytearray, rng: random.Random) -> None:
    """Change the content of a chunk of a PNG and set its checksum right."""
    found = pieces(bytes(data))
    if not data.startswith(b"\x89PNG") or len(found) < 2:
        exaggerate(data, rng)
        return
    at = rng.randrange(1, len(found))
    content = bytearray(found[at][8:-4])
    if content:
        (rng.choice((flip, exaggerate)) if len(content) > 12 else flip)(content, rng)
    found[at] = png_chunk(found[at][4:8], bytes(content))
    data[:] = b"".join(found)


DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip,
    flip,
    cut,
    leave_out,
    repeat,
    splice,
    exaggerate,
    exaggerate,
    noise,
    rearrange,
    rearrange,
    reseal,
)


def mutated(rng: random.Random) -> bytes:
    """One hostile image."""
    chance = rng.random()
    if chance < 0.04:
        return bombs()[rng.choice(sorted(bombs()))]
    if chance < 0.08:
        return others()[rng.choice(sorted(others()))]
    data = bytearray(images()[rng.choice(sorted(images()))])
    for _ in range(rng.choice((1, 1, 2))):
        if data:
            rng.choice(DAMAGE)(data, rng)
    return bytes(data)


def form(name: bytes, data: bytes, boundary: bytes = b"b") -> bytes:
    head = b'--%b\r\nContent-Disposition: form-data; name="f"; filename="%b"\r\n\r\n'
    return head % (boundary, name) + data + b"\r\n--%b--\r\n" % boundary


def nonsense(rng: random.Random, image: bytes) -> bytes:
    """The bytes of one request, or of some, that break a rule of HTTP or bend it."""
    some = rng.randbytes(rng.randrange(1, 40))
    size = b"%d" % len(image)
    post = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(image), image)
    body = json.dumps({"images": [b64encode(image).decode()]}).encode()
    get = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    many = b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(2000))
    choices = [
        post + b"Content-Length: " + size + b"\r\nContent-Length: 1\r\n\r\n" + image,
        post + b"Content-Length: " + size + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
        post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n" + chunk,
        post + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + chunk,
        post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk,
        post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + image,
        post + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + image,
        post + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"a" * 9000 + b"\r\nabcde\r\n0\r\n\r\n",
        post + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + some,
        post + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + many + b"\r\n",
        post + b"Content-Length: -1\r\n\r\n" + image,
        post + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + image,
        post + b"Content-Length: +5\r\n\r\nabcde",
        post + b"Content-Length: 0x5\r\n\r\nabcde",
        post + b"Content-Length: 99999\r\n\r\n" + image[:999],
        post + b"Content-Length: 99999999999\r\n\r\n" + image,
        post + b"Expect: 100-continue\r\nContent-Length: " + size + b"\r\n\r\n" + image,
        post + b"Expect: nonsense\r\nContent-Length: " + size + b"\r\n\r\n" + image,
        post + b"Content-Encoding: gzip\r\nContent-Length: " + size + b"\r\n\r\n" + image,
        post + b"Content-Type: " + b"a" * 20_000 + b"\r\nContent-Length: 1\r\n\r\na",
        post + b"Content-Type: " + some.hex().encode() + b"\r\nContent-Length: 1\r\n\r\na",
        post + b"Content-Type: \xff\xfe/\xfd\r\nContent-Length: 1\r\n\r\na",
        post + b"X-Long: " + b"a" * 50_000 + b"\r\nContent-Length: 1\r\n\r\na",
        post + many + b"Content-Length: 1\r\n\r\na",
        post + b"X-Request-ID: a\r\n X-Folded: b\r\nContent-Length: 1\r\n\r\na",
        post + b"X-Request-ID: a\rX-Split: b\r\nContent-Length: 1\r\n\r\na",
        post + b"X-Request-ID: a\nX-Split: b\r\nContent-Length: 1\r\n\r\na",
        post + b"X-Nul: a\0b\r\nContent-Length: 1\r\n\r\na",
        post + b"No colon at all\r\nContent-Length: 1\r\n\r\na",
        post + b": no name\r\nContent-Length: 1\r\n\r\na",
        post + b"Content-Length : 1\r\n\r\na",
        post + b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\na",
        post + b"Authorization: Bearer \xff\xff\r\nContent-Length: 1\r\n\r\na",
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20 + get % b"/nothing",
        b"GET /\r\n",
        b"GET /health/live\r\n\r\n",
        b"GET /health/live HTTP/9.9\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\nHost: localhost\nConnection: close\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + some,
        b"\r\n" * 500 + get % b"/health/live",
        some,
        some.hex().encode() + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        get % b"/%00",
        get % b"/\0",
        get % b"/%",
        get % b"/%zz%u0041%c0%af",
        get % b"/../../etc/passwd",
        get % b"/%2e%2e/%2e%2e/etc/passwd",
        get % b"/v2/models/..%2f..%2fetc",
        get % b"/v2/models/%ed%a0%80/ready",
        get % b"//evil.example/%0d%0aSet-Cookie:%20a",
        get % b"http://evil.example/models",
        get % b"http://[::1/",
        get % b"/\xff\xfe",
        get % (b"/" + b"a" * 60_000),
        get % (b"/models?" + b"&".join([b"a=b"] * 9000)),
        get % b"/models/?model=%ff%fe",
        b"GET /models/ HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n",
        b"GET /models HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"DELETE /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        *(
            post
            + b"Content-Type: multipart/form-data%b\r\nContent-Length: %d\r\n\r\n" % (of, len(data))
            + data
            for of, data in (
                (b"; boundary=b", form(b"a", image)[:-6]),
                (b"; boundary=b", form(b"a", image).replace(b"--b", b"--c")),
                (b"; boundary=b", form(b"a", image).replace(b"form-data", some.hex().encode())),
                (b"; boundary=b", form(b"a", image).replace(b"\r\n", b"\n")),
                (b"; boundary=b", b"--b\r\n" * 3000),
                (b"; boundary=b", b"--b\r\n" + b"a" * 9000 + b": b\r\n\r\n--b--\r\n"),
                (b"; boundary=b", b"--b\r\n" + many + b"\r\n--b--\r\n"),
                (b'; boundary="\xff"', form(b"a", image)),
                (b"; boundary=" + b"b" * 5000, form(b"a", image)),
                (b"; boundary=", form(b"a", image)),
                (b"; boundary=b; charset=undefined", form(b"a", image)),
                (b"; boundary=b; charset=unicode_escape", form(rb"\ud800", image)),
                (b"; boundary=b; charset=utf-7", form(b"+2AA-", image)),
                (b"; boundary=b", form(rng.randbytes(300).replace(b"\r", b""), image)),
            )
        ),
        post
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (len(body) + 9)
        + body,
        b"POST /v2/models/patterns/infer HTTP/1.1\r\nConnection: close\r\n"
        b"Inference-Header-Content-Length: " + b"1" * 5000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    ]
    request = bytearray(rng.choice(choices))
    if rng.random() < 0.2:
        head = max(1, request.find(b"\r\n\r\n"))
        request[rng.randrange(head)] = rng.randrange(256)
    return bytes(request)
