"""The connections to one server: its URL, the token, the certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from foveate import __version__
from foveate.errors import CallError

if TYPE_CHECKING:
    import httpx


def server_url(url: str) -> str:
    """The URL of a server, without `/predict` or a slash at the end.

    Raises:
        CallError: it is not one.
    """
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


def open_connections(
    url: str, token: str | None, *, timeout: float, parallel: int, cacert: str | Path | None
) -> httpx.Client:
    """Make ready to connect; nothing is sent.

    Args:
        url: as `server_url` gives it.
        token: the bearer token, if there is one.
        timeout: seconds to wait for a connection and for an answer.
        parallel: connections at once.
        cacert: a PEM file with the certificates to trust instead of the usual ones.

    Raises:
        CallError: httpx is not installed, or one of these is unusable.
    """
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
    verify = True if cacert is None else _trusting(cacert)
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise CallError(f"‘{url}’ is not the URL of a server: {error}.") from None
    limits = httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel)
    try:
        return httpx.Client(headers=headers, timeout=timeout, limits=limits, verify=verify)
    except (ImportError, ValueError) as error:
        raise CallError(f"The proxy that the environment names is unusable: {error}") from None


def _trusting(cacert: str | Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(cacert))
    except OSError as error:  # ssl.SSLError is one, too
        why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise CallError(f"‘{cacert}’ cannot be used as --cacert: {why}.") from None
