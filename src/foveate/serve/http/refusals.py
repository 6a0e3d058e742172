"""Requests that are not answered with predictions, each with a status, a reason and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from pydantic_core import to_json
from starlette.responses import Response

from foveate.serve.schemas import ErrorImage, ErrorResponse


class RequestRefused(Exception):  # noqa: N818 - reads as the sentence it is
    """A request is refused.

    Attributes:
        status: of the response.
        reason: one word for programs.
        sentence: one for people.
        retry_after: seconds after which it may work; None where it never will.
        images: those that are the cause.
        headers: of the response, besides.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        sentence: str,
        *,
        retry_after: int | None = None,
        images: Sequence[ErrorImage] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.sentence = sentence
        self.images = tuple(images)
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)

    def response(self, request_id: str) -> Response:
        """What the client is told."""
        body = ErrorResponse(
            error=self.sentence,
            reason=self.reason,
            request_id=request_id,
            images=list(self.images),
        )
        return Response(to_json(body), self.status, self.headers, "application/json")


def busy(reason: str, sentence: str, retry_after: int = 1) -> RequestRefused:
    """A refusal for now: 503 with `Retry-After`."""
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, reason, sentence, retry_after=retry_after)


def invalid(sentence: str) -> RequestRefused:
    """A refusal of a request that is not what its media type says."""
    return RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", sentence)


def too_many_images(count: int, most: int) -> RequestRefused:
    """A refusal of a request with more than `most` images."""
    sentence = f"The request brings {count} images; at most {most} are taken."
    return RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", sentence)


def images_refused(refused: Sequence[ErrorImage]) -> RequestRefused:
    """A refusal because of images: 413 where all of them are too large, else 422."""
    first = refused[0]
    which = f"Image {first.index + 1}" + (f" (‘{first.name}’)" if first.name else "")
    others = f" {len(refused)} images are refused in all." if len(refused) > 1 else ""
    if all(image.reason == "too_large" for image in refused):
        status, reason = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"
    else:
        status, reason = HTTPStatus.UNPROCESSABLE_ENTITY, "image_refused"
    return RequestRefused(
        status, reason, f"{which} cannot be used: {first.error}{others}", images=refused
    )
