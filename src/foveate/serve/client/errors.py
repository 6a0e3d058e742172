"""Why a server cannot be reached or will not answer, in sentences for people."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from socket import EAI_NONAME, gaierror
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from foveate.errors import CallError
from foveate.serve.schemas import ErrorImage, ErrorResponse

if TYPE_CHECKING:
    import httpx

MOST_SHOWN = 300
"""Characters of a server's words that are handed on."""

_TOO_LARGE = 413


class ServerFailure(ErrorResponse):
    """The answer to a request that failed; what a stranger leaves out is empty."""

    error: str = ""
    reason: str = ""
    request_id: str = ""
    images: list[ErrorImage] = Field(default_factory=list)


def failure(response: httpx.Response) -> ServerFailure:
    """What a response says about a failure."""
    try:
        return ServerFailure.model_validate_json(response.content)
    except ValidationError:
        return ServerFailure()


def printable(text: str) -> str:
    """What a server said, without what could confuse a terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"


def _words(response: httpx.Response) -> str:
    """A failure in the server's own words."""
    words = failure(response).error or f"{response.reason_phrase or response.status_code}."
    return printable(words)


def stranger(url: str) -> CallError:
    """What answers is not `foveate serve`."""
    return CallError(
        f"What answers at {url} does not answer as `foveate serve` does: check the URL."
    )


def refused_image(response: httpx.Response, *, sent: int) -> str | None:
    """Why one image was refused; None where that has nothing to do with the image.

    Args:
        response: neither a success nor "busy".
        sent: bytes of the request's body.
    """
    told = failure(response)
    if told.images:
        image = told.images[0]
        error = printable(image.error)
        return error if error.startswith(f"{image.reason}:") else f"{image.reason}: {error}"
    if response.status_code == _TOO_LARGE:
        words = printable(told.error) or f"{sent / 2**20:.1f} MB are too much for the server"
        return f"too_large: {words}"
    return None


def refusal(response: httpx.Response, url: str, *, has_token: bool) -> CallError:
    """Why the server will answer no image."""
    status = response.status_code
    if status == 401:
        if has_token:
            return CallError(
                f"The server at {url} does not accept this token. Put the right one into "
                "the environment variable FOVEATE_TOKEN."
            )
        return CallError(
            f"The server at {url} wants a token. Put it into the environment variable "
            "FOVEATE_TOKEN."
        )
    if response.is_redirect:
        target = printable(response.headers.get("Location", ""))
        return CallError(f"The server at {url} sends on to ‘{target}’: use that URL.")
    if status in {404, 405} and not failure(response).reason:
        return stranger(url)
    return CallError(f"The server at {url} answers {status}: {_words(response)}")


def busy(response: httpx.Response, url: str) -> str:
    """Why another attempt may succeed."""
    state = "failed" if response.status_code == 500 else "is busy or starting"
    return f"The server at {url} {state}: {_words(response)}"


def trouble(error: httpx.TransportError, url: str, *, timeout: float, answered: bool) -> str:
    """What is wrong with the connection, where another attempt may succeed.

    Args:
        error: from httpx.
        url: of the server.
        timeout: seconds that an answer was waited for.
        answered: whether this server has answered before.

    Raises:
        CallError: no retry can help.
    """
    import httpx

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise CallError(
                f"The certificate of {url} is not trusted: {cause.verify_message}. "
                "Where it comes from a private authority, name that with `--cacert FILE`."
            ) from None
        if isinstance(cause, ssl.SSLError) and isinstance(error, httpx.ConnectError):
            raise CallError(
                f"No TLS connection to {url}: {cause.reason or cause}. Perhaps the server "
                "speaks plain HTTP: try http://."
            ) from None
        if isinstance(cause, gaierror) and cause.errno == EAI_NONAME:
            raise CallError(f"The machine in {url} is not known: check the URL.") from None
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return (
            f"No server answers at {url}. Start one with `foveate serve MODEL`, or check the URL."
        )
    if isinstance(error, httpx.TimeoutException):
        return f"The server at {url} did not answer within {timeout:g} s."
    perhaps = (
        " Perhaps it speaks TLS: try https://." if url.startswith("http:") and not answered else ""
    )
    return f"The server at {url} closed the connection without an answer.{perhaps}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
