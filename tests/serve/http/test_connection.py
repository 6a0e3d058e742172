"""Connections that want too much: headers, trailers, answers that nobody reads."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from foveate.serve.http.connection import HEADER_SECONDS
from support.servers import Running, serving, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(own_server: Running) -> Running:
    """A server of this module's own."""
    return own_server


MEGABYTE = 2**20


def connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def pour(connection: socket.socket, piece: bytes, most: int) -> int:
    """Send a piece again and again until the server has enough; how many bytes went out."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
    ids=["headers", "trailers"],
)
@pytest.mark.parametrize("piece", [b"name: value\r\n" * 100, b"x" * 1000], ids=["many", "one long"])
def test_headers_are_bounded(server: Running, start: bytes, piece: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(start)
        # What lies in the buffers of both systems counts as sent.
        assert pour(connection, piece, 40 * MEGABYTE) < 20 * MEGABYTE
    assert httpx.get(f"{server.url}/health/live").status_code == 200


def test_the_headers_that_a_browser_sends_are_taken(server: Running) -> None:
    headers = {f"x-{number}": "v" * 1000 for number in range(30)}
    assert httpx.get(f"{server.url}/health/live", headers=headers).status_code == 200


def test_answers_that_nobody_reads_do_not_pile_up(server: Running) -> None:
    with connect(server) as connection:
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
        assert pour(connection, ask, 100 * MEGABYTE) < 50 * MEGABYTE


def test_bodies_of_refused_requests_are_not_read_for_ever(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        assert pour(connection, chunk, 600 * MEGABYTE) < 300 * MEGABYTE


@pytest.mark.parametrize("declared", [b"99999999999", b"5000000000000000000000000"])
def test_a_body_that_is_declared_far_too_large_is_not_read(
    server: Running, declared: bytes
) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: " + declared + b"\r\n\r\n"
        )
        assert connection.recv(100).split()[1] in (b"413", b"400")


def test_nobody_works_for_a_client_that_has_gone(server: Running, image: bytes) -> None:
    before = len([line for line in server.logged if line.get("reason") == "gone"])
    (worker, other) = server.workers
    for pid in (worker, other):
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
    try:
        with connect(server) as connection:
            head = (
                f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n"
            )
            connection.sendall(head.encode() + image)
            time.sleep(0.3)
        wait_until(
            lambda: len([x for x in server.logged if x.get("reason") == "gone"]) == before + 1
        )
    finally:
        for pid in (worker, other):
            subprocess.run(["kill", "-CONT", str(pid)], check=False)


def test_connections_that_do_nothing_end(server: Running) -> None:
    nothing, line, body = connect(server), connect(server), connect(server)
    line.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert line.recv(4096)
    line.sendall(b"\r\n")
    body.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
    assert body.recv(4096)
    body.sendall(b"x")
    start = time.monotonic()
    for one in (nothing, line, body):
        one.settimeout(HEADER_SECONDS + 5)
        with one:
            try:
                while one.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    assert time.monotonic() - start < HEADER_SECONDS + 5


def hears(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether it has a handler for a signal; before, the signal ends the interpreter itself."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux who hears what")
@pytest.mark.parametrize("delay", [0.0, 0.5, 1.5])
def test_it_can_be_stopped_while_it_starts(model_file: Path, delay: float) -> None:
    command = [sys.executable, "-m", "foveate", "serve", str(model_file), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: hears(process, signal.SIGTERM), seconds=60)
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in errors


def test_a_server_that_was_told_to_stop_twice_stops_at_once(
    tmp_path: Path, model_file: Path
) -> None:
    with (
        serving(tmp_path / "log", model_file, "--workers", 1) as server,
        connect(server) as slow,
    ):
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
        time.sleep(0.3)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert time.monotonic() - start < 8
