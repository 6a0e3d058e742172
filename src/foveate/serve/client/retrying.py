"""Requests that are sent again while the server is busy or gone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from foveate.errors import CallError
from foveate.serve.client import errors

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0
"""Seconds before the first and, doubling, before a late retry; half of them are random."""
LONGEST_ASKED = 120.0
"""A `Retry-After` of more seconds is taken for a no."""

_AGAIN = {429, 500, 502, 503, 504}
"""503 is busy; 500 may be a worker that died; the others are a gateway's words for the same."""

OnRetry = Callable[[str, float], None]
"""Told why there is a pause, in a sentence, and its seconds; from any thread."""


class NoAnswerError(CallError):
    """All retries are used up."""


class RetryingSender:
    """Sends requests to one server. Threads may share one.

    Args:
        http: the connections; closed with the sender.
        url: of the server.
        timeout: seconds that `http` waits for an answer.
        retries: times that a request is sent again.
        on_retry: called before each pause.

    Attributes:
        last_answer: when the server last answered anything but "busy", on the monotonic clock;
            -1 before that.
    """

    def __init__(
        self,
        http: httpx.Client,
        url: str,
        *,
        timeout: float,
        retries: int,
        on_retry: OnRetry | None,
    ) -> None:
        self.last_answer = -1.0
        self._http = http
        self._url = url
        self._timeout = timeout
        self._retries = retries
        self._on_retry = on_retry
        self._closed = threading.Event()

    def close(self) -> None:
        """Close the connections; what is waiting for a retry gives up."""
        self._closed.set()
        self._http.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, kind: str | None = None
    ) -> httpx.Response:
        """One request and its retries; the answer may be any but "busy".

        Args:
            method: of HTTP.
            path: below the URL, with the query.
            body: what is sent.
            kind: the media type of that.

        Raises:
            NoAnswerError: all retries are used up.
            CallError: no retry can help.
        """
        import httpx

        headers = {"Content-Type": kind} if kind else {}
        for attempt in range(self._retries + 1):
            asked = 0.0
            try:
                response = self._http.request(
                    method, self._url + path, content=body, headers=headers
                )
                if response.status_code not in _AGAIN:
                    self.last_answer = time.monotonic()
                    return response
                trouble, asked = errors.busy(response, self._url), _retry_after(response)
            except httpx.TransportError as error:
                trouble = errors.trouble(
                    error, self._url, timeout=self._timeout, answered=self.last_answer >= 0
                )
            except httpx.RequestError:  # an answer that is not what its own headers say
                raise errors.stranger(self._url) from None
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
        raise NoAnswerError(trouble + again + times)


def _retry_after(response: httpx.Response) -> float:
    """Seconds, from a number or a date; 0 where nothing sensible is said."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0
