"""What a server may be told: every limit and its default, in one place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from foveate.errors import SettingsError

MIB = 2**20


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", text.lower()):
        raise ValueError("an origin is scheme://host[:port], as https://shop.example, or *")
    return text.lower()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError("a proxy is an address or a network, as 10.0.0.0/8") from None


class ServerSettings(BaseModel):
    """Addresses, limits and secrets of one server; the command line has a flag for each.

    Attributes:
        host: address to listen on; the default is reached from this machine only.
        port: 0 takes a free one.
        workers: processes that decode and infer, each on one core; None is one per usable core.
        queue: images that may wait; a request that would make them more is refused with 503.
        max_wait: seconds that an image may wait for its answer, by the speed of just now; where it
            would be longer, its request is refused with 503.
        batch: images that a worker takes at once, at most.
        max_images: images that a request may bring.
        max_body: MiB that a request may bring.
        max_pixels: megapixels that an image may declare.
        max_connections: connections at once; more are refused with 503.
        max_client_connections: of them from one address; None is nine in ten.
        probe_port: where health and metrics are answered, too, whatever the server is busy with;
            None is nowhere.
        deadline: seconds from a request's arrival to its answer.
        grace: seconds for what was taken when the server is told to stop.
        token_file: one bearer token a line; read again when it changes.
        cors_origin: whose pages may ask from a browser, as `scheme://host[:port]`; `*` is all.
        trusted_proxy: addresses or networks of proxies whose `X-Forwarded-…` is believed.
        tls_cert: certificate chain, PEM.
        tls_key: its private key, PEM.
        log_predictions: JSON lines, one an image; None keeps none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    workers: int | None = Field(None, ge=1, le=1024)
    queue: int = Field(64, ge=1, le=100_000)
    max_wait: float = Field(1, gt=0, le=3600)
    batch: int = Field(4, ge=1, le=256)
    max_images: int = Field(32, ge=1, le=10_000)
    max_body: int = Field(32, ge=1, le=2048)
    max_pixels: int = Field(50, ge=1, le=1000)
    max_connections: int = Field(2000, ge=1, le=1_000_000)
    max_client_connections: int | None = Field(None, ge=1, le=1_000_000)
    probe_port: int | None = Field(None, ge=0, le=65_535)
    deadline: float = Field(10, gt=0, le=3600)
    grace: float = Field(20, ge=0, le=3600)
    token_file: Path | None = None
    cors_origin: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    trusted_proxy: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_predictions: Path | None = None

    @property
    def max_body_bytes(self) -> int:
        """Bytes that a request may bring."""
        return self.max_body * MIB

    @property
    def bodies_bytes(self) -> int:
        """Bytes that all requests together may have in memory: eight of the largest."""
        return 8 * self.max_body_bytes


def make_server_settings(flags: Mapping[str, object]) -> ServerSettings:
    """Settings from flags; None where a flag was not given.

    Raises:
        SettingsError: a value is out of range.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return ServerSettings.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        flag = "--" + str(problem["loc"][0]).replace("_", "-")
        message = problem["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{flag} {problem['input']}: {message}.") from None
