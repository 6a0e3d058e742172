"""Load on a server from a process of its own: `python -m benchmarks.load KIND URL IMAGES`.

closed: so many clients, each of which sends as soon as it has its answer; by wrk where that is
installed, else by our own generator.
open: so many requests a second, whatever the answers do; latencies count from the moment that a
request was due.
one: one client, one request after the other.

Prints JSON: latencies in milliseconds, `rate` in answers with status 200 a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.common import ROOT
from benchmarks.load_asyncio import Tally, closed_loop, open_loop
from benchmarks.load_http import TYPES, Form, body, parse_head, prepare, spread

SCRIPT = Path(__file__).with_name("load.lua")
IMAGES = 128


def measure(kind: str, url: str, images: Path, **options: object) -> dict[str, Any]:
    """Run this module as a process.

    Args:
        kind: `closed`, `open` or `one`.
        url: of the route.
        images: a folder of photos.
        **options: those of the command line, with `_` for `-`.

    Raises:
        RuntimeError: it failed.
    """
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "benchmarks.load", kind, url, str(images), *words]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"The load generator failed: {finished.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def generator() -> str:
    """What makes the closed loop."""
    return "wrk" if shutil.which("wrk") else "own"


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["closed", "open", "one"])
    parser.add_argument("url")
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=IMAGES, help="images to take turns")
    parser.add_argument("--form", choices=list(TYPES), default="json")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--connections", type=int, default=32, help="closed: clients")
    parser.add_argument("--generator", choices=["wrk", "own"], default=generator())
    parser.add_argument("--rate", type=float, default=100, help="open: requests a second")
    parser.add_argument("--arrivals", choices=["poisson", "uniform"], default="poisson")
    parser.add_argument("--most", type=int, default=2000, help="open: connections at most")
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--requests", type=int, default=256, help="one: requests")
    asked = parser.parse_args()

    form: Form = asked.form
    bodies = [body(path.read_bytes(), form) for path in spread(asked.images, asked.count)]
    url = urlsplit(asked.url)
    address = (url.hostname or "127.0.0.1", url.port or 80)
    requests = prepare(bodies, url.netloc, url.path, form)
    before = _cpu_seconds()
    if asked.kind == "one":
        found = _one(address, requests, asked.requests, asked.timeout)
    elif asked.kind == "open":
        loop = open_loop(
            address,
            requests,
            rate=asked.rate,
            seconds=asked.seconds,
            poisson=asked.arrivals == "poisson",
            most=asked.most,
            timeout=asked.timeout,
        )
        found = _summary(asyncio.run(loop), asked.seconds)
    elif asked.generator == "wrk":
        found = _wrk(asked.url, bodies, form, asked.connections, asked.seconds, asked.timeout)
    else:
        clients = closed_loop(
            address,
            requests,
            connections=asked.connections,
            seconds=asked.seconds,
            timeout=asked.timeout,
        )
        found = _summary(asyncio.run(clients), asked.seconds)
    found["cpu_seconds"] = round(_cpu_seconds() - before, 3)
    found["cpu_ms_per_request"] = round(1e3 * found["cpu_seconds"] / max(found["requests"], 1), 4)
    by = asked.generator if asked.kind == "closed" else "own"
    print(json.dumps({"kind": asked.kind, "generator": by, **found}))


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Median, tails and the longest, in milliseconds; by nearest rank."""
    ranked = sorted(seconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {
        name: round(1e3 * ranked[max(math.ceil(share * len(ranked)), 1) - 1], 3) if ranked else None
        for name, share in shares.items()
    }


def _summary(tally: Tally, seconds: float) -> dict[str, Any]:
    whole = range(math.floor(seconds))
    by_second = [tally.by_second[second, 200] for second in whole]
    within = sum(
        n for (second, status), n in tally.by_second.items() if status == 200 and second < seconds
    )
    return {
        "seconds": seconds,
        "requests": tally.statuses.total() + tally.errors.total(),
        "statuses": {str(status): n for status, n in sorted(tally.statuses.items())},
        "errors": dict(tally.errors),
        "rate": round(within / seconds, 2),
        "latency": percentiles(tally.latencies.get(200, [])),
        "latency_by_status": {
            str(status): percentiles(taken) for status, taken in sorted(tally.latencies.items())
        },
        "by_second": by_second,
        "others_by_second": [
            sum(n for (at, status), n in tally.by_second.items() if at == second and status != 200)
            for second in whole
        ],
        "lag": percentiles(tally.lags),
        "connections": tally.connections,
        "waited": tally.waited,
        "drained_seconds": round(tally.drained - tally.ended, 3),
    }


def _wrk(
    url: str, bodies: Sequence[bytes], form: Form, connections: int, seconds: float, timeout: float
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(bodies):
            (Path(folder) / str(number)).write_bytes(one)
        command = ["wrk", "--threads=1", f"--connections={connections}"]
        command += [f"--duration={math.ceil(seconds)}s", f"--timeout={math.ceil(timeout)}s"]
        command += [f"--script={SCRIPT}", url, "--", folder, str(len(bodies)), TYPES[form]]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    raw = json.loads(printed.strip().splitlines()[-1])
    answered = raw["requests"] - raw["refused"]
    return {
        "seconds": raw["seconds"],
        "requests": raw["requests"],
        "statuses": {"200": answered} | ({"others": raw["refused"]} if raw["refused"] else {}),
        "errors": {"socket": raw["failed"]} if raw["failed"] else {},
        "rate": round(answered / raw["seconds"], 2),
        "latency": {name: raw[name] for name in ("p50", "p90", "p99", "max")},
        "connections": connections,
    }


def _one(
    address: tuple[str, int], requests: Sequence[bytes], count: int, timeout: float
) -> dict[str, Any]:
    taken: list[float] = []
    statuses: dict[str, int] = {}
    begun = time.perf_counter()
    with socket.create_connection(address, timeout) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(count):
            start = time.perf_counter()
            connection.sendall(requests[number % len(requests)])
            received = connection.recv(65536)
            while (head := parse_head(received)) is None or len(received) < head.length:
                more = connection.recv(65536)
                if not more:
                    raise RuntimeError("The server closed the connection of its only client.")
                received += more
            taken.append(time.perf_counter() - start)
            statuses[str(head.status)] = statuses.get(str(head.status), 0) + 1
    seconds = time.perf_counter() - begun
    return {
        "seconds": round(seconds, 3),
        "requests": count,
        "statuses": statuses,
        "errors": {},
        "rate": round(statuses.get("200", 0) / seconds, 2),
        "latency": percentiles(taken),
        "connections": 1,
    }


def _cpu_seconds() -> float:
    """Of this process and those it waited for, in user and system mode."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
