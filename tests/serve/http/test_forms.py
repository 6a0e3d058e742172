"""Names of files in forms, in all their spellings."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from foveate.serve.http.forms import extended_name, read_form
from foveate.serve.http.refusals import RequestRefused
from foveate.serve.service import Upload
from foveate.serve.settings import ServerSettings


def read(
    *headers: bytes, data: bytes = b"image", settings: ServerSettings | None = None
) -> list[Upload]:
    """The files of a form of one part, with these headers."""
    body = b"--b\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + data + b"\r\n--b--\r\n"
    kind = (b"content-type", b"multipart/form-data; boundary=b")
    asked = {"type": "http", "method": "POST", "headers": [kind]}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return asyncio.run(read_form(Request(asked, receive), settings or ServerSettings()))


def disposition(parameters: str) -> bytes:
    return f"Content-Disposition: form-data; name=image; {parameters}".encode()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename*=UTF-8''a.png", "a.png"),
        ("filename*=utf-8'de'Gr%C3%BC%C3%9fe%20%F0%9F%A6%93.png", "Grüße 🦓.png"),
        ("filename=b.png; filename*=UTF-8''a.png", "a.png"),
        ("filename*=UTF-8''a.png; filename=b.png", "a.png"),
        ("FileName*=UTF-8''a%3bb.png", "a;b.png"),
        ("filename* = \"UTF-8''a%22.png\"", 'a".png'),
        ("filename*=iso-8859-1''%FC.png", "ü.png"),
        ("filename*=nonsense''%C3%BC.png", "ü.png"),
        ("filename*=idna''%ff.png", "\ufffd.png"),
        ("filename*=undefined''a", "a"),
        ("filename*=UTF-8''%zz%C3%4", "%zz\ufffd%4"),
        ("filename*=UTF-8''%ed%a0%80", "\ufffd" * 3),
        ("filename*=UTF-8''a%00%0d%0ab", "a\ufffd\ufffd\ufffdb"),
        ("filename*=a%20b.png", "a b.png"),
        ("filename*0*=UTF-8''a%20; filename*1=b.p; filename*2*=n%67", "a b.png"),
        ("filename*=UTF-8''" + "a" * 3000, "a" * 255),
        ("filename*=UTF-8''..%2F..%2Fetc", "../../etc"),
        ("filename*=UTF-8''", None),
        ("filename*=", None),
    ],
)
def test_a_part_with_an_extended_name_is_a_file(parameters: str, name: str | None) -> None:
    assert read(disposition(parameters)) == [Upload(name, b"image")]


def test_a_name_within_quotes_is_none() -> None:
    assert read(disposition('filename="; filename*=x.png"')) == [
        Upload("; filename*=x.png", b"image")
    ]
    assert read(disposition("title=\"; filename*=UTF-8''x.png\"")) == []
    assert read(disposition("title=filename*")) == []


@given(st.text(max_size=200))
def test_any_header_is_read(text: str) -> None:
    extended_name(text)
    name = extended_name(f"form-data; name=a; filename*={text.replace(';', '')}")
    assert name is not None


@pytest.mark.parametrize("piece", [';a="', ";", "\\", '"', "; filename*=", ";a=\\"])
def test_long_headers_take_no_time(piece: str) -> None:
    start = time.monotonic()
    extended_name(piece * 20_000)
    assert time.monotonic() - start < 2


def test_files_with_extended_names_are_counted() -> None:
    part = disposition("filename*=UTF-8''a")
    second = b"x\r\n--b\r\n" + part + b"\r\n\r\ny"
    with pytest.raises(RequestRefused, match="at most 1 are taken"):
        read(part, data=second, settings=ServerSettings(max_images=1))


@pytest.mark.parametrize("header", ["Content-Transfer-Encoding", "Content-Encoding"])
def test_parts_in_another_encoding_are_refused_by_name(header: str) -> None:
    part = disposition("filename=a.png")
    for encoding in ("base64", "quoted-printable", "gzip", "x\x1b"):
        with pytest.raises(RequestRefused) as refused:
            read(part, f"{header}: {encoding}".encode())
        assert refused.value.status == 422
        assert encoding[:1] in refused.value.sentence
        assert "\x1b" not in refused.value.sentence
    assert read(part, f"{header}: Binary".encode()) == [Upload("a.png", b"image")]
