"""What stands before the endpoints: who may ask, how much and for how long, and what is logged."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from http import HTTPStatus
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveate.serve.http.body import DISCARDED, Bodies, Body, too_large
from foveate.serve.http.browsers import Browsers, is_loopback
from foveate.serve.http.connection import CONNECTION_KEY
from foveate.serve.http.encoding import make_decoder
from foveate.serve.http.pacing import Pacing
from foveate.serve.http.proxies import Proxies
from foveate.serve.http.refusals import RequestRefused, busy
from foveate.serve.operations.logs import log
from foveate.serve.operations.tracing import Trace
from foveate.serve.service import Service, Upload
from foveate.serve.workers.queue import ImageAnswer

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
_MODEL_PATH = re.compile(r"/v2/models/[^/]+(/versions)?(?(1)/[^/]+)(/ready|/infer)?")
_ROUTES = OPEN_PATHS | {"/models", "/predict", "/metrics", "/admin/reload"}
UNTIL_KEY = "foveate.until"
ID_KEY = "foveate.request_id"
REASON_KEY = "foveate.reason"
IMAGES_KEY = "foveate.images"
TRACE_KEY = "foveate.trace"
TOKEN_KEY = "foveate.token"  # noqa: S105 - where its name is

_HELD = frozenset({"queue_full", "not_ready"})
"""Reasons of refusals that are told later where there are many of them."""


class RequestMiddleware:
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
        self._bodies = Bodies()
        # Some connections must be left to those who find room.
        self._pacing = Pacing(service.settings.max_connections * 17 // 20)
        self._is_loopback = is_loopback(service.settings.host)
        local = self._is_loopback and not service.tokens.wanted
        self._browsers = Browsers(local=local, origins=service.settings.cors_origin)
        self._proxies = Proxies(service.settings.trusted_proxy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = Headers(scope=scope)
        self._proxies.apply(scope)
        shown = headers.get("x-request-id", "")
        request_id = shown if _REQUEST_ID.fullmatch(shown) else uuid4().hex
        until = asyncio.get_running_loop().time() + self._service.settings.deadline
        scope.update({ID_KEY: request_id, UNTIL_KEY: until})
        asked = scope["method"]
        if asked == "HEAD":  # answered as GET is; uvicorn leaves out the body
            scope = {**scope, "method": "GET"}
        trace = self._service.tracer.begin(asked, _shown_path(scope), headers)
        if trace is not None:
            scope[TRACE_KEY] = trace
        # Hundreds may have found the room that there was when their first bytes came.
        arrived = self._service.check_room if _brings_images(scope) else None
        body = Body(receive, self._service.settings, self._bodies, until, arrived)
        status = 0
        held = False

        async def send_marked(message: Message) -> None:
            nonlocal status, held
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["method"] == "POST" and scope.get(REASON_KEY) in _HELD:
                    held = await self._pacing.wait()
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    *self._browsers.headers(headers),
                ]
                if trace is not None:
                    message["headers"].append((b"traceparent", trace.header.encode()))
            await send(message)

        connection = scope.get("extensions", {}).get(CONNECTION_KEY, {}).get("connection")
        task = asyncio.current_task()
        if connection is not None and task is not None:
            connection.when_lost = task.cancel  # nobody works for a client that has gone
        try:
            preflight = self._browsers.preflight(asked, headers)
            if preflight is not None:
                await preflight(scope, body.receive, send_marked)
                return
            self._admit(scope, headers)
            if asked == "POST":
                body.decoder = make_decoder(",".join(headers.getlist("content-encoding")))
            await self._app(scope, body.receive, send_marked)
        except RequestRefused as refusal:
            scope[REASON_KEY] = refusal.reason
            if connection is not None and refusal.reason in _HELD:
                connection.discard_body()
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
            if trace is not None:
                trace.end(status, scope.get(REASON_KEY))
            seconds = time.perf_counter() - start
            self._count(scope, status, seconds)
            if not held:
                self._tell(scope, request_id, status, seconds, body.received)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Refuse by the headers alone what can be."""
        service = self._service
        self._browsers.check(scope["path"], headers)
        if scope["path"] not in OPEN_PATHS:
            self._check_token(scope, headers.get("authorization"))
        declared = headers.get("content-length", "")
        limit = service.settings.max_body_bytes
        # Where the client asks first, or would send more than is worth throwing away.
        most = limit if "expect" in headers else DISCARDED * limit
        if declared.isdecimal() and len(declared) < 20 and int(declared) > most:
            raise too_large(service.settings)
        if _brings_images(scope):
            service.check_room()

    def _check_token(self, scope: Scope, authorization: str | None) -> None:
        """Refuse who shows no token, or one that is for something else."""
        grant = self._service.tokens.grant(authorization)
        if grant is None:
            raise RequestRefused(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "Show a token of this server: `Authorization: Bearer TOKEN`.",
                headers={"www-authenticate": "Bearer"},
            )
        scope[TOKEN_KEY] = grant.name
        wanted = wanted_scope(scope["path"])
        if wanted == "admin" and grant.name is None and not self._is_loopback:
            raise RequestRefused(
                HTTPStatus.FORBIDDEN,
                "forbidden",
                "A server that others reach is administered with a token only; it has none.",
            )
        if wanted not in grant.scopes:
            raise RequestRefused(
                HTTPStatus.FORBIDDEN,
                "forbidden",
                f"The token ‘{grant.name}’ is not for this; it wants one for ‘{wanted}’.",
                headers={"www-authenticate": 'Bearer error="insufficient_scope"'},
            )

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        path: str = scope["path"]
        matched = _MODEL_PATH.fullmatch(path)
        version = "/versions/V" if matched and matched[1] else ""
        route = f"/v2/models/NAME{version}{matched[2] or ''}" if matched else path
        if not matched and path not in _ROUTES:
            route = "other"
        shown = str(status or "gone")  # no response: the client had gone, or the server stops
        reason = scope.get(REASON_KEY)
        if reason is not None:
            self._service.metrics.rejections.labels(reason).inc()
        self._service.metrics.requests.labels(route, shown).observe(seconds)

    def _tell(
        self, scope: Scope, request_id: str, status: int, seconds: float, received: int
    ) -> None:
        trace: Trace | None = scope.get(TRACE_KEY)
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
            token=scope.get(TOKEN_KEY),
            trace_id=trace.trace_id if trace else None,
            span_id=trace.span_id if trace else None,
            reason=scope.get(REASON_KEY),
        )


async def classify(
    service: Service, request: Request, model: str | None, uploads: Sequence[Upload]
) -> list[ImageAnswer]:
    """Answers for the images of a request, in time, or a refusal.

    Raises:
        RequestRefused: see `Service.classify`.
    """
    request.scope[IMAGES_KEY] = len(uploads)
    return await service.classify(
        model,
        uploads,
        until=request.scope[UNTIL_KEY],
        request_id=request.scope[ID_KEY],
        trace=request.scope.get(TRACE_KEY),
    )


def wanted_scope(path: str) -> str:
    """What a token has to be for, to ask at an address that is not open."""
    if path == "/metrics":
        return "metrics"
    return "admin" if path.startswith("/admin/") else "predict"


def _brings_images(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and (path == "/predict" or path.startswith("/v2/models/"))


def _shown_path(scope: Scope) -> str:
    """As it was sent, percent-encoded: decoded, it may hold ends of lines and worse."""
    return str(scope["raw_path"][:200], "ascii", "backslashreplace")
