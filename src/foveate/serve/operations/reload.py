"""Takes over files that are replaced while the server runs: classifiers, tokens, certificates."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from foveate.errors import ModelFileError, SettingsError
from foveate.serve.http.tokens import Tokens
from foveate.serve.models import Fingerprint, fingerprint, read_served
from foveate.serve.operations.logs import log
from foveate.serve.operations.metrics import Metrics
from foveate.serve.operations.tls import Certificate
from foveate.serve.workers.pool import Pool
from foveate.serve.workers.process import WorkerDied

POLL_SECONDS = 1.0
"""Between two looks at the files. One that changes between two looks is still being written."""

_AGAIN_SECONDS = 30.0
"""After workers did not start with new files, for want of memory, say."""


class Reloader:
    """Watches the files of a server.

    Args:
        pool: whose classifiers are watched.
        tokens: whose file is watched.
        certificate: whose files are watched; None without TLS.
        metrics: told what became of a replaced classifier.
    """

    def __init__(
        self, pool: Pool, tokens: Tokens, certificate: Certificate | None, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._certificate = certificate
        self._asked = asyncio.Event()
        self._metrics = metrics
        self._before: dict[str, Fingerprint | None] = {}
        self._tried: dict[str, Fingerprint | None] = {
            name: model.fingerprint for name, model in pool.models.items()
        }
        self._again = 0.0
        self._looking = asyncio.Lock()
        self._errors: dict[str, str] = {}

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), POLL_SECONDS)
            try:
                if self._asked.is_set():
                    self._asked.clear()
                    await self.reload_now()
                    continue
                self._read_again("tokens", self._tokens)
                self._read_again("certificate", self._certificate)
                if time.monotonic() >= self._again:
                    async with self._looking:
                        await self._look()
            except Exception as error:  # whatever it is, the next look may go well
                log("watching files failed", level=logging.ERROR, trace=True, error=str(error))

    def ask(self) -> None:
        """Have all files read again, soon."""
        self._asked.set()

    async def reload_now(self) -> dict[str, str | None]:
        """Read all files again, whether they seem to have changed or not.

        Returns:
            For every classifier why its file was refused; None where it is served as it is.
        """
        async with self._looking:
            self._read_again("tokens", self._tokens, asked=True)
            self._read_again("certificate", self._certificate, asked=True)
            names = list(self._pool.models)
            self._tried = {name: fingerprint(self._pool.models[name].path) for name in names}
            await self._take_over(names)
            return {name: self._errors.get(name) for name in names}

    async def _look(self) -> None:
        now = {name: fingerprint(model.path) for name, model in self._pool.models.items()}
        changed = [
            name
            for name in now
            if now[name] is not None
            and now[name] == self._before.get(name)
            and now[name] != self._tried[name]
        ]
        self._before = now
        if changed:
            self._tried |= {name: now[name] for name in changed}
            await self._take_over(changed)

    async def _take_over(self, names: Sequence[str]) -> None:
        models = self._pool.models
        read = dict(models)
        for name in names:
            try:
                read[name] = await asyncio.to_thread(read_served, name, models[name].path)
                self._errors.pop(name, None)
            except ModelFileError as error:
                self._refused([name], error)
        newer = [name for name in names if read[name].id != models[name].id]
        for name in set(names) - set(newer) - set(self._errors):
            self._metrics.reloaded([name])
        if not newer:
            return
        try:
            await self._pool.take_over(list(read.values()))
        except ModelFileError as error:
            self._refused(newer, error)
        except WorkerDied as error:
            self._refused(newer, error)
            for name in newer:
                self._tried[name] = None
            self._again = time.monotonic() + _AGAIN_SECONDS
        else:
            self._metrics.reloaded(newer, "taken")
            log("model replaced", models={name: read[name].id for name in newer})

    def _refused(self, names: Sequence[str], error: Exception) -> None:
        self._errors |= dict.fromkeys(names, str(error))
        self._metrics.reloaded(names, "refused")
        log(
            "replaced model refused; the one before is served on",
            level=logging.ERROR,
            models=list(names),
            error=str(error),
        )

    def _read_again(
        self, what: str, files: Tokens | Certificate | None, *, asked: bool = False
    ) -> None:
        if files is None or not (asked or files.changed()):
            return
        try:
            files.read()
            log(f"{what} read again")
        except SettingsError as error:
            log(f"{what} as before", level=logging.ERROR, error=str(error))
