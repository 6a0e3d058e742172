"""The images in the body of a request: JSON with base64, a form with files, or one raw image."""

from __future__ import annotations

import binascii
import re
from http import HTTPStatus

import pybase64
from pydantic import ValidationError
from starlette.requests import Request

from foveate.errors import Reason
from foveate.serve.http.forms import read_form
from foveate.serve.http.refusals import (
    RequestRefused,
    images_refused,
    invalid,
    too_many_images,
)
from foveate.serve.schemas import ErrorImage, PredictRequest
from foveate.serve.service import Upload
from foveate.serve.settings import ServerSettings

MEDIA_TYPES = ("application/json", "multipart/form-data", "application/octet-stream", "image/*")

_DATA_URL = re.compile(r"data:[^,]{0,100};base64,")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_MOST_VALUES = 1000
"""Values in JSON besides four an image: parsed, each of three bytes takes some hundred."""


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
        uploads = await read_form(request, settings)
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
    try:
        data = text[prefix.end() if prefix else 0 :].encode("ascii")
        data = data.translate(_URL_SAFE, b" \t\r\n\v\f").rstrip(b"=")
        return pybase64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        refused = ErrorImage(
            index=index, name=None, reason=Reason.UNSUPPORTED, error="It is not base64."
        )
        raise images_refused([refused]) from None


def check_count(count: int, settings: ServerSettings) -> None:
    """Refuse too many images.

    Raises:
        RequestRefused: 413.
    """
    if count > settings.max_images:
        raise too_many_images(count, settings.max_images)


def check_values(body: bytes, settings: ServerSettings) -> None:
    """Refuse JSON of more values than a request can mean, before it is parsed.

    Neither base64 nor the name of anything holds what is counted here.

    Raises:
        RequestRefused: 413.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES + 4 * settings.max_images:
        raise RequestRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_large",
            f"The JSON holds too many values; at most {settings.max_images} images are taken.",
        )


def in_words(error: ValidationError) -> str:
    """Where a body does not fit, as a sentence; without what was sent."""
    problem = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"The body does not fit{f' at ‘{where[:100]}’' if where else ''}: {problem['msg']}."


def _from_json(body: bytes, settings: ServerSettings) -> list[Upload]:
    check_values(body, settings)
    try:
        images = PredictRequest.model_validate_json(body).images
    except ValidationError as error:
        raise invalid(in_words(error)) from None
    check_count(len(images), settings)
    return [Upload(None, decode_base64(text, index)) for index, text in enumerate(images)]
