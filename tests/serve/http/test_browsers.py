"""Web pages that a browser beside the server shows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from foveate.serve.http.browsers import Browsers, is_loopback
from foveate.serve.http.refusals import RequestRefused
from support.servers import Running, serving

LOOPBACK = ("localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.9.8.7", "[::1]", "[0:0:0::1]")
FOREIGN = (
    "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "",
    "192.168.0.1", "0.0.0.0", "[::]", "[fe80::1]", "127.0.0.1@evil.example", "127.1", "2130706433",
    "localhost\\x00", "[::1", "évil", "localhost:80:80", "localhost:x", "x" * 5000,
)  # fmt: skip


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def refused(browsers: Browsers, **headers: str) -> str | None:
    try:
        browsers.check("/predict", Headers(headers))
    except RequestRefused as refusal:
        return refusal.reason if refusal.status == 403 and len(refusal.sentence) < 300 else "?"
    return None


@pytest.mark.parametrize("port", ["", ":8000", ":"])
def test_loopback_names(port: str) -> None:
    browsers = Browsers(local=True, origins=())
    for host in LOOPBACK:
        assert refused(browsers, host=host + port) is None
        for scheme in ("http", "HTTPS"):
            assert refused(browsers, host=host, origin=f"{scheme}://{host}{port}") is None
    for host in FOREIGN:
        assert refused(browsers, host=host + port) == "foreign_host"
        assert refused(browsers, host="localhost", origin=f"http://{host}") == "foreign_origin"


@pytest.mark.parametrize("origin", ["null", "file://", "http://localhost/", "ftp://localhost"])
def test_origins_that_are_none(origin: str) -> None:
    assert refused(Browsers(local=True, origins=()), origin=origin) == "foreign_origin"


def test_addresses_that_are_listened_on() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "foveate.example")))


def test_elsewhere_and_with_tokens_names_do_not_matter() -> None:
    assert refused(Browsers(local=False, origins=()), host="x", origin="http://y") is None


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/models", "/metrics", "/openapi.json", "/v2", "/nothing"])
def test_a_foreign_page_gets_nothing(server: Running, client: httpx.Client, path: str) -> None:
    for name, value in (("host", "evil.example"), ("origin", "http://evil.example")):
        answer = client.get(path, headers={name: value})
        assert (answer.status_code, answer.json()["reason"]) == (403, f"foreign_{name}")
    assert client.get(path, headers={"host": f"localhost:{server.port}"}).status_code != 403
    assert client.get(path, headers={"origin": server.url}).status_code != 403


@pytest.mark.slow
def test_a_foreign_page_sends_no_image(client: httpx.Client, image: bytes) -> None:
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"host": "evil.example"},
    ):
        for path in ("/predict", "/v2/models/patterns/infer"):
            answer = client.post(path, content=image, headers=headers)
            assert answer.status_code == 403
    assert client.post("/predict", content=image).status_code == 200


@pytest.mark.slow
def test_of_two_hosts_both_count(server: Running) -> None:
    hosts = b"Host: localhost\r\nHost: evil.example\r\n"
    ask = b"GET /models HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(ask)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))


@pytest.mark.slow
def test_probes_have_any_name(client: httpx.Client) -> None:
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path, headers={"host": "pod-7.example"}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [([], {"FOVEATE_TOKENS": "sesame"}), (["--host", "0.0.0.0"], {})],
    ids=["tokens", "every address"],
)
def test_servers_that_are_not_checked(
    tmp_path: Path, model_file: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    arguments = [str(model_file), "--workers", "1", *arguments]
    with serving(tmp_path / "log", *arguments, environment=environment) as server:
        headers = {"host": "foveate.example", "authorization": "Bearer sesame"}
        url = f"http://127.0.0.1:{server.port}/models"
        assert httpx.get(url, headers=headers, timeout=30).status_code == 200


SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def shop(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with a token that pages of the shop may ask."""
    arguments = [model_file, "--workers", 1, "--cors-origin", SHOP, "--cors-origin", "http://b:1"]
    environment = {"FOVEATE_TOKENS": "sesame"}
    log = tmp_path_factory.mktemp("serve") / "log"
    with (
        serving(log, *arguments, environment=environment) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield client


@pytest.mark.slow
def test_pages_that_may_ask_are_told_so(shop: httpx.Client, image: bytes) -> None:
    for origin in (SHOP, "http://b:1"):
        headers = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        asked = shop.options("/predict", headers=headers)
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == origin
        assert "POST" in asked.headers["access-control-allow-methods"]
        for name in ("authorization", "content-type"):
            assert name in asked.headers["access-control-allow-headers"]
        for token, status in (("sesame", 200), ("wrong", 401)):  # a refusal can be read, too
            sent = {"origin": origin, "authorization": f"Bearer {token}"}
            answer = shop.post("/predict", content=image, headers=sent)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == origin
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "origin"
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.slow
def test_pages_that_may_not_ask_are_not(shop: httpx.Client, image: bytes) -> None:
    for origin in ("https://evil.example", SHOP + ".evil.example", "http://shop.example", "null"):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        asked = shop.options("/predict", headers=headers)
        assert (asked.status_code, asked.json()["reason"]) == (403, "foreign_origin")
        sent = {"origin": origin, "authorization": "Bearer sesame"}
        for answer in (asked, shop.post("/predict", content=image, headers=sent)):
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["vary"] == "origin"
    assert shop.options("/predict").status_code == 401


@pytest.mark.slow
def test_by_default_no_page_may_ask(client: httpx.Client, server: Running) -> None:
    headers = {"origin": server.url, "access-control-request-method": "POST"}
    assert client.options("/predict", headers=headers).status_code == 405
    for name in client.get("/models", headers={"origin": server.url}).headers:
        assert not name.startswith("access-control")


def test_all_pages_may_where_all_are_allowed() -> None:
    browsers = Browsers(local=True, origins=("*",))
    asked = Headers({"origin": "http://evil.example", "access-control-request-method": "POST"})
    assert refused(browsers, origin="http://evil.example", host="localhost") is None
    assert refused(browsers, host="evil.example") == "foreign_host"
    assert browsers.preflight("OPTIONS", asked) is not None
    assert (b"access-control-allow-origin", b"*") in browsers.headers(asked)
