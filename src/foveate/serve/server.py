"""Start, listen, stop: the life of a server."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from logging import WARNING

import uvicorn

from foveate.errors import ModelFileError, SettingsError
from foveate.serve.http.accepting import Acceptor
from foveate.serve.http.connection import Clients, make_protocol
from foveate.serve.http.proxies import Proxies
from foveate.serve.http.routes import make_app
from foveate.serve.models import ServedModel
from foveate.serve.operations.logs import Writer, log
from foveate.serve.operations.probes import Probes
from foveate.serve.service import Service
from foveate.serve.settings import ServerSettings
from foveate.serve.workers.process import WorkerDied

KEEP_ALIVE_SECONDS = 30
"""An idle connection is kept so long: longer than most clients wait between two requests."""

OTHER_FILES = 256
"""Open files besides connections: pipes of the workers, logs, libraries."""

Tell = Callable[[str], None]
"""Told where the server is, when it accepts requests."""


def run_server(
    models: Sequence[ServedModel],
    settings: ServerSettings,
    tell: Tell,
    writer: Writer | None = None,
) -> None:
    """Serve until told to stop by SIGTERM or Ctrl-C.

    Args:
        models: the classifiers, the default one first.
        settings: see there.
        tell: told the address, once requests are accepted.
        writer: of the log, which metrics tell about.

    Raises:
        SettingsError: the address cannot be listened on; TLS files or tokens are not usable.
        ModelFileError: a classifier cannot be loaded or run.
    """
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):  # Windows has none
        from uvloop import new_event_loop as new_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(models, settings, tell, writer))


async def _serve(
    models: Sequence[ServedModel], settings: ServerSettings, tell: Tell, writer: Writer | None
) -> None:
    log("starting", models=[model.name for model in models])
    service = Service(models, settings, writer)
    if not service.tokens.wanted and not _is_loopback(settings.host):
        log("everybody who reaches this address is served: there are no tokens", level=WARNING)
    listening = _listen(settings)
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'https' if service.certificate else 'http'}://{host}:{port}"
    server = _Server(_config(service, settings), service, lambda: tell(url))
    with server.capture_signals(), ExitStack() as closing:
        try:
            if settings.probe_port is not None:
                probes = Probes(settings.host, settings.probe_port, service.state)
                closing.callback(probes.close)
                log("probes are answered", port=probes.port)
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

    def __init__(
        self, config: uvicorn.Config, service: Service, started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.asked = asyncio.Event()
        self._service = service
        self._tell = started
        self._capturing = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config = self.config
        await self.lifespan.startup()

        def connect() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        certificate = self._service.certificate

        def context() -> ssl.SSLContext | None:
            return None if certificate is None else certificate.context

        self.servers = [
            Acceptor(listening, connect, context)  # type: ignore[misc]
            for listening in sockets or ()
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
        again = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # Windows has none
        for number in again:
            loop.add_signal_handler(number, self._service.reload)
        try:
            yield
        finally:
            for number in (*signals, *again):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True  # asked twice
        else:
            log("stopping", seconds=self.config.timeout_graceful_shutdown)
        self.should_exit = True
        self.asked.set()


def _config(service: Service, settings: ServerSettings) -> uvicorn.Config:
    most = _allow_connections(settings.max_connections)
    config = uvicorn.Config(
        make_app(service),
        http=make_protocol(
            Clients(
                most,
                settings.max_client_connections or max(1, most * 9 // 10),
                Proxies(settings.trusted_proxy).trusts,
            ),
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
    )
    config.load()
    return config


def _listen(settings: ServerSettings) -> socket.socket:
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


def _allow_connections(wanted: int) -> int:
    """Raise the limit of open files, where the system allows it; how many connections then fit."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    fit = wanted if files == resource.RLIM_INFINITY else min(wanted, files - OTHER_FILES)
    fit = max(1, fit)
    if fit < wanted:
        log(
            "fewer connections than --max-connections, as the system allows few open files",
            level=WARNING,
            files=files,
            connections=fit,
        )
    else:
        log("limits", files=files, connections=fit)
    return fit
