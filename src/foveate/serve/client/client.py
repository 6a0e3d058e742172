"""The client itself."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload
from urllib.parse import quote

import numpy as np
from pydantic import ValidationError

from foveate import files
from foveate.catalog import read_file
from foveate.classifier import ImageLike, Prediction
from foveate.errors import CallError, ImageRefused
from foveate.image import Limits
from foveate.ordered import map_in_order
from foveate.serve.client import errors
from foveate.serve.client.connection import open_connections, server_url
from foveate.serve.client.retrying import NoAnswerError, OnRetry, RetryingSender
from foveate.serve.schemas import ModelsResponse, PredictResponse

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

AHEAD = 8
"""Images a thread that may be answered while an earlier one is still waited for."""
LEAVE_TAKING = 0.5
"""Seconds that requests which nobody waits for any more have to give their connections back."""
NOT_ANSWERED = "not answered"
"""How the error of an image begins that was sent, and sent again, without an answer."""


class Client:
    """Predicts with a classifier that a server holds. Threads may share one.

    Args:
        url: of the server; `/predict` at its end is allowed.
        token: the bearer token, where the server wants one.
        model: which of the server's models; None is its default.
        timeout: seconds to wait for a connection and for an answer.
        retries: times that an image is sent again when the server is busy or gone.
        parallel: images on their way at once.
        as_base64: send JSON with base64 instead of the bytes of the image.
        cacert: a PEM file with the certificates to trust instead of the usual ones.
        on_retry: called before each pause, from any thread, with a sentence and the seconds.

    Raises:
        CallError: the URL, the token or `cacert` is unusable, or httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        model: str | None = None,
        timeout: float = 60.0,
        retries: int = 6,
        parallel: int = 8,
        as_base64: bool = False,
        cacert: str | Path | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        self.url = server_url(url)
        self.model = model
        self.answered_by: str | None = None
        """The model that the last answer came from; None before the first."""
        self._has_token = token is not None
        self._parallel = parallel
        self._as_base64 = as_base64
        http = open_connections(self.url, token, timeout=timeout, parallel=parallel, cacert=cacert)
        self._sender = RetryingSender(
            http, self.url, timeout=timeout, retries=retries, on_retry=on_retry
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; what is waiting for a retry gives up."""
        self._sender.close()

    # A string is a sequence of strings to the type checker, but one path to us.
    @overload
    def predict(self, images: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, images: Sequence[ImageLike]) -> list[Prediction]: ...
    def predict(self, images: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """Label and probabilities of one image, or of each of several.

        An image that cannot be used does not raise: its prediction carries the `error`.

        Raises:
            CallError: the server cannot be reached, or will answer no image.
        """
        if isinstance(images, str | Path | bytes | np.ndarray):
            return self._predict(images)
        return list(self.stream(images))

    def stream(self, images: Iterable[ImageLike]) -> Iterator[Prediction]:
        """The predictions of any number of images, in their order, as they arrive.

        An image is read when it is sent, so memory holds `parallel` of them. Beginning with
        "not answered" is the error of an image that got no answer while others did.

        Raises:
            CallError: the server cannot be reached, or will answer no image.
        """
        return map_in_order(
            self._predict, images, self._parallel, ahead=AHEAD, patience=LEAVE_TAKING
        )

    def models(self) -> list[str]:
        """The names of the server's models, its default first.

        Raises:
            CallError: the server cannot be reached, or does not say.
        """
        response = self._sender.send("GET", "/models")
        if not response.is_success:
            raise errors.refusal(response, self.url, has_token=self._has_token)
        try:
            models = ModelsResponse.model_validate_json(response.content).models
        except ValidationError:
            raise errors.stranger(self.url) from None
        return [model.name for model in sorted(models, key=lambda model: not model.default)]

    def _predict(self, image: ImageLike) -> Prediction:
        path = files.printable(str(image)) if isinstance(image, str | Path) else None
        try:
            body, kind = self._body(_read(image))
        except ImageRefused as refusal:
            return Prediction(path, None, None, {}, str(refusal))
        began = time.monotonic()
        try:
            response = self._sender.send("POST", "/predict" + self._query(), body, kind)
        except NoAnswerError as error:
            # One image that the server is silent about does not stop the others.
            if self._sender.last_answer < began:
                raise
            return Prediction(path, None, None, {}, f"{NOT_ANSWERED}: {error}")
        if not response.is_success:
            refused = errors.refused_image(response, sent=len(body))
            if refused is None:
                raise self._refusal(response)
            return Prediction(path, None, None, {}, refused)
        try:
            answer = PredictResponse.model_validate_json(response.content)
            (prediction,) = answer.predictions
        except ValueError:  # not JSON of this kind, or not one prediction
            raise errors.stranger(self.url) from None
        self.answered_by = answer.model
        return Prediction(path, prediction.label, prediction.probability, prediction.probabilities)

    def _body(self, data: bytes) -> tuple[bytes, str]:
        if self._as_base64:
            return b'{"images": ["' + base64.b64encode(data) + b'"]}', "application/json"
        return data, "application/octet-stream"

    def _query(self) -> str:
        return f"?model={quote(self.model, safe='')}" if self.model is not None else ""

    def _refusal(self, response: httpx.Response) -> CallError:
        """Why the server will answer no image; it may be asked which models it has."""
        if errors.failure(response).reason == "unknown_model" and self.model is not None:
            return CallError(
                f"The server at {self.url} has no model ‘{self.model}’; it has "
                f"{', '.join(self.models())}."
            )
        return errors.refusal(response, self.url, has_token=self._has_token)


def _read(image: ImageLike) -> bytes:
    """The bytes to send.

    Raises:
        ImageRefused: there are none, or too many.
    """
    if isinstance(image, np.ndarray):
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
    limits = Limits()
    data = image if isinstance(image, bytes) else read_file(files.file_entry(str(image)), limits)
    limits.check_bytes(len(data))
    return data
