"""The images in the body of a request: JSON with base64, a form with files, or one raw image."""

from __future__ import annotations

import binascii
import re
from collections.abc import AsyncGenerator
from http import HTTPStatus

import pybase64
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from foveate.errors import Reason
from foveate.serve.refusal import RefusedImage, RequestRefused, images_refused
from foveate.serve.schemas import PredictRequest
from foveate.serve.service import Upload
from foveate.serve.settings import ServerSettings

MEDIA_TYPES = ("application/json", "multipart/form-data", "application/octet-stream", "image/*")

_DATA_URL = re.compile(r"data:[^,]{0,100};base64,")
_MOST_FIELDS = 100
"""Fields of a form that are not files; they are ignored."""


async def read_uploads(request: Request, settings: ServerSettings) -> list[Upload]:
    """The images of a request, in its order.

    Raises:
        RequestRefused: 413 too many, 415 another media type, 422 not what the media type says.
    """
    media = request.headers.get("content-type", "application/octet-stream")
    media = media.partition(";")[0].strip().lower()
    if media == "application/json":
        uploads = _from_json(await request.body(), settings)
    elif media == "multipart/form-data":
        uploads = await _from_form(request, settings)
    elif media == "application/octet-stream" or media.startswith("image/"):
        uploads = [Upload(None, await request.body())]
    else:
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_type",
            f"A body of type ‘{media[:100]}’ is not understood; send {', '.join(MEDIA_TYPES)}.",
        )
    if not uploads:
        raise invalid("The request holds no image.")
    return uploads


def decode_base64(text: str, index: int) -> bytes:
    """The bytes that a text in base64 stands for; also with line ends, or as a data URL.

    Args:
        text: standard or URL-safe alphabet.
        index: of the image in its request.

    Raises:
        RequestRefused: 422, it is not base64.
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    prefix = _DATA_URL.match(text)
    text = "".join(text[prefix.end() if prefix else 0 :].split())
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        refused = RefusedImage(index, None, Reason.UNSUPPORTED, "It is not base64.")
        raise images_refused([refused]) from None


def check_count(count: int, settings: ServerSettings) -> None:
    """Refuse too many images.

    Raises:
        RequestRefused: 413.
    """
    if count > settings.max_images:
        raise RequestRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_large",
            f"The request brings {count} images; at most {settings.max_images} are taken.",
        )


def invalid(sentence: str) -> RequestRefused:
    """A refusal of a request that is not what its media type says."""
    return RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", sentence)


def in_words(error: ValidationError) -> str:
    """Where a body does not fit, as a sentence; without what was sent."""
    problem = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"The body does not fit{f' at ‘{where[:100]}’' if where else ''}: {problem['msg']}."


def _from_json(body: bytes, settings: ServerSettings) -> list[Upload]:
    try:
        images = PredictRequest.model_validate_json(body).images
    except ValidationError as error:
        raise invalid(in_words(error)) from None
    check_count(len(images), settings)
    return [Upload(None, decode_base64(text, index)) for index, text in enumerate(images)]


async def _from_form(request: Request, settings: ServerSettings) -> list[Upload]:
    parser = MultiPartParser(
        request.headers,
        _stream(request),
        max_files=settings.max_images,
        max_fields=_MOST_FIELDS,
        max_part_size=settings.max_body_bytes,
    )
    # In memory: it is bounded already, and there may be no disk to write to.
    parser.spool_max_size = settings.max_body_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            check_count(settings.max_images + 1, settings)
        raise invalid(f"The form cannot be read: {error.message}.") from None
    except (FormParserError, KeyError, UnicodeDecodeError, LookupError):
        raise invalid("The form cannot be read.") from None
    try:
        return [
            Upload(value.filename or None, await value.read())
            for _, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
    finally:
        await form.close()


async def _stream(request: Request) -> AsyncGenerator[bytes, None]:
    async for chunk in request.stream():
        yield chunk
