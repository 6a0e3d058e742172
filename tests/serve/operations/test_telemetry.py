"""Spans, received by a collector of the test's own."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.datastructures import Headers

from foveate.errors import SettingsError
from foveate.serve.operations.telemetry import SpanTracer, make_tracer
from foveate.serve.operations.tracing import Tracer
from support.servers import serving, wait_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """An OpenTelemetry collector on loopback, as far as it receives spans by HTTP."""

    def __init__(self) -> None:
        collected: list[ExportTraceServiceRequest] = []
        self.requests = collected

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                known = self.path == "/v1/traces"
                if known and self.headers["content-type"] == "application/x-protobuf":
                    collected.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if known else 404)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @contextmanager
    def running(self) -> Iterator[Collector]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def values(span: Any) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.mark.slow
def test_spans_of_requests(tmp_path: Path, model_file: Path, image: bytes) -> None:
    with Collector().running() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
        }
        before = time.time()
        arguments = [model_file, "--workers", 1]
        with serving(tmp_path / "log", *arguments, environment=environment) as server:
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
            files = [("a", ("a.png", image)), ("b", ("b.png", image))]
            answer = httpx.post(f"{server.url}/predict", files=files, headers=headers, timeout=30)
            assert answer.status_code == 200
            assert httpx.get(f"{server.url}/health/ready", timeout=30).is_success
            wait_until(lambda: any(one.name == "POST /predict" for one in collector.spans))
            # The last ones are sent when the server stops, as their time has not come.
            own = httpx.post(f"{server.url}/predict", content=b"no image", timeout=30)
            assert own.status_code == 422
        after = time.time()
    first, second = (one for one in collector.spans if one.name == "POST /predict")
    assert {one.name for one in collector.spans} == {"POST /predict", "queue", "decode", "infer"}
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, SPAN)
    assert answer.headers["traceparent"] == f"00-{TRACE}-{first.span_id.hex()}-01"
    told = values(first)
    assert told["http.response.status_code"] == 200
    assert told["foveate.images"] == 2
    stages = [one for one in collector.spans if one.parent_span_id == first.span_id]
    assert {one.name for one in stages} == {"queue", "decode", "infer"}
    for one in (first, *stages):
        assert one.trace_id.hex() == TRACE
        assert (
            before - 1 < one.start_time_unix_nano / 1e9 <= one.end_time_unix_nano / 1e9 < after + 1
        )
        assert one.start_time_unix_nano >= first.start_time_unix_nano - 5_000_000
        assert one.end_time_unix_nano <= first.end_time_unix_nano + 5_000_000
    ends = {one.name: one.end_time_unix_nano for one in stages[:3]}
    assert ends["queue"] < ends["decode"] < ends["infer"]
    assert second.trace_id.hex() != TRACE
    assert not second.parent_span_id
    assert values(second)["error.type"] == "image_refused"
    (resource, *_) = (one.resource for one in collector.requests[0].resource_spans)
    about = values(resource)
    assert (about["service.name"], about["deployment.environment"]) == ("foveate", "test")


@pytest.mark.slow
def test_a_collector_that_is_away_stops_nothing(
    tmp_path: Path, model_file: Path, image: bytes
) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
    }
    arguments = [model_file, "--workers", 1]
    with serving(tmp_path / "log", *arguments, environment=environment) as server:
        for _ in range(5):
            assert httpx.post(f"{server.url}/predict", content=image, timeout=30).is_success
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 15


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "TRACES_PROTOCOL"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    return monkeypatch


def test_nothing_is_recorded_that_was_not_asked_for(environment: pytest.MonkeyPatch) -> None:
    assert type(make_tracer()) is Tracer
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    environment.setenv("OTEL_SDK_DISABLED", "true")
    assert type(make_tracer()) is Tracer
    environment.delenv("OTEL_SDK_DISABLED")
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    assert type(make_tracer()) is Tracer
    environment.delenv("OTEL_TRACES_EXPORTER")
    environment.setattr("foveate.serve.operations.telemetry.find_spec", lambda _: None)
    assert type(make_tracer()) is Tracer


def test_another_protocol_is_told(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    environment.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="http/protobuf only"):
        make_tracer()


def test_what_the_caller_does_not_record_is_not_recorded(environment: pytest.MonkeyPatch) -> None:
    with Collector().running() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracer = make_tracer()
        assert isinstance(tracer, SpanTracer)
        for flags in ("00", "01"):
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}", "tracestate": "a=b"}
            trace = tracer.begin("GET", "/models", Headers(headers))
            assert trace is not None
            assert trace.header.startswith(f"00-{TRACE}-")
            assert trace.header.endswith(flags)
            trace.end(200, None)
        asyncio.run(tracer.close())
    (span,) = collector.spans
    assert span.trace_state == "a=b"
