"""Start, listen, stop: the life of a server."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

import uvicorn

from foveate.errors import ModelFileError, SettingsError
from foveate.serve.app import make_app
from foveate.serve.connection import make_protocol
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
    with suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(models, settings, tell))
            return
    asyncio.run(_serve(models, settings, tell))


async def _serve(models: Sequence[ServedModel], settings: ServerSettings, tell: Tell) -> None:
    service = Service(models, settings)
    config = _config(service, settings)
    listening = _listen(settings)
    try:
        try:
            await service.start()
        except WorkerDied as death:
            raise ModelFileError(f"A worker does not start: {death}.") from None
        # What exists by now stays; the collector need not look through it again and again.
        gc.freeze()
        port = listening.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        scheme = "https" if settings.tls_cert else "http"
        server = _Server(config, lambda: tell(f"{scheme}://{host}:{port}"))
        await server.serve(sockets=[listening])
    finally:
        listening.close()
        await service.stop()
        log("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, whose end by a signal is a regular one."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
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


def _config(service: Service, settings: ServerSettings) -> uvicorn.Config:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingsError("TLS needs both: `--tls-cert` and `--tls-key`.")
    config = uvicorn.Config(
        make_app(service),
        http=make_protocol(settings.max_connections),
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(settings.grace),
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
            f"{error.strerror or error}."
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
