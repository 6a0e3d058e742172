"""Spans for OpenTelemetry: one a request, and below it what the time went to.

Nothing is imported, and nothing recorded, before the environment says where to send it to
(`OTEL_EXPORTER_OTLP_ENDPOINT`); all else is set by the standard variables, too:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from foveate import __version__
from foveate.errors import SettingsError
from foveate.serve.operations.logs import log
from foveate.serve.operations.tracing import Trace, Tracer, read_parent
from foveate.serve.workers.queue import QueuedImage, Times

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Tracer as SdkTracer
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_LAST_SECONDS = 5.0
"""For the last spans to be sent when the server stops."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"


def make_tracer() -> Tracer:
    """What the environment asks for.

    Raises:
        SettingsError: spans are to go by another protocol than HTTP.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS) or _is_off():
        return Tracer()
    protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), _PROTOCOL)
    if protocol != _PROTOCOL:
        raise SettingsError(
            f"Spans are sent by {_PROTOCOL} only: set {_PROTOCOLS[1]} to that, not to "
            f"‘{protocol[:50]}’, and name the collector's port for HTTP (4318)."
        )
    if not _is_installed():
        log("spans are not sent: pip install 'foveate[otel]'", level=logging.WARNING)
        return Tracer()
    return SpanTracer()


class SpanTracer(Tracer):
    """Records a span for every request but probes and metrics."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "foveate"}))
        self._provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer: SdkTracer = self._provider.get_tracer("foveate.serve", __version__)  # type: ignore[assignment]

    def begin(self, method: str, path: str, headers: Headers) -> Trace | None:
        """See `Tracer.begin`; every request that is recorded has a trace."""
        if "/health/" in path or path == "/metrics":
            return super().begin(method, path, headers)
        from opentelemetry.trace import SpanKind

        span = self._tracer.start_span(
            f"{method} {path.partition('?')[0][:100]}",
            context=_context(headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": path[:200]},
        )
        return _SpanTrace(self._tracer, span)

    async def close(self) -> None:
        """Send what was recorded; a collector that does not answer is not waited for long."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        await asyncio.to_thread(last.join, _LAST_SECONDS)


class _SpanTrace(Trace):
    """A trace whose part here is recorded as a span."""

    def __init__(self, tracer: SdkTracer, span: Span) -> None:
        about = span.get_span_context()
        super().__init__(
            f"{about.trace_id:032x}", f"{about.span_id:016x}", f"{about.trace_flags & 1:02x}"
        )
        self._tracer = tracer
        self._span = span

    def answered(self, images: Sequence[QueuedImage]) -> None:
        self._span.set_attribute("foveate.images", len(images))
        first = min(image.arrived for image in images)
        # From the clock of the event loop to the time of day.
        offset = time.time() - asyncio.get_running_loop().time()
        batches = Counter(image.times for image in images if image.times is not None)
        for times, count in batches.items():
            self._stages(times, first, offset, count)

    def _stages(self, times: Times, arrived: float, offset: float, images: int) -> None:
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(self._span)
        decoded = times.begun + times.decode
        ends = {"queue": times.begun, "decode": decoded, "infer": decoded + times.infer}
        start = arrived
        for stage, end in ends.items():
            span = self._tracer.start_span(
                stage,
                context=context,
                start_time=_nanoseconds(start + offset),
                attributes={"foveate.images": images},
            )
            span.end(_nanoseconds(end + offset))
            start = end

    def end(self, status: int, reason: str | None) -> None:
        from opentelemetry.trace import StatusCode

        if status:
            self._span.set_attribute("http.response.status_code", status)
        if reason is not None:
            self._span.set_attribute("error.type", reason)
        if status >= 500 or not status:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _context(headers: Headers) -> Context:
    """The caller's span, as OpenTelemetry has it; its own reader is more lenient than ours."""
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        TraceState,
        set_span_in_context,
    )

    parent = read_parent(headers)
    if parent is None:
        return Context()
    about = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.flags, 16)),
        trace_state=TraceState.from_header(headers.getlist("tracestate")),
    )
    return set_span_in_context(NonRecordingSpan(about), Context())


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _is_off() -> bool:
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return off or os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
