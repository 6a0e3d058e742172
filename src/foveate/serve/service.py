"""The service behind the endpoints: images in, answers out, within the limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from foveate.runtime import usable_cores
from foveate.serve.http.refusals import RequestRefused, busy, images_refused
from foveate.serve.http.tokens import Tokens
from foveate.serve.models import ServedModel
from foveate.serve.operations.logs import PredictionLog, Writer
from foveate.serve.operations.metrics import Metrics
from foveate.serve.operations.probes import State
from foveate.serve.operations.reload import Reloader
from foveate.serve.operations.telemetry import make_tracer
from foveate.serve.operations.tls import read_certificate
from foveate.serve.operations.tracing import Trace
from foveate.serve.schemas import ErrorImage
from foveate.serve.settings import ServerSettings
from foveate.serve.workers.pool import Pool
from foveate.serve.workers.process import Setup
from foveate.serve.workers.queue import (
    ImageAnswer,
    ImageQueue,
    ImageRefusal,
    QueuedImage,
    QueueFull,
    TooLate,
)

_SLOWEST_BATCH = 60.0
"""Seconds after which a worker with one batch hangs, unless the deadline is longer than half."""

_PROMISED = 0.85
"""Of the longest wait, what is promised by the mean speed: an image may take longer than the mean,
and what is not in the workers, HTTP above all, takes its time, too."""

_BEGUN = 0.85
"""Of the longest wait, after which a worker does not begin with an image any more: it would still
have to be worked on, behind the batch before it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it came.

    Attributes:
        name: of its file, where one was given.
        data: bytes of the file.
    """

    name: str | None
    data: bytes


class Service:
    """Classifiers, workers and limits of one server.

    Args:
        models: the classifiers, the default one first.
        settings: limits.
        log: what writes the log of the server.

    Attributes:
        settings: limits.
        metrics: what happened.
        tokens: who may ask.
        certificate: for TLS; None without.
        tracer: whose traces the requests belong to.

    Raises:
        SettingsError: tokens, certificate or the log of predictions are not usable.
    """

    def __init__(
        self, models: Sequence[ServedModel], settings: ServerSettings, log: Writer | None = None
    ) -> None:
        self.settings = settings
        self.tokens = Tokens(settings.token_file)
        self.certificate = read_certificate(settings.tls_cert, settings.tls_key)
        self.tracer = make_tracer()
        self._queue = ImageQueue(settings.queue, settings.max_body_bytes)
        self.metrics = Metrics(
            lambda: len(self._queue), settings.queue, self._fullness, self._dropped
        )
        self._stderr = log
        self._default = models[0].name
        self._pool = Pool(
            self._queue,
            Setup(
                {model.name: model for model in models},
                settings.batch,
                settings.max_body_bytes,
                settings.max_pixels * 1_000_000,
            ),
            settings.workers or usable_cores(),
            max(_SLOWEST_BATCH, 2 * settings.deadline),
            self.metrics,
        )
        self._log = PredictionLog(settings.log_predictions) if settings.log_predictions else None
        self._reloader = Reloader(self._pool, self.tokens, self.certificate, self.metrics)
        self._watching: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a worker to answer."""
        return self._pool.ready > 0

    @property
    def state(self) -> State:
        """What probes may ask."""

        def allowed(authorization: str | None) -> bool:
            grant = self.tokens.grant(authorization)
            return grant is not None and "metrics" in grant.scopes

        return State(lambda: self.ready, self.metrics.page, allowed)

    @property
    def models(self) -> list[ServedModel]:
        """What is served now, the default first."""
        return list(self._pool.models.values())

    def model(self, name: str | None = None) -> ServedModel:
        """A classifier by name; the default one for None.

        Raises:
            RequestRefused: 404, there is none of this name.
        """
        models = self._pool.models
        name = self._default if name is None else name
        if name not in models:
            raise RequestRefused(
                HTTPStatus.NOT_FOUND,
                "unknown_model",
                f"No classifier is served as ‘{name[:100]}’; there is: {', '.join(models)}.",
            )
        return models[name]

    async def start(self) -> None:
        """Start the workers and watch the files.

        Raises:
            ModelFileError: a classifier cannot be loaded or run.
            WorkerDied: a worker died while it started.
        """
        await self._pool.start()
        self._watching = asyncio.create_task(self._reloader.run())

    def reload(self) -> None:
        """Read classifiers, tokens and certificate again, soon."""
        self._reloader.ask()

    async def stop(self) -> None:
        """End the workers."""
        if self._watching is not None:
            self._watching.cancel()
        await self._pool.stop()
        if self._log is not None:
            self._log.close()
        await self.tracer.close()

    async def reload_now(self) -> list[ServedModel]:
        """Read the files of the classifiers and the tokens again.

        Returns:
            The classifiers whose version changed.

        Raises:
            RequestRefused: 422, a file is refused; the version before answers on.
        """
        before = {model.name: model.id for model in self.models}
        errors = await self._reloader.reload_now()
        refused = [f"‘{name}’ stays as it was: {why}" for name, why in errors.items() if why]
        if refused:
            raise RequestRefused(
                HTTPStatus.UNPROCESSABLE_ENTITY, "model_refused", " ".join(refused)
            )
        return [model for model in self.models if model.id != before[model.name]]

    def check_ready(self) -> None:
        """Refuse while nobody could answer.

        Raises:
            RequestRefused: 503, no worker is ready.
        """
        if not self.ready:
            raise busy("not_ready", "No worker is ready; try again in a moment.", 2)

    def check_room(self) -> None:
        """Refuse before the body is read, or taken apart, where it could only be refused after.

        Raises:
            RequestRefused: 503, no worker is ready or there is no room in the queue.
        """
        self.check_ready()
        ahead = len(self._queue)
        if ahead >= self.settings.queue or self._too_long(ahead, 1):
            raise self._full()

    async def classify(
        self,
        name: str | None,
        uploads: Sequence[Upload],
        *,
        until: float,
        request_id: str,
        trace: Trace | None = None,
    ) -> list[ImageAnswer]:
        """Have images classified, all by the same version of the classifier.

        Args:
            name: of the classifier, None for the default one.
            uploads: the images.
            until: by the event loop's clock; then nobody waits any more.
            request_id: for the log of predictions.
            trace: told what the time went to.

        Returns:
            One answer an image, none of them refused.

        Raises:
            RequestRefused: 404 unknown classifier; 413 or 422 images that cannot be used; 503
                no room, or not in time.
        """
        model = self.model(name)
        self.check_ready()
        answers = await self._answers(model.name, uploads, until, trace)
        if len({answer.model.id for answer in answers}) > 1:
            # The file was replaced between two images; by now only the new version answers.
            answers = await self._answers(model.name, uploads, until, trace)
        self.metrics.predicted(answers)
        if self._log is not None:
            self._log.write(
                request_id,
                [upload.name for upload in uploads],
                [upload.data for upload in uploads],
                answers,
            )
        return answers

    async def _answers(
        self, name: str, uploads: Sequence[Upload], until: float, trace: Trace | None
    ) -> list[ImageAnswer]:
        loop = asyncio.get_running_loop()
        now = loop.time()
        ahead = len(self._queue)
        if self._too_long(ahead, len(uploads)):
            raise self._full()
        # Where nobody waits, a request of many images may take longer than one may wait.
        latest = now + _BEGUN * self.settings.max_wait if ahead else until
        images = [
            QueuedImage(name, upload.data, now, loop.create_future(), latest) for upload in uploads
        ]
        try:
            self._queue.put(images)
        except QueueFull:
            raise self._full() from None
        try:
            async with asyncio.timeout_at(until):
                answers = await asyncio.gather(*(image.answer for image in images))
        except TooLate:
            raise self._full() from None
        except TimeoutError:
            seconds = self.settings.deadline
            raise busy(
                "deadline", f"There was no answer within {seconds:g} s; try again later."
            ) from None
        finally:
            # Also when the client has gone or the server stops: nobody waits any more.
            if not all(image.answer.done() and not image.answer.cancelled() for image in images):
                for image in images:
                    image.answer.cancel()
                self._queue.remove(images)
        if trace is not None:
            trace.answered(images)
        refused = [
            ErrorImage(
                index=index, name=uploads[index].name, reason=answer.reason, error=answer.detail
            )
            for index, answer in enumerate(answers)
            if isinstance(answer, ImageRefusal)
        ]
        if refused:
            raise images_refused(refused)
        return [answer for answer in answers if isinstance(answer, ImageAnswer)]

    def _too_long(self, ahead: int, images: int) -> bool:
        """Whether so many images behind those would wait too long; never where none waits."""
        wait = self._pool.seconds_to_wait(ahead + images)
        return ahead > 0 and wait > _PROMISED * self.settings.max_wait

    def _fullness(self) -> float:
        waiting = len(self._queue)
        wait = self._pool.seconds_to_wait(waiting) if waiting else 0.0
        return max(waiting / self.settings.queue, wait / (_PROMISED * self.settings.max_wait))

    def _dropped(self) -> dict[str, int]:
        predictions = None if self._log is None else self._log.writer
        writers = {"server": self._stderr, "predictions": predictions}
        return {name: writer.dropped for name, writer in writers.items() if writer is not None}

    def _full(self) -> RequestRefused:
        wait = self._pool.seconds_to_wait(len(self._queue))
        return busy(
            "queue_full",
            f"{len(self._queue)} images are waiting already; try again later.",
            max(1, min(60, round(wait))),
        )
