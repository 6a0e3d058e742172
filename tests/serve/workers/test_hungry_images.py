"""The worst image of each format, as `benchmarks.hungry` found it, in a worker under its limit."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import psutil
import pytest
from benchmarks.hungry_images import KINDS

from foveate.serve.workers.memory_limit import BATCHES, SLACK_BYTES, image_bytes
from support.servers import Running, serving

pytestmark = pytest.mark.slow

MAX_BODY = 32 * 2**20


def peak(pid: int) -> int:
    """The most bytes that a process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1])


def damaged_tiff() -> bytes:
    """One about which libtiff has something to say on stderr."""
    tiff = next(kind for kind in KINDS if kind.format == "TIFF")
    values = {name: choices[0] for name, choices in tiff.space.items()}
    values |= {"mode": "RGB", "scene": "noise", "compression": "tiff_lzw", "rows": 16}
    data = bytearray(tiff.make(values))
    for at in range(1000, len(data) - 5000, 5000):
        data[at : at + 8] = b"\xff" * 8
    return bytes(data)


def send(server: Running, data: bytes) -> tuple[int, float]:
    """Status and seconds."""
    start = time.monotonic()
    answer = httpx.post(f"{server.url}/predict", content=data, timeout=120)
    return answer.status_code, time.monotonic() - start


def test_the_worst_images_fit_a_worker(tmp_path: Path, model_file: Path, image: bytes) -> None:
    log = tmp_path / "log"
    with serving(log, model_file, "--workers", 1, "--deadline", 60) as server:
        assert send(server, image)[0] == 200
        workers = server.workers
        (worker,) = workers
        before = psutil.Process(worker).memory_info().rss
        allowed = before + image_bytes(50_000_000) + BATCHES * MAX_BODY + SLACK_BYTES
        for kind in KINDS:
            for number, values in enumerate(kind.starts):
                data = kind.make(values)
                status, seconds = send(server, data)
                print(kind.format, number, len(data), status, f"{seconds:.1f} s")  # noqa: T201
                assert status == (413 if len(data) > MAX_BODY else status)
                assert status in {200, 413, 422}, (kind.format, values)
                assert server.workers == workers, (kind.format, values)
                assert peak(worker) < allowed, (kind.format, values)
        assert send(server, damaged_tiff())[0] in {200, 422}
        assert send(server, image)[0] == 200
        assert server.workers == workers
    events = [json.loads(line) for line in log.read_text().splitlines()]
    said = [event for event in events if event["event"] == "worker printed"]
    assert said, "libtiff said nothing: the test shows nothing"
    assert "worker lost" not in {event["event"] for event in events}
