"""Traces that callers began."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from foveate.serve.operations.tracing import Tracer, read_parent
from support.servers import Running, wait_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_trace_goes_on() -> None:
    trace = Tracer().begin("POST", "/predict", Headers({"traceparent": PARENT}))
    assert trace is not None
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", trace.header)
    assert SPAN not in trace.header
    unknown_flags = Tracer().begin("GET", "/", Headers({"traceparent": PARENT[:-2] + "fe"}))
    assert unknown_flags is not None
    assert unknown_flags.header.endswith("-00")
    assert read_parent(Headers({"traceparent": "01" + PARENT[2:] + "-more"})) is not None


@pytest.mark.parametrize(
    "said",
    [
        "", "x", PARENT.upper(), PARENT + "-more", PARENT[:-1], "ff" + PARENT[2:],
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"{PARENT},{PARENT}", PARENT * 99,
    ],
)  # fmt: skip
def test_what_is_no_trace(said: str) -> None:
    assert Tracer().begin("GET", "/", Headers({"traceparent": said})) is None


def test_two_parents_are_none() -> None:
    twice = [(b"traceparent", PARENT.encode())] * 2
    assert read_parent(Headers(raw=twice)) is None
    assert read_parent(Headers()) is None


@given(st.text())
def test_any_text_is_read(said: str) -> None:
    raw = [(b"traceparent", said.encode("utf-8", "replace"))]
    assert read_parent(Headers(raw=raw)) is None


@pytest.mark.slow
def test_the_log_and_the_answer_tell_the_trace(server: Running, image: bytes) -> None:
    headers = {"traceparent": PARENT, "x-request-id": "traced"}
    answer = httpx.post(f"{server.url}/predict", content=image, headers=headers, timeout=30)
    refused = httpx.post(f"{server.url}/nothing", headers=headers, timeout=30)
    wait_until(lambda: sum(one.get("request_id") == "traced" for one in server.logged) == 2)
    lines = [one for one in server.logged if one.get("request_id") == "traced"]
    for response, line in zip((answer, refused), lines, strict=True):
        assert response.headers["traceparent"] == f"00-{TRACE}-{line['span_id']}-01"
        assert line["trace_id"] == TRACE
        assert line["span_id"] != SPAN
    plain = httpx.get(f"{server.url}/models", timeout=30)
    assert "traceparent" not in plain.headers
