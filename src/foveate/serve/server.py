"""Start, listen, stop: the life of a server."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from logging import WARNING

import uvicorn

from foveate.errors import ModelFileError, SettingsError
from foveate.serve.app import make_app
from foveate.serve.connection import HEADER_SECONDS, make_protocol
from foveate.serve.logs import log
from foveate.serve.models import ServedModel
from foveate.serve.process import WorkerDied
from foveate.serve.service import Service
from foveate.serve.settings import ServerSettings

KEEP_ALIVE_SECONDS = 30
"""An idle connection is kept so long: longer than most clients wait between two requests."""

Tell = Callable[[str], None]
"""Told where the server is, when it accepts requests."""


def run_server(models: Sequence[ServedModel], settings: ServerSettings, tell: Tell) -> None:
    """Serve until told to stop by SIGTERM or Ctrl-C.

    Args:
        models: the classifiers, the default one first.
        settings: see there.
        tell: told the address, once requests are accepted.

    Raises:
        SettingsError: the address cannot be listened on; TLS files or tokens are not usable.
        ModelFileError: a classifier cannot be loaded or run.
    """
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):  # Windows has none
        from uvloop import new_event_loop as new_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(models, settings, tell))


async def _serve(models: Sequence[ServedModel], settings: ServerSettings, tell: Tell) -> None:
    service = Service(models, settings)
    if not service.tokens.wanted and not _is_loopback(settings.host):
        log("everybody who reaches this address is served: there are no tokens", level=WARNING)
    config = _config(service, settings)
    listening = _listen(settings)
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'https' if settings.tls_cert else 'http'}://{host}:{port}"
    server = _Server(config, lambda: tell(url))
    with server.capture_signals():
        try:
            if await _start(service, server):
                # What exists by now stays; the collector need not look through it again and again.
                gc.freeze()
                await server.serve(sockets=[listening])
        finally:
            listening.close()
            await service.stop()
            log("stopped")


async def _start(service: Service, server: _Server) -> bool:
    """Start the workers; whether they did, before a signal came."""
    starting = asyncio.ensure_future(service.start())
    asked = asyncio.ensure_future(server.asked.wait())
    try:
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return False
        starting.result()
        return True
    except WorkerDied as death:
        raise ModelFileError(f"A worker does not start: {death}.") from None
    finally:
        asked.cancel()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


def _is_loopback(host: str) -> bool:
    return host in ("127.0.0.1", "::1", "localhost")


class _Server(uvicorn.Server):
    """The server of uvicorn, with a limit for handshakes; a signal is a regular end.

    Attributes:
        asked: set when a signal has asked it to stop.
    """

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.asked = asyncio.Event()
        self._tell = started
        self._capturing = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config = self.config
        await self.lifespan.startup()

        def connect() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                connect,
                sock=one,
                ssl=config.ssl,
                ssl_handshake_timeout=HEADER_SECONDS if config.ssl else None,
                backlog=config.backlog,
            )
            for one in sockets or ()
        ]
        self.started = True
        self._tell()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if self._capturing:
            yield
            return
        self._capturing = True
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True  # asked twice
        else:
            log("stopping", seconds=self.config.timeout_graceful_shutdown)
        self.should_exit = True
        self.asked.set()


def _config(service: Service, settings: ServerSettings) -> uvicorn.Config:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingsError("TLS needs both: `--tls-cert` and `--tls-key`.")
    config = uvicorn.Config(
        make_app(service),
        http=make_protocol(
            settings.max_connections,
            lambda reason: service.metrics.rejections.labels(reason).inc(),
        ),
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.grace),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
    )
    try:
        config.load()
    except OSError as error:  # of which an SSLError is one
        raise SettingsError(
            f"The certificate ‘{settings.tls_cert}’ with the key ‘{settings.tls_key}’ cannot be "
            f"used: {error.strerror or error}."
        ) from None
    return config


def _listen(settings: ServerSettings) -> socket.socket:
    _allow_connections(settings.max_connections)
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server(
            (settings.host, settings.port), family=family, backlog=2048, reuse_port=False
        )
    except OSError as error:
        raise SettingsError(
            f"The server cannot listen on {settings.host}, port {settings.port}: "
            f"{os.strerror(error.errno) if error.errno else error}."
        ) from None


def _allow_connections(count: int) -> None:
    """Raise the limit of open files, where the system allows it, so that connections fit."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft < wanted:
        with suppress(ValueError, OSError):
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
