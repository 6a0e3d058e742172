"""Thousands of hostile images and requests: refused, by a server that does not notice."""

from __future__ import annotations

import base64
import random
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from support.image_mutations import bombs, images, mutated, nonsense, others
from support.servers import Running, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(own_server: Running) -> Running:
    """A server of this module's own."""
    return own_server


IMAGE_STATUSES = {200, 413, 422}
NONSENSE_STATUSES = IMAGE_STATUSES | {400, 403, 404, 405, 408, 415, 431}
CLOSED = 0
"""Instead of a status, where the server closed the connection without a response."""

CONNECTIONS = 8


def send(client: httpx.Client, way: int, data: bytes, kind: str = "image/png") -> int:
    """Send an image in one of four ways; the status of the response."""
    if way == 0:
        answer = client.post("/predict", content=data, headers={"content-type": kind})
    elif way == 1:
        answer = client.post("/predict", files={"image": ("a.png", data, kind)})
    elif way == 2:
        text = base64.b64encode(data).decode()
        answer = client.post("/predict", json={"images": [text]})
    else:
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
        tensor["data"] = [base64.b64encode(data).decode()]
        answer = client.post("/v2/models/patterns/infer", json={"inputs": [tensor]})
    if answer.status_code != 200:
        assert answer.json()["error"].endswith("."), answer.text
        assert len(answer.content) < 2000
    return answer.status_code


def send_raw(server: Running, request: bytes) -> int:
    """Send bytes and end the sending side; the status of the first response."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except ConnectionError:
            pass
    for line in answer.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 ") and not line.startswith(b"HTTP/1.1 100"):
            return int(line.split()[1])
    return CLOSED


def megabytes(server: Running) -> float:
    """Resident memory of the server and its workers."""
    processes = [server.process.pid, *server.workers]
    return sum(psutil.Process(pid).memory_info().rss for pid in processes) / 1e6


def bombard(server: Running, count: int, seed: int) -> tuple[Counter[int], Counter[int]]:
    """Send `count` hostile images over `CONNECTIONS` connections, and a request of nonsense for
    every ten of them.

    Returns:
        Statuses of images, and of nonsense.
    """
    answered: Counter[int] = Counter()
    bent: Counter[int] = Counter()
    lock = threading.Lock()

    def one(lane: int) -> None:
        rng = random.Random(f"{seed} {lane}")
        with httpx.Client(base_url=server.url, timeout=60) as client:
            for number in range(lane, count, CONNECTIONS):
                data = mutated(rng)
                kind = rng.choice(("image/jpeg", "image/png", "application/octet-stream"))
                status = send(client, rng.randrange(4), data, kind)
                assert status in IMAGE_STATUSES, (status, len(data), data[:2000].hex())
                found = None
                if number % 10 == 0:
                    request = nonsense(rng, images()[rng.choice(sorted(images()))])
                    found = send_raw(server, request)
                    assert found in NONSENSE_STATUSES | {CLOSED}, (found, request[:500])
                with lock:
                    answered[status] += 1
                    if found is not None:
                        bent[found] += 1

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for lane in [pool.submit(one, lane) for lane in range(CONNECTIONS)]:
            lane.result()
    return answered, bent


def metric(server: Running, name: str) -> float:
    page = httpx.get(f"{server.url}/metrics", timeout=30).text
    return float(next(line.split()[-1] for line in page.splitlines() if line.startswith(name)))


def answer_to(server: Running, image: bytes) -> object:
    answer = httpx.post(f"{server.url}/predict", content=image, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def check_unharmed(server: Running, workers: list[int]) -> None:
    """No process died, nothing waits, nothing unexpected was logged."""
    assert server.process.poll() is None
    assert server.workers == workers
    assert metric(server, "foveate_worker_restarts_total") == 0
    assert metric(server, "foveate_queue_images") == 0
    wrong = [line for line in server.logged if line["level"] == "error" or "trace" in line]
    assert wrong == []


def test_some_hostile_images(server: Running, image: bytes) -> None:
    before, workers = answer_to(server, image), server.workers
    answered, bent = bombard(server, 120, seed=0)
    assert answered[200] > 10  # damage that decoders do not see
    assert answered[422] > 60
    assert bent[400] > 0
    assert answer_to(server, image) == before
    check_unharmed(server, workers)


@pytest.mark.parametrize("way", range(4))
def test_every_image_bomb_and_other_file(server: Running, way: int) -> None:
    workers = server.workers
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for name, data in images().items():
            assert send(client, way, data) == 200, name
        for name, data in {**bombs(), **others()}.items():
            if way == 0 or not name.endswith("the limit"):  # those take long; once is enough
                assert send(client, way, data) in IMAGE_STATUSES, name
        for name, data in others().items():
            assert send(client, way, data) == 422, name
    check_unharmed(server, workers)


def test_ten_thousand_hostile_images(tmp_path: Path, model_file: Path, image: bytes) -> None:
    count, warm = 10_000, 2_000
    with serving(tmp_path / "log", model_file, "--workers", 2) as server:
        before, workers = answer_to(server, image), server.workers
        start = time.monotonic()
        answered, bent = bombard(server, warm, seed=1)
        early = megabytes(server)
        more, more_bent = bombard(server, count - warm, seed=2)
        late = megabytes(server)
        answered, bent = answered + more, bent + more_bent
        print(  # noqa: T201
            f"{answered.total()} images {dict(answered)}, {bent.total()} bent requests "
            f"{dict(bent)}, {time.monotonic() - start:.0f} s; {early:.0f} MB after {warm} images, "
            f"{late:.0f} MB after all"
        )
        assert answered.total() == count
        assert answered[200] > count / 20
        assert answered[422] > count / 2
        assert answer_to(server, image) == before
        check_unharmed(server, workers)
        assert late == pytest.approx(early, rel=0.1)
    assert server.process.returncode == 0
