"""A client of `foveate serve`: sends images, waits out a busy or restarting server.

    with Client("http://localhost:8000", token=os.environ["FOVEATE_TOKEN"]) as client:
        client.predict("shirt.jpg").label
        client.predict(["a.jpg", "b.jpg"])        # several at once, in the order given
        for one in client.stream(paths):          # any number, memory stays flat
            ...

It answers as `foveate.Classifier` does: an image that cannot be used is a prediction with an
`error`, and only what concerns every image (no server, a wrong token) is raised. It needs httpx,
which comes with `foveate[serve]`.
"""

from __future__ import annotations

import base64
import io
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from email.utils import parsedate_to_datetime
from pathlib import Path
from queue import SimpleQueue
from socket import EAI_NONAME, gaierror
from typing import TYPE_CHECKING, Annotated, TypeVar, overload
from urllib.parse import quote, urlsplit

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from foveate import __version__, files
from foveate.catalog import read_file
from foveate.classifier import ImageLike, Prediction
from foveate.errors import FoveateError, ImageRefused
from foveate.image import Limits

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

NOT_ANSWERED = "not answered"
"""How the error of an image begins that was sent, and sent again, without an answer."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0
"""Seconds before the first and, doubling, before a late retry; half of them are random."""
LONGEST_ASKED = 120.0
"""A `Retry-After` of more seconds is taken for a no."""
AHEAD = 8
"""Images per connection that may be answered while an earlier one is still waited for."""
LEAVE_TAKING = 0.5
"""Seconds that requests which nobody waits for any more have to end."""

_AGAIN = {429, 500, 502, 503, 504}
"""503 is busy; 500 may be a worker that died; the others are a gateway's words for the same."""
_TOO_LARGE = 413
_MOST_SHOWN = 300

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_Share = Annotated[float, Field(allow_inf_nan=False)]


class CallError(FoveateError):
    """A server cannot be reached or will not answer, whatever the image."""


class _Predicted(BaseModel):
    label: str
    probability: _Share
    probabilities: dict[str, _Share]


class _Answer(BaseModel):
    model: str
    predictions: list[_Predicted] = Field(min_length=1, max_length=1)


class _RefusedImage(BaseModel):
    reason: str
    error: str


class _Failure(BaseModel):
    error: str = ""
    reason: str = ""
    images: list[_RefusedImage] = []


class _Model(BaseModel):
    name: str
    default: bool = False


class _Models(BaseModel):
    models: list[_Model]


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
        on_retry: Callable[[str, float], None] | None = None,
    ) -> None:
        self.url = _base(url)
        self.model = model
        self.answered_by: str | None = None
        """The model that the last answer came from; None before the first."""
        self._has_token = token is not None
        self._timeout = timeout
        self._retries = retries
        self._parallel = parallel
        self._as_base64 = as_base64
        self._on_retry = on_retry
        self._closed = threading.Event()
        self._last_answer = -1.0
        self._http = _open(self.url, token, timeout=timeout, parallel=parallel, cacert=cacert)

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
        self._closed.set()
        self._http.close()

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
        return _in_order(self._predict, images, self._parallel)

    def models(self) -> list[str]:
        """The names of the server's models, its default first.

        Raises:
            CallError: the server cannot be reached, or does not say.
        """
        response = self._send("GET", "/models", None, None)
        if not response.is_success:
            raise self._refusal(response)
        try:
            models = _Models.model_validate_json(response.content).models
        except ValidationError:
            raise self._stranger() from None
        return [model.name for model in sorted(models, key=lambda model: not model.default)]

    def _predict(self, image: ImageLike) -> Prediction:
        path = files.printable(str(image)) if isinstance(image, str | Path) else None
        try:
            body, kind = self._body(_read(image))
        except ImageRefused as refusal:
            return Prediction(path, None, None, {}, str(refusal))
        began = time.monotonic()
        try:
            response = self._send("POST", "/predict" + self._query(), body, kind)
        except _NoAnswerError as error:
            # One image that the server is silent about does not stop the others.
            if self._last_answer < began:
                raise
            return Prediction(path, None, None, {}, f"{NOT_ANSWERED}: {error}")
        if not response.is_success:
            return Prediction(path, None, None, {}, self._refused_image(response, len(body)))
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError:
            raise self._stranger() from None
        self.answered_by, one = answer.model, answer.predictions[0]
        return Prediction(path, one.label, one.probability, one.probabilities)

    def _body(self, data: bytes) -> tuple[bytes, str]:
        if self._as_base64:
            return b'{"images": ["' + base64.b64encode(data) + b'"]}', "application/json"
        return data, "application/octet-stream"

    def _query(self) -> str:
        return f"?model={quote(self.model, safe='')}" if self.model is not None else ""

    def _send(self, method: str, path: str, body: bytes | None, kind: str | None) -> httpx.Response:
        """One request and its retries; the answer may be any but "busy"."""
        import httpx

        headers = {"Content-Type": kind} if kind else {}
        for attempt in range(self._retries + 1):
            asked = 0.0
            try:
                response = self._http.request(
                    method, self.url + path, content=body, headers=headers
                )
                if response.status_code not in _AGAIN:
                    self._last_answer = time.monotonic()
                    return response
                trouble, asked = self._busy(response), _retry_after(response)
            except httpx.TransportError as error:
                trouble = self._trouble(error)
            except httpx.RequestError:  # an answer that is not what its own headers say
                raise self._stranger() from None
            if attempt == self._retries or asked > LONGEST_ASKED:
                break
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
            pause = max(pause / 2, asked) + random.uniform(0, pause / 2)  # noqa: S311 - no secret
            if self._on_retry is not None:
                self._on_retry(trouble, pause)
            if self._closed.wait(pause):
                break
        again = f" It wants to be asked again in {asked:.0f} s." if asked > LONGEST_ASKED else ""
        times = f" Tried {attempt + 1} times." if attempt else ""
        raise _NoAnswerError(trouble + again + times)

    def _busy(self, response: httpx.Response) -> str:
        state = "failed" if response.status_code == 500 else "is busy or starting"
        return f"The server at {self.url} {state}: {_said(response)}"

    def _trouble(self, error: httpx.TransportError) -> str:
        """What is wrong with the connection.

        Raises:
            CallError: no retry can help.
        """
        import httpx

        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise CallError(
                    f"The certificate of {self.url} is not trusted: {cause.verify_message}. "
                    "Where it comes from a private authority, name that with `--cacert FILE`."
                ) from None
            if isinstance(cause, ssl.SSLError) and isinstance(error, httpx.ConnectError):
                raise CallError(
                    f"No TLS connection to {self.url}: {cause.reason or cause}. Perhaps the server "
                    "speaks plain HTTP: try http://."
                ) from None
            if isinstance(cause, gaierror) and cause.errno == EAI_NONAME:
                raise CallError(f"The machine in {self.url} is not known: check the URL.") from None
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return (
                f"No server answers at {self.url}. Start one with `foveate serve MODEL`, or "
                "check the URL."
            )
        if isinstance(error, httpx.TimeoutException):
            return f"The server at {self.url} did not answer within {self._timeout:g} s."
        tls = self.url.startswith("http:") and self._last_answer < 0
        perhaps = " Perhaps it speaks TLS: try https://." if tls else ""
        return f"The server at {self.url} closed the connection without an answer.{perhaps}"

    def _refused_image(self, response: httpx.Response, sent: int) -> str:
        """Why one image was refused.

        Raises:
            CallError: it was not for the sake of this image.
        """
        failure = _failure(response)
        if failure.images:
            one = failure.images[0]
            error = _printable(one.error)
            return error if error.startswith(f"{one.reason}:") else f"{one.reason}: {error}"
        if response.status_code == _TOO_LARGE:
            said = _printable(failure.error) or f"{sent / 2**20:.1f} MB are too much for the server"
            return f"too_large: {said}"
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> CallError:
        """A refusal that has nothing to do with the image."""
        status = response.status_code
        if status == 401:
            if self._has_token:
                return CallError(
                    f"The server at {self.url} does not accept this token. Put the right one into "
                    "the environment variable FOVEATE_TOKEN."
                )
            return CallError(
                f"The server at {self.url} wants a token. Put it into the environment variable "
                "FOVEATE_TOKEN."
            )
        if _failure(response).reason == "unknown_model" and self.model is not None:
            return CallError(
                f"The server at {self.url} has no model ‘{self.model}’; it has "
                f"{', '.join(self.models())}."
            )
        if response.is_redirect:
            target = _printable(response.headers.get("Location", ""))
            return CallError(f"The server at {self.url} sends on to ‘{target}’: use that URL.")
        if status in {404, 405} and not _failure(response).reason:
            return self._stranger()
        return CallError(f"The server at {self.url} answers {status}: {_said(response)}")

    def _stranger(self) -> CallError:
        return CallError(
            f"What answers at {self.url} does not answer as `foveate serve` does: check the URL."
        )


class _NoAnswerError(CallError):
    """All retries are used up."""


def _base(url: str) -> str:
    """The URL of a server, without `/predict` or a slash at the end."""
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CallError(f"‘{url}’ is not the URL of a server: it looks like http://HOST:8000.")
    if parts.username is not None or parts.password is not None:
        raise CallError("Leave user and password out of the URL; a token goes into FOVEATE_TOKEN.")
    if parts.query or parts.fragment:
        raise CallError(f"Leave out what follows ? or # in ‘{url}’; `--model` names a model.")
    path = parts.path.rstrip("/").removesuffix("/predict").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _open(
    url: str, token: str | None, *, timeout: float, parallel: int, cacert: str | Path | None
) -> httpx.Client:
    try:
        import httpx
    except ImportError:
        raise CallError(
            "To call a server, foveate needs httpx, which is not installed here: "
            "pip install 'foveate[serve]'"
        ) from None

    headers = {"User-Agent": f"foveate/{__version__}", "Accept": "application/json"}
    if token is not None:
        if not (token.isascii() and token.isprintable()) or " " in token or not token:
            raise CallError("FOVEATE_TOKEN is empty or has characters that no token has.")
        headers["Authorization"] = f"Bearer {token}"
    verify: ssl.SSLContext | bool = True
    if cacert is not None:
        try:
            verify = ssl.create_default_context(cafile=str(cacert))
        except OSError as error:  # ssl.SSLError is one, too
            why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise CallError(f"‘{cacert}’ cannot be used as --cacert: {why}.") from None
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise CallError(f"‘{url}’ is not the URL of a server: {error}.") from None
    limits = httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel)
    try:
        return httpx.Client(headers=headers, timeout=timeout, limits=limits, verify=verify)
    except (ImportError, ValueError) as error:
        raise CallError(f"The proxy that the environment names is unusable: {error}") from None


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


def _retry_after(response: httpx.Response) -> float:
    """Seconds, from a number or a date; 0 where nothing sensible is said."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _failure(response: httpx.Response) -> _Failure:
    try:
        return _Failure.model_validate_json(response.content)
    except ValidationError:
        return _Failure()


def _said(response: httpx.Response) -> str:
    words = _failure(response).error or f"{response.reason_phrase or response.status_code}."
    return _printable(words)


def _printable(text: str) -> str:
    """What a server said, without what could confuse a terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + "…"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _in_order(work: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> Iterator[_Out]:
    """The results of `work` in the order of the items, computed by several threads.

    Items are taken as they are needed. The threads are daemons, unlike those of an executor, so
    that Ctrl-C need not wait for a server that is silent.
    """
    jobs: SimpleQueue[tuple[Future[_Out], _In] | None] = SimpleQueue()
    pending: deque[Future[_Out]] = deque()

    def run() -> None:
        while (job := jobs.get()) is not None:
            future, item = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(item))
                except BaseException as error:
                    future.set_exception(error)
            del future, item, job  # not to hold an image while waiting

    workers: list[threading.Thread] = []
    try:
        for item in items:
            if len(workers) < threads:
                workers.append(threading.Thread(target=run, daemon=True, name="foveate-call"))
                workers[-1].start()
            future: Future[_Out] = Future()
            pending.append(future)
            jobs.put((future, item))
            if len(pending) >= threads * AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for waiting in pending:
            waiting.cancel()
        for _ in workers:
            jobs.put(None)
        # What is nearly done gives its connection back before anybody closes them all.
        last = time.monotonic() + LEAVE_TAKING
        for worker in workers:
            worker.join(max(last - time.monotonic(), 0.0))
