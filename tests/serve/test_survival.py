"""Servers under abuse: killed workers, full queues, slow clients, the end."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from support.servers import Running, serving, wait_until

pytestmark = pytest.mark.slow

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def status_of(connection: socket.socket) -> int:
    """The status of the response; 0 where the connection ends without one."""
    data = b""
    while b"\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            return 0
        data += part
    return int(data.split()[1])


def test_killed_workers_fail_no_request(tmp_path: Path, model_file: Path, image: bytes) -> None:
    with (
        serving(tmp_path / "log", model_file, "--workers", 2) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        first = set(server.workers)
        page = f"{server.url}/metrics"
        stop = threading.Event()

        def ask() -> Counter[int]:
            found: Counter[int] = Counter()
            while not stop.is_set():
                found[client.post("/predict", content=image).status_code] += 1
            return found

        asking = [pool.submit(ask) for _ in range(8)]
        for pid in sorted(first):
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda gone=pid: gone not in server.workers)
            wait_until(lambda: "foveate_workers 2.0" in httpx.get(page).text, seconds=60)
        time.sleep(0.5)
        stop.set()
        found = sum((one.result() for one in asking), Counter())
        assert set(found) == {200}
        assert found[200] > 50
        assert not first & set(server.workers)


def test_a_full_line_is_told_at_once(tmp_path: Path, model_file: Path, image: bytes) -> None:
    limits = ["--workers", 1, "--queue", 2, "--batch", 1, "--deadline", 3]
    with (
        serving(tmp_path / "log", model_file, *limits) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        (worker,) = server.workers
        os.kill(worker, signal.SIGSTOP)
        try:
            waiting: list[Future[httpx.Response]] = []

            def is_full_with_one_more() -> bool:
                waiting.append(pool.submit(client.post, "/predict", content=image))
                return "foveate_queue_images 2.0" in httpx.get(f"{server.url}/metrics").text

            wait_until(is_full_with_one_more)
            start = time.monotonic()
            refused = client.post("/predict", content=image)
            assert time.monotonic() - start < 2  # and not after the deadline
            assert (refused.status_code, refused.json()["reason"]) == (503, "queue_full")
            assert int(refused.headers["retry-after"]) >= 1
            late = [one.result() for one in waiting]
            told = {(one.status_code, one.json()["reason"]) for one in late}
            assert (503, "deadline") in told <= {(503, "deadline"), (503, "queue_full")}
            assert all(int(one.headers["retry-after"]) >= 1 for one in late)
        finally:
            with suppress(ProcessLookupError):  # killed meanwhile, as nobody waits for it
                os.kill(worker, signal.SIGCONT)
        wait_until(lambda: client.post("/predict", content=image).status_code == 200, seconds=60)


def test_slow_clients_do_not_hold_up_others(tmp_path: Path, model_file: Path, image: bytes) -> None:
    limits = ["--workers", 1, "--deadline", 2, "--max-connections", 150]
    with serving(tmp_path / "log", model_file, *limits) as server:
        silent = [connect(server) for _ in range(40)]
        half = [connect(server) for _ in range(40)]
        for one in half:
            one.sendall(HEAD[:30])
        slow = [connect(server) for _ in range(40)]
        for one in slow:
            one.sendall(HEAD + b"Content-Length: 100000\r\n\r\nfirst bytes")
        with httpx.Client(base_url=server.url, timeout=30) as client:
            seconds = []
            for _ in range(10):
                start = time.monotonic()
                assert client.post("/predict", content=image).status_code == 200
                seconds.append(time.monotonic() - start)
            assert sorted(seconds)[5] < 1
            # Bodies that do not come in time are told so, headers that do not are closed.
            assert {status_of(one) for one in slow} == {408}
            more = [connect(server) for _ in range(120)]
            statuses = []
            for one in more[-20:]:
                one.settimeout(2)
                try:
                    statuses.append(status_of(one))
                except TimeoutError:
                    statuses.append(-1)
            assert 503 in statuses
            assert {status_of(one) for one in (*silent, *half)} == {0}
        for one in (*silent, *half, *slow, *more):
            one.close()


def test_what_was_taken_is_finished(tmp_path: Path, model_file: Path, image: bytes) -> None:
    with (
        serving(tmp_path / "log", model_file, "--workers", 1, "--max-wait", 60) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        (worker,) = server.workers
        os.kill(worker, signal.SIGSTOP)
        waiting = [pool.submit(client.post, "/predict", content=image) for _ in range(16)]
        page = f"{server.url}/metrics"
        wait_until(lambda: "foveate_queue_images 1" in httpx.get(page).text)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health/live")
        os.kill(worker, signal.SIGCONT)
        assert {one.result().status_code for one in waiting} == {200}
        assert server.process.wait(10) == 0
        assert not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_its_grace_whatever_a_client_does(
    tmp_path: Path, model_file: Path, number: signal.Signals
) -> None:
    limits = ["--workers", 1, "--grace", 1, "--deadline", 60]
    with serving(tmp_path / "log", model_file, *limits) as server, connect(server) as slow:
        slow.sendall(HEAD + b"Content-Length: 100000\r\n\r\nfirst bytes")
        time.sleep(0.3)
        start = time.monotonic()
        os.kill(server.process.pid, number)
        assert status_of(slow) == 503
        assert server.process.wait(20) == 0
        assert time.monotonic() - start < 6
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_workers_end_with_a_server_that_is_killed(tmp_path: Path, model_file: Path) -> None:
    with serving(tmp_path / "log", model_file, "--workers", 2) as server:
        workers = server.workers
        assert len(workers) == 2
        server.process.kill()
        wait_until(lambda: not any(_alive(pid) for pid in workers), 10)


def _alive(pid: int) -> bool:
    """Whether a process is there and not a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
