"""Requests made to break the server, one by one: what was found by looking, and stays fixed."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from support.image_mutations import form
from support.servers import Running, serving, wait_until

MIB = 2**20
JSON = {"content-type": "application/json"}
INFER = "/v2/models/patterns/infer"


@pytest.fixture(scope="module")
def server(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with the default limits: a body may have 32 MiB, with 32 images."""
    log = tmp_path_factory.mktemp("serve") / "log"
    with serving(log, model_file, "--workers", 1) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and reason of a refusal, which is short whatever was sent."""
    error = answer.json()
    assert error["error"].endswith(".")
    assert len(answer.content) < 2000
    return answer.status_code, error["reason"]


def infer_body(head: dict[str, object], binary: bytes) -> tuple[bytes, dict[str, str]]:
    start = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", **head}]}).encode()
    return start + binary, {"inference-header-content-length": str(len(start))}


# Each took gigabytes, or the server's time for minutes, before values were counted first.
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", b'{"images":[' + b"1," * (8 * MIB) + b"1]}"),
        ("/predict", b'{"images":[' + b'"",' * (8 * MIB) + b'""]}'),
        ("/predict", b'{"images":[' + b"[]," * (8 * MIB) + b"[]]}"),
        ("/predict", b'{"images":' + b"[" * (8 * MIB)),
        ("/predict", b'{"a":' * (4 * MIB)),
        (INFER, b'{"inputs":[' + b"{}," * (8 * MIB) + b"{}]}"),
        (INFER, b'{"inputs":[{"shape":[' + b",".join([b"9" * 4000] * 5000) + b"]}]}"),
    ],
    ids=["numbers", "empty texts", "lists", "nested lists", "nested objects", "inputs", "shape"],
)
def test_json_of_millions_of_values_is_refused_before_it_is_parsed(
    server: Running, client: httpx.Client, path: str, body: bytes
) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    start = time.monotonic()
    assert refusal(client.post(path, content=body, headers=JSON)) == (413, "too_large")
    assert time.monotonic() - start < 5
    assert psutil.Process(server.process.pid).memory_info().rss - before < 150 * MIB


@pytest.mark.parametrize(
    "body",
    [
        b'{"images": ["' + b"aa " * (8 * MIB) + b'"]}',
        b'{"images": ["' + b"A" * (31 * MIB) + b'"]}',
        b'{"images": ["\\ud800"]}',
        b'{"images": [NaN]}',
        b'{"images": [' + b"9" * 10_000 + b"]}",
        b'{"images": [1e999]}',
        b'{"images": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"images": [""], "images": ["*"]}',
        b'{"images": {"0": ""}}',
        b'{"images": [null]}',
        b'\xef\xbb\xbf{"images": [""]}',
        b"\0" * 1000,
        b'"' + b"a" * MIB,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_json_that_is_refused(client: httpx.Client, body: bytes) -> None:
    assert refusal(client.post("/predict", content=body, headers=JSON))[0] == 422


def test_of_two_same_keys_the_last_one_counts(client: httpx.Client, image: bytes) -> None:
    text = base64.b64encode(image).decode()
    body = f'{{"images": ["*"], "images": ["{text}"]}}'
    assert client.post("/predict", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize("length", ["-1", "+1", "1e1", "0x1", "", "a", "²", "9" * 9, "1" * 5000])
def test_nonsense_lengths_of_the_json(client: httpx.Client, length: str) -> None:
    headers = {b"inference-header-content-length": length.encode("latin-1")}
    answer = client.post(INFER, content=b"{}", headers=headers)
    assert refusal(answer) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("head", "binary", "status"),
    [
        ({"shape": [7 * MIB], "parameters": {"binary_data_size": 28 * MIB}}, 28 * MIB, 413),
        ({"shape": [33], "data": ["*"] * 33}, 0, 413),
        ({"shape": [1], "parameters": {"binary_data_size": 5}}, 5, 422),
        ({"shape": [1], "parameters": {"binary_data_size": -4}}, 4, 422),
        ({"shape": [2**64 + 1], "data": [""]}, 0, 422),
        ({"shape": [3, 12297829382473034411], "data": [""]}, 0, 422),  # 1, in 64 bits
        ({"shape": [-1, -1], "data": [""]}, 0, 422),
        ({"shape": [1] * 900, "data": [""]}, 0, 422),
        ({"shape": [1], "data": [[[""]]]}, 0, 422),
    ],
)
def test_tensors_that_are_refused(
    client: httpx.Client, head: dict[str, object], binary: int, status: int
) -> None:
    body, headers = infer_body(head, bytes(binary))
    start = time.monotonic()
    assert refusal(client.post(INFER, content=body, headers=headers))[0] == status
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "charset", ["undefined", "unicode_escape", "utf-7", "punycode", "idna", "base64", "nonsense"]
)
@pytest.mark.parametrize("name", [b"a.png", rb"\ud800", b"+2AA-", b"\xed\xa0\x80", b"\xff"])
def test_the_charset_of_a_form_is_ignored(
    client: httpx.Client, image: bytes, charset: str, name: bytes
) -> None:
    headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    assert client.post("/predict", content=form(name, image), headers=headers).is_success
    refused = client.post("/predict", content=form(name, b"no image"), headers=headers)
    assert refusal(refused) == (422, "image_refused")


def test_names_of_files_are_shown_cleaned_and_shortened(client: httpx.Client) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}

    def shown(name: bytes) -> str:
        answer = client.post("/predict", content=form(name, b"no image"), headers=headers)
        assert refusal(answer) == (422, "image_refused")
        assert set(answer.headers) == set(client.get("/nothing").headers)
        (refused,) = answer.json()["images"]
        return str(refused["name"])

    assert shown("Grüße 🦓.png".encode()) == "Grüße 🦓.png"
    assert shown(b"a" * 4000) == "a" * 255
    assert shown(b"a\x1b[31m\x07\x7f") == "a\ufffd[31m\ufffd\ufffd"
    assert shown("a\u2028b\u0085".encode()) == "a\ufffdb\ufffd"
    assert shown(b"a%0d%0aSet-Cookie: b") == "a%0d%0aSet-Cookie: b"
    long = client.post("/predict", content=form(b"a" * 100_000, b"no image"), headers=headers)
    assert refusal(long) == (422, "invalid_request")


@pytest.mark.parametrize("boundary", ["", "b" * 201, '"\\"b"', "b\xff", "b;b=\xff"])
def test_boundaries_that_are_none(client: httpx.Client, image: bytes, boundary: str) -> None:
    headers = {b"content-type": f"multipart/form-data; boundary={boundary}".encode("latin-1")}
    answer = client.post("/predict", content=form(b"a", image, b"B"), headers=headers)
    assert refusal(answer) == (422, "invalid_request")


@pytest.mark.parametrize("fill", [b"\r", b"\r\n--", b"\n--b", b"\r\n--b\r\n"])
def test_forms_of_almost_boundaries_take_no_time(client: httpx.Client, fill: bytes) -> None:
    body = form(b"a", fill * (16 * MIB // len(fill)))
    headers = {"content-type": "multipart/form-data; boundary=b"}
    start = time.monotonic()
    assert client.post("/predict", content=body, headers=headers).status_code == 422
    assert time.monotonic() - start < 5


def test_what_is_asked_for_is_shown_only_in_part(client: httpx.Client, image: bytes) -> None:
    script = "<script>alert(1)</script>" + "a" * 5000
    answers = [
        client.post("/predict", content=image, params={"model": script}),
        client.post("/predict", content=image, headers={"content-type": script}),
        client.get(f"/v2/models/{script}"),
        client.post("/predict", json={script: 1}),
        client.post(INFER, json={"inputs": [{"name": script}]}),
    ]
    for answer in answers:
        assert refusal(answer)[0] in (404, 415, 422)
        assert answer.headers["content-type"] == "application/json"  # so no browser runs it
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("shown", [b"a\xff", b"a\tb", b"a;b", b"", b"a" * 129, b"<script>"])
def test_request_ids_come_back_only_if_they_are_sane(client: httpx.Client, shown: bytes) -> None:
    answer = client.get("/health/live", headers={b"x-request-id": shown})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert len(answer.headers.get_list("x-request-id")) == 1


@pytest.mark.parametrize("path", ["/models/", "/predict/", "/health/live/", "//evil.example/a"])
def test_nothing_redirects_to_a_host_that_the_request_names(server: Running, path: str) -> None:
    for host, status in (("evil.example", 403), ("localhost", 404)):
        answer = httpx.get(server.url + path, headers={"host": host}, timeout=30)
        assert answer.status_code == status
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/patterns%2fx", 404),
        ("GET", "/v2/models/%00", 404),
        ("GET", "/v2/models/%ed%a0%80", 404),
        ("GET", "/v2/models/..%2f..%2fetc%2fpasswd", 404),
        ("HEAD", "/predict", 405),
        ("HEAD", "/nothing", 404),
        ("OPTIONS", "/predict", 405),
        ("TRACE", "/models", 405),
        ("DELETE", "/v2/models/patterns", 405),
    ],
)
def test_addresses_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert ("allow" in answer.headers) == (status == 405)
    assert (answer.content == b"") == (method == "HEAD")


def test_clients_that_go_leave_nothing_behind(
    server: Running, client: httpx.Client, image: bytes
) -> None:
    kinds = ("image/png", "application/json", "multipart/form-data; boundary=b")
    before = len(server.logged)
    for path, kind in [*(("/predict", kind) for kind in kinds), (INFER, "application/json")]:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        for length, body in ((5000, b"--b\r\nabc"), (len(image), image)):
            address = ("127.0.0.1", server.port)
            with socket.create_connection(address, timeout=30) as connection:
                connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)

    def requests() -> list[dict[str, object]]:
        return [line for line in server.logged[before:] if line["event"] == "request"]

    wait_until(lambda: len(requests()) == 8)
    assert sum(line["status"] is None for line in requests()) >= 4  # gone before the body's end
    assert [line for line in server.logged[before:] if line["level"] != "info"] == []
    assert not any("trace" in line for line in server.logged)
    page = client.get("/metrics").text
    assert "\nfoveate_queue_images 0.0\n" in page
    assert 'foveate_request_seconds_count{route="/predict",status="gone"}' in page
    assert 'status="500"' not in page
    assert client.post("/predict", content=image).status_code == 200


def test_no_address_ends_a_line_of_the_log_or_talks_to_the_terminal(
    server: Running, client: httpx.Client
) -> None:
    path = "/%0a%0d%1b%c2%9b%c2%85%e2%80%a8x"
    client.get(path, headers={"x-request-id": "ends-of-lines"})
    wait_until(lambda: any(one.get("request_id") == "ends-of-lines" for one in server.logged))
    (line,) = (one for one in server.logged if one.get("request_id") == "ends-of-lines")
    assert line["path"] == path


def test_two_requests_at_once_on_one_connection_are_answered_in_order(
    server: Running, image: bytes
) -> None:
    host = b"Host: localhost\r\n"
    asked = [
        b"POST /predict HTTP/1.1\r\n%bX-Request-ID: one\r\nContent-Length: %d\r\n\r\n%b"
        % (host, len(image), image),
        b"GET /health/live HTTP/1.1\r\n%bX-Request-ID: two\r\n\r\n" % host,
        b"GET /nothing HTTP/1.1\r\n%bX-Request-ID: three\r\nConnection: close\r\n\r\n" % host,
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"".join(asked))
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200", b"404"]
    assert re.findall(rb"x-request-id: (\w+)", answer) == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length : 1\r\n",
        b"X: a\0b\r\n",
    ],
)
def test_requests_whose_end_is_unclear_are_not_served(server: Running, headers: bytes) -> None:
    smuggled = b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    request = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n" + smuggled
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"400"]
