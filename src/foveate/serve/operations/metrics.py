"""What a server counts, for Prometheus. Names and labels are a promise; see docs/serve.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from foveate.serve.models import ServedModel
from foveate.serve.workers.queue import ImageAnswer

MetricT = TypeVar("MetricT", bound=Collector)

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_STAGE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_CONFIDENCE = tuple(step / 20 for step in range(1, 21))


class Metrics:
    """The metrics of one server.

    Args:
        waiting: tells how many images wait.
        limit: how many may.
        fullness: tells which share of the room is taken, by images or by time.
        dropped: tells how many lines each log has lost.
    """

    def __init__(
        self,
        waiting: Callable[[], int],
        limit: int,
        fullness: Callable[[], float] = lambda: 0.0,
        dropped: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        # Its own registry: two servers in one process (tests) do not add up.
        self._registry = CollectorRegistry()
        self.requests = self._add(
            Histogram(
                "foveate_request_seconds",
                "From a request's arrival to its answer.",
                ("route", "status"),
                buckets=_SECONDS,
                registry=None,
            )
        )
        self.batches = self._add(
            Histogram(
                "foveate_batch_images",
                "Images a worker took at once.",
                ("model",),
                buckets=(1, 2, 4, 8, 16, 32, 64),
                registry=None,
            )
        )
        self.stages = self._add(
            Histogram(
                "foveate_stage_seconds",
                "Waiting in the line (an image), decoding and inference (a batch).",
                ("stage",),
                buckets=_STAGE_SECONDS,
                registry=None,
            )
        )
        self.rejections = self._add(
            Counter(
                "foveate_rejections",
                "Requests refused, by reason.",
                ("reason",),
                registry=None,
            )
        )
        self.predictions = self._add(
            Counter(
                "foveate_predictions",
                "Images by predicted label.",
                ("model", "label"),
                registry=None,
            )
        )
        self.confidence = self._add(
            Histogram(
                "foveate_confidence",
                "Probability of the predicted label; sum / count is the mean.",
                ("model",),
                buckets=_CONFIDENCE,
                registry=None,
            )
        )
        self.workers = self._add(Gauge("foveate_workers", "Workers ready.", registry=None))
        self.restarts = self._add(
            Counter("foveate_worker_restarts", "Workers that died.", registry=None)
        )
        self._info = self._add(
            Gauge("foveate_model_info", "What is served.", ("model", "id"), registry=None)
        )
        self._reloads = self._add(
            Counter(
                "foveate_model_reloads",
                "Model files that were replaced, by what became of it.",
                ("result",),
                registry=None,
            )
        )
        self._failed = self._add(
            Gauge(
                "foveate_model_reload_failed",
                "1 where the file is refused as it is now, and the version before answers.",
                ("model",),
                registry=None,
            )
        )
        self._failures = self._add(
            Counter(
                "foveate_model_reload_failures",
                "Times that a file was refused.",
                ("model",),
                registry=None,
            )
        )
        self._loaded = self._add(
            Gauge(
                "foveate_model_loaded_timestamp_seconds",
                "When the version that answers was taken over, in seconds since 1970.",
                ("model",),
                registry=None,
            )
        )
        self._ids: dict[str, str] = {}
        queue = self._add(Gauge("foveate_queue_images", "Images that wait.", registry=None))
        queue.set_function(waiting)
        room = self._add(
            Gauge("foveate_queue_limit_images", "Images that may wait.", registry=None)
        )
        room.set(limit)
        full = self._add(
            Gauge(
                "foveate_queue_fullness",
                "Share of the room that is taken: of the images that may wait, or of the time.",
                registry=None,
            )
        )
        full.set_function(fullness)
        self._dropped = self._add(
            Counter(
                "foveate_log_lines_dropped",
                "Lines that found no room because nobody reads, or could not be written.",
                ("log",),
                registry=None,
            )
        )
        self._count_dropped = dropped
        self._counted: dict[str, int] = {}

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        for name, count in self._count_dropped().items():
            self._dropped.labels(name).inc(count - self._counted.get(name, 0))
            self._counted[name] = count
        return generate_latest(self._registry)

    def served(self, models: Iterable[ServedModel]) -> None:
        """These versions answer from now on."""
        self._info.clear()
        for model in models:
            self._info.labels(model.name, model.id).set(1)
            if self._ids.get(model.name) != model.id:
                self._ids[model.name] = model.id
                self._loaded.labels(model.name).set_to_current_time()
            self._failures.labels(model.name)
            self._failed.labels(model.name)
            for label in model.labels:  # a label never predicted shows as 0, not as missing
                self.predictions.labels(model.name, label)

    def reloaded(
        self, names: Iterable[str], result: Literal["taken", "refused"] | None = None
    ) -> None:
        """Replaced files were taken over or refused; or, for None, are those that are served."""
        if result is not None:
            self._reloads.labels(result).inc()
        for name in names:
            self._failed.labels(name).set(result == "refused")
            if result == "refused":
                self._failures.labels(name).inc()

    def predicted(self, answers: Iterable[ImageAnswer]) -> None:
        """Count what a client was told."""
        for answer in answers:
            name = answer.model.name
            self.predictions.labels(name, answer.label).inc()
            self.confidence.labels(name).observe(answer.probability)

    def _add(self, metric: MetricT) -> MetricT:
        self._registry.register(metric)
        return metric
