"""What stands before the endpoints: who may ask, how much and for how long, and what is logged."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveate.serve.connection import CONNECTION_KEY
from foveate.serve.logs import log
from foveate.serve.refusal import RequestRefused, busy
from foveate.serve.service import Service

OPEN_PATHS = frozenset(
    {
        "/",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
    }
)
"""What everybody may ask: nothing about the classifiers or the traffic."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_MODEL_PATH = re.compile(r"/v2/models/[^/]+(/ready|/infer)?")
_ROUTES = OPEN_PATHS | {"/models", "/predict", "/metrics"}
_DISCARDED = 4
"""A body over the limit is read on up to so many times the limit, and thrown away: a client
that is cut off while it still sends often never sees why."""

UNTIL_KEY = "foveate.until"
ID_KEY = "foveate.request_id"
REASON_KEY = "foveate.reason"
IMAGES_KEY = "foveate.images"

_SMALL = 2**20
"""Bytes of a body that is still taken when large ones are refused for want of room."""


@dataclass(slots=True)
class _Bodies:
    """Bytes of bodies in memory, of all requests together."""

    held: int = 0


class Guard:
    """ASGI middleware around the endpoints.

    It puts into the scope of every request its id, and the time of the event loop by which it has
    to be answered; the application puts there how many images came, and why it refused.

    Args:
        app: the endpoints.
        service: limits, tokens, metrics.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._bodies = _Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = Headers(scope=scope)
        shown = headers.get("x-request-id", "")
        request_id = shown if _REQUEST_ID.fullmatch(shown) else uuid4().hex
        until = asyncio.get_running_loop().time() + self._service.settings.deadline
        scope.update({ID_KEY: request_id, UNTIL_KEY: until})
        asked = scope["method"]
        if asked == "HEAD":  # answered as GET is; uvicorn leaves out the body
            scope = {**scope, "method": "GET"}
        body = _Body(receive, self._service, self._bodies, until)
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        connection = scope.get("extensions", {}).get(CONNECTION_KEY, {}).get("connection")
        task = asyncio.current_task()
        if connection is not None and task is not None:
            connection.when_lost = task.cancel  # nobody works for a client that has gone
        try:
            self._admit(scope, headers)
            await self._app(scope, body.receive, send_marked)
        except RequestRefused as refusal:
            scope[REASON_KEY] = refusal.reason
            await refusal.response(request_id)(scope, body.receive, send_marked)
        except asyncio.CancelledError:  # the client has gone, or the server's grace is over
            stopping = busy("stopping", "The server is stopping.")
            lost = connection is not None and connection.lost
            scope[REASON_KEY] = "gone" if lost else stopping.reason
            if not status and not lost:
                await stopping.response(request_id)(scope, body.receive, send_marked)
        except Exception:  # the application has answered already, with 500
            log(
                "request failed",
                level=logging.ERROR,
                trace=True,
                request_id=request_id,
                path=_shown_path(scope),
            )
        finally:
            if connection is not None:
                connection.when_lost = None
            body.release()
            scope["method"] = asked
            self._tell(scope, request_id, status, time.perf_counter() - start, body.received)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Refuse by the headers alone what can be."""
        service = self._service
        path, posts = scope["path"], scope["method"] == "POST"
        if path not in OPEN_PATHS and not service.tokens.allow(headers.get("authorization")):
            raise RequestRefused(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "Show a token of this server: `Authorization: Bearer TOKEN`.",
                headers={"www-authenticate": "Bearer"},
            )
        declared = headers.get("content-length", "")
        limit = service.settings.max_body_bytes
        # Where the client asks first, or would send more than is worth throwing away.
        most = limit if "expect" in headers else _DISCARDED * limit
        if declared.isdecimal() and len(declared) < 20 and int(declared) > most:
            raise _too_large(service)
        if posts and (path == "/predict" or path.startswith("/v2/models/")):
            service.check_room()

    def _tell(
        self, scope: Scope, request_id: str, status: int, seconds: float, received: int
    ) -> None:
        path: str = scope["path"]
        matched = _MODEL_PATH.fullmatch(path)
        route = f"/v2/models/NAME{matched[1] or ''}" if matched else path
        if not matched and path not in _ROUTES:
            route = "other"
        shown = str(status or "gone")  # no response: the client had gone, or the server stops
        reason = scope.get(REASON_KEY)
        if reason is not None:
            self._service.metrics.rejections.labels(reason).inc()
        self._service.metrics.requests.labels(route, shown).observe(seconds)
        log(
            "request",
            level=logging.INFO if scope["method"] == "POST" or status >= 400 else logging.DEBUG,
            request_id=request_id,
            method=scope["method"],
            path=_shown_path(scope),
            status=status or None,
            milliseconds=round(1000 * seconds, 2),
            bytes=received,
            images=scope.get(IMAGES_KEY),
            client=(scope.get("client") or (None,))[0],
            reason=reason,
        )


def _shown_path(scope: Scope) -> str:
    """As it was sent, percent-encoded: decoded, it may hold ends of lines and worse."""
    return str(scope["raw_path"][:200], "ascii", "backslashreplace")


class _Body:
    """The body of one request, within the limits of one and of all."""

    def __init__(self, receive: Receive, service: Service, bodies: _Bodies, until: float) -> None:
        self._receive = receive
        self._service = service
        self._bodies = bodies
        self._until = until
        self._complete = False
        self._held = 0
        self.received = 0

    async def receive(self) -> Message:
        """The next message.

        Raises:
            RequestRefused: 408 too slow, 413 too large, 503 all bodies together are.
        """
        if self._complete:  # what comes now is the end of the connection: wait as long as it takes
            return await self._receive()
        message = await self._next()
        limit = self._service.settings.max_body_bytes
        if self.received > limit:
            self.release()
            while not self._complete and self.received <= _DISCARDED * limit:
                await self._next()
            raise _too_large(self._service)
        most = self._service.settings.bodies_bytes
        held = self._bodies.held
        # Large bodies first: a few of them that come slowly must not keep out all small ones.
        if held > 2 * most or (held > most and self._held > _SMALL):
            raise busy("queue_full", "Too much is being sent at once; try again later.")
        return message

    def release(self) -> None:
        """The body is not in memory any more."""
        self._bodies.held -= self._held
        self._held = 0

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self._complete = True
            raise RequestRefused(
                HTTPStatus.REQUEST_TIMEOUT,
                "too_slow",
                f"The request did not arrive within {self._service.settings.deadline:g} s.",
                headers={"connection": "close"},
            ) from None
        count = len(message.get("body", b""))
        self.received += count
        self._held += count
        self._bodies.held += count
        self._complete = not message.get("more_body", False)
        return message


def _too_large(service: Service) -> RequestRefused:
    return RequestRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"The body is larger than {service.settings.max_body} MiB.",
        headers={"connection": "close"},
    )
