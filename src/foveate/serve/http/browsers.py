"""What web pages may have a browser ask: foreign host names and origins, and CORS.

A server on loopback without tokens is open to who sits at the machine, and to every web page that
a browser there shows: a page may send to it, and with a host name of its own that resolves to
127.0.0.1 (DNS rebinding) read the answers. So there only loopback names are served.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response

from foveate.serve.http.refusals import RequestRefused

PROBES = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""Asked by whatever name a probe has for the server; they tell nothing."""

_ORIGIN = re.compile(r"https?://([^/@?#]+)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]{0,5}\Z")
_SHOWN = 100

_ANSWERS_SHOW = "x-request-id, retry-after, traceparent, inference-header-content-length"
_REQUESTS_SEND = (
    "authorization, content-type, content-encoding, x-request-id, traceparent, "
    "inference-header-content-length"
)
_PREFLIGHT_SECONDS = 600


class Browsers:
    """Which hosts and origins may ask one server.

    Args:
        local: whether only those of this machine may: loopback without tokens.
        origins: whose pages may besides, as `scheme://host[:port]`; `*` is all.
    """

    def __init__(self, *, local: bool, origins: Collection[str]) -> None:
        self._local = local
        self._origins = frozenset(origins)

    def check(self, path: str, headers: Headers) -> None:
        """Refuse who may not ask.

        A request without `Host` comes from no browser.

        Raises:
            RequestRefused: 403, a foreign host or origin.
        """
        if not self._local or path in PROBES:
            return
        for host in headers.getlist("host"):
            if not is_loopback(_without_port(host)):
                raise _foreign(
                    "host", host, "ask as localhost or 127.0.0.1, or give the server tokens"
                )
        for origin in headers.getlist("origin"):
            matched = _ORIGIN.fullmatch(origin)
            local = matched is not None and is_loopback(_without_port(matched[1]))
            if not local and not self._allows(origin):
                raise _foreign("origin", origin, "allow its pages with --cors-origin")

    def preflight(self, method: str, headers: Headers) -> Response | None:
        """The answer to a browser that asks what it may send; None for any other request.

        Raises:
            RequestRefused: 403, pages of this origin may not ask.
        """
        asked = "origin" in headers and "access-control-request-method" in headers
        if method != "OPTIONS" or not asked or not self._origins:
            return None
        if not self._allows(headers["origin"]):
            raise _foreign("origin", headers["origin"], "allow its pages with --cors-origin")
        return Response(
            status_code=HTTPStatus.NO_CONTENT,
            headers={
                "access-control-allow-methods": "GET, HEAD, POST",
                "access-control-allow-headers": _REQUESTS_SEND,
                "access-control-max-age": str(_PREFLIGHT_SECONDS),
            },
        )

    def headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """What every answer to a request with these headers has to carry."""
        if not self._origins:
            return []
        marks = [(b"vary", b"origin")]
        origin = headers.get("origin")
        if origin is not None and self._allows(origin):
            allowed = "*" if "*" in self._origins else origin
            marks.append((b"access-control-allow-origin", allowed.encode("latin-1")))
            marks.append((b"access-control-expose-headers", _ANSWERS_SHOW.encode()))
        return marks

    def _allows(self, origin: str) -> bool:
        return "*" in self._origins or origin.lower() in self._origins


def is_loopback(host: str) -> bool:
    """Whether a name or an address, an IPv6 one in brackets or not, is this machine."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    return _PORT.sub("", host) if not host.endswith("]") else host


def _foreign(what: str, value: str, instead: str) -> RequestRefused:
    shown = "".join(c if " " < c <= "~" else "\ufffd" for c in value[:_SHOWN])
    return RequestRefused(
        HTTPStatus.FORBIDDEN,
        f"foreign_{what}",
        f"Nothing is answered for the {what} ‘{shown}’ here; {instead}.",
    )
