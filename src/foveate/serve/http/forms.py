"""Forms with files: which part is an image, and what it is called."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from foveate.serve.http.refusals import invalid, too_many_images
from foveate.serve.service import Upload
from foveate.serve.settings import ServerSettings

_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,200}")  # RFC 2046, section 5.1.1, and longer
_MOST_FIELDS = 100
"""Fields of a form that are not files; they are ignored."""
_LONGEST_NAME = 255
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PARAMETER = re.compile(
    r""";[ \t]*([^=;\s"]*)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*+(?:"|$)|[^;]*)""", re.DOTALL
)
"""A parameter of a header; a text in quotes that does not end is all of the rest."""
_EXTENDED = re.compile(r"filename\*(?:([0-9]{1,2})(\*)?)?", re.IGNORECASE)
_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary", "identity"})


async def read_form(request: Request, settings: ServerSettings) -> list[Upload]:
    """The files of a form, in its order; what is no file is skipped.

    Raises:
        RequestRefused: 413 too many files, 422 not a form.
    """
    form = await _parse(request, settings)
    try:
        return [
            Upload(_clean_name(value.filename or ""), await value.read())
            for _, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
    finally:
        await form.close()


def extended_name(disposition: str) -> str | None:
    """The name in `filename*=` of a Content-Disposition (RFC 6266, RFC 8187); None without one.

    Pieces (`filename*0*=`, RFC 2231) are put together. UTF-8 is what the standards ask for, and
    what is assumed of any other charset but Latin-1: what does not fit becomes U+FFFD.

    Args:
        disposition: value of the header, one character a byte.
    """
    pieces: dict[int, tuple[bool, str]] = {}
    for name, value in _PARAMETER.findall(disposition):
        matched = _EXTENDED.fullmatch(name)
        if matched is not None:
            number, star = matched.groups()
            text = re.sub(r"\\(.)", r"\1", value.strip().strip('"'))
            pieces.setdefault(int(number or 0), (number is None or star is not None, text))
    if not pieces:
        return None
    charset = "utf-8"
    data = b""
    for number in sorted(pieces):
        encoded, text = pieces[number]
        if encoded and not data and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        raw = text.encode("latin-1", "replace")
        data += unquote_to_bytes(raw) if encoded else raw
    latin = charset.strip().lower() in ("iso-8859-1", "latin1")
    return data.decode("latin-1" if latin else "utf-8", "replace")


class _Parser(MultiPartParser):
    """The parser of Starlette, for which a part with only `filename*=` would be a field."""

    def on_headers_finished(self) -> None:
        part = self._current_part
        _check_encoding(part.item_headers)
        disposition = part.content_disposition or b""
        name = extended_name(disposition.decode("latin-1"))
        if name is not None:  # in front, where no quote is open
            kind, _, rest = disposition.partition(b";")
            part.content_disposition = kind + b'; filename="file";' + rest
        super().on_headers_finished()
        if name is not None and part.file is not None:
            part.file.filename = name


async def _parse(request: Request, settings: ServerSettings) -> FormData:
    parser = _Parser(
        _form_headers(request),
        _stream(request),
        max_files=settings.max_images,
        max_fields=_MOST_FIELDS,
        max_part_size=settings.max_body_bytes,
    )
    # In memory: it is bounded already, and there may be no disk to write to.
    parser.spool_max_size = settings.max_body_bytes + 1
    try:
        return await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise too_many_images(settings.max_images + 1, settings.max_images) from None
        raise invalid(f"The form cannot be read: {error.message}.") from None
    except (FormParserError, KeyError, UnicodeDecodeError, LookupError):
        raise invalid("The form cannot be read.") from None


def _check_encoding(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a part in base64, say, which would else be taken for the image itself."""
    for name, value in headers:
        if name in (b"content-transfer-encoding", b"content-encoding"):
            encoding = value.decode("latin-1").strip().lower()
            if encoding not in _AS_IT_IS:
                raise MultiPartException(
                    f"a part is in ‘{_clean_name(encoding[:50])}’; send the bytes of the file as "
                    "they are"
                )


def _form_headers(request: Request) -> Headers:
    """The boundary, and no `charset`: some of those that Python knows take long, or fail."""
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise invalid("The form cannot be read: its boundary is missing or not a valid one.")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode()}"'})


def _clean_name(name: str) -> str | None:
    """The name as it may be shown, in JSON, in a log, on a terminal."""
    return _UNPRINTABLE.sub("\ufffd", name[:_LONGEST_NAME]) or None


async def _stream(request: Request) -> AsyncGenerator[bytes, None]:
    async for chunk in request.stream():
        yield chunk
