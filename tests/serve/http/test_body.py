"""Compressed bodies, sent to a real server, on every address that takes one."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.http

from support.servers import Running

MIB = 2**20
INFER = "/v2/models/patterns/infer"
PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def bodies(image: bytes) -> list[tuple[str, bytes, dict[str, str]]]:
    """Address, body and headers of every kind of request with an image."""
    text = base64.b64encode(image).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    head = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": 4 + len(image)}}]}
    ).encode()
    form = b'--b\r\nContent-Disposition: form-data; name=a; filename="a"\r\n\r\n%b\r\n--b--\r\n'
    as_json = {"content-type": "application/json"}
    return [
        ("/predict", image, {"content-type": "image/png"}),
        ("/predict", json.dumps({"images": [text]}).encode(), as_json),
        ("/predict", form % image, {"content-type": "multipart/form-data; boundary=b"}),
        (INFER, json.dumps({"inputs": [{**tensor, "data": [text]}]}).encode(), as_json),
        (
            INFER,
            head + struct.pack("<I", len(image)) + image,
            {"inference-header-content-length": str(len(head))},
        ),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", PACKERS)
def test_compressed_bodies_are_answered_as_others(
    client: httpx.Client, image: bytes, encoding: str
) -> None:
    for path, body, headers in bodies(image):
        plain = client.post(path, content=body, headers=headers)
        assert plain.status_code == 200, plain.text
        packed = PACKERS[encoding](body)
        answer = client.post(
            path, content=packed, headers={**headers, "content-encoding": encoding}
        )
        assert answer.status_code == 200, answer.text
        assert answer.content == plain.content


@pytest.mark.slow
def test_a_stock_client_that_compresses(server: Running, image: bytes) -> None:
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://")) as triton:
        tensor = tritonclient.http.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([image], np.object_))
        for encoding in PACKERS:
            result = triton.infer("patterns", [tensor], request_compression_algorithm=encoding)
            assert result.as_numpy("label") == [b"stripes"]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/predict", INFER])
@pytest.mark.parametrize("pieces", [1, 50])
def test_a_bomb_is_cut_at_the_limit(
    server: Running, client: httpx.Client, path: str, pieces: int
) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(600)) + packer.flush()
    assert len(bomb) < MIB  # which a body may have, here
    before = psutil.Process(server.process.pid).memory_info().rss
    step = -(-len(bomb) // pieces)
    for _ in range(3):
        content = (bomb[at : at + step] for at in range(0, len(bomb), step))
        answer = client.post(path, content=content, headers={"content-encoding": "gzip"})
        assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert psutil.Process(server.process.pid).memory_info().rss - before < 30 * MIB


@pytest.mark.slow
def test_the_limit_holds_for_what_is_decoded(client: httpx.Client) -> None:
    def status(size: int) -> int:
        body = gzip.compress(bytes(size))
        return client.post(
            "/predict", content=body, headers={"content-encoding": "gzip"}
        ).status_code

    assert [status(MIB), status(MIB + 1), status(4 * MIB), status(9 * MIB)] == [422, 413, 413, 413]
    page = client.get("/metrics").text
    assert 'status="500"' not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "cut", [lambda body: body[:-3], lambda body: body + b"more", lambda _: b""]
)
def test_damaged_bodies_are_told_so(
    client: httpx.Client, image: bytes, cut: Callable[[bytes], bytes]
) -> None:
    for path, body, headers in bodies(image):
        packed = cut(gzip.compress(body))
        answer = client.post(path, content=packed, headers={**headers, "content-encoding": "gzip"})
        assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_request")
        assert "decoded as gzip" in answer.json()["error"]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_other_encodings_are_refused_by_name(
    client: httpx.Client, image: bytes, encoding: str
) -> None:
    for path in ("/predict", INFER):
        answer = client.post(path, content=image, headers={"content-encoding": encoding})
        assert (answer.status_code, answer.json()["reason"]) == (415, "unsupported_encoding")
        assert answer.headers["accept-encoding"] == "gzip, deflate"
    two = client.post(
        "/predict",
        content=gzip.compress(gzip.compress(image)),
        headers=[("content-encoding", "gzip"), ("content-encoding", "gzip")],
    )
    assert two.status_code == 415


@pytest.mark.slow
def test_nothing_was_a_defect(server: Running, client: httpx.Client, patterns: Path) -> None:
    assert not any("trace" in line for line in server.logged)
