"""`foveate serve` in a storm: clients that retry at once, floods, and probes meanwhile."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import load, serve_setups
from benchmarks.common import DATA, Bar, Result, foveate, median, scratch
from benchmarks.serve_servers import Server, Setup, started, watched

SOURCE = DATA / "fashion_texture"
ROUNDS, SECONDS, WARM_SECONDS, SETTLING = 3, 15, 3, 5
FEW, CROWDS = 32, (200, 800)
FLOOD, FLOOD_SECONDS = 400.0, 30
PROBE_SECONDS = 0.1


@dataclass(frozen=True)
class Flood:
    """What a flood of requests did.

    Attributes:
        found: what the load generator saw.
        memory: MiB of the process tree, once a second.
        probes: seconds that probes took, at the server's own port and at that for probes.
    """

    found: dict[str, Any]
    memory: list[float]
    probes: dict[str, list[float]]


def main() -> Result:
    """Storms in turns with quiet load, a flood, and a flood on one core."""
    with scratch() as folder:
        model = folder / "fashion.onnx"
        foveate("train", SOURCE, "--resolution", 224, "--out", model, cache=folder / "cache")
        plain = serve_setups.foveate(model)
        setup = replace(plain, command=[*plain.command, "--probe-port", "0"])
        rates: dict[int, list[float]] = {count: [] for count in (FEW, *CROWDS)}
        others = 0
        probes: dict[str, list[float]] = {"server": [], "probes": []}
        memory: list[float] = []
        with started(setup, folder) as server:
            url = f"{server.url}/predict"
            load.measure("closed", url, SOURCE, seconds=WARM_SECONDS, connections=FEW)
            for _ in range(ROUNDS):
                for count in rates:
                    with probed(server) as taken, watched(server) as used:
                        found = _crowd(url, count)
                    rates[count].append(found["rate"])
                    others += _others(found)
                    if count == max(CROWDS):
                        memory += used[SETTLING:]
                        for name, seconds in taken.items():
                            probes[name] += seconds
                    print(f"{count} clients: {found['statuses']}, {found['errors']}", flush=True)
        floods = {"all cores": _flood(setup, folder)}
        if shutil.which("taskset"):
            slow = replace(setup, command=["taskset", "--cpu-list", "0", *setup.command])
            floods["one core"] = _flood(slow, folder)
    others += sum(_others(flood.found) for flood in floods.values())
    return Result(
        "Serving in a storm",
        _remarks(rates, floods, memory),
        [
            *(
                Bar(
                    f"images/s with {count} clients that retry at once, over those with {FEW}",
                    median([a / b for a, b in zip(rates[count], rates[FEW], strict=True)]),
                    "",
                    0.85,
                    at_least=True,
                )
                for count in CROWDS
            ),
            Bar("requests without 200 or 503", others, "", 0, at_least=False),
            Bar("slowest probe, server's port", max(probes["server"]), "s", 1, at_least=False),
            Bar("slowest probe, port for probes", max(probes["probes"]), "s", 1, at_least=False),
            Bar("memory away from its middle", _away(memory), "%", 10, at_least=False),
            *(
                Bar(
                    f"{FLOOD:g} requests/s, {name}: p99 of the 200s",
                    flood.found["latency"]["p99"] / 1e3,
                    "s",
                    1.3,
                    at_least=False,
                )
                for name, flood in floods.items()
            ),
        ],
    )


@contextmanager
def probed(server: Server) -> Iterator[dict[str, list[float]]]:
    """Seconds that probes take, ten a second, each with a connection of its own."""
    bases = {"server": server.url, "probes": f"http://127.0.0.1:{_probe_port(server)}"}
    taken: dict[str, list[float]] = {name: [] for name in bases}
    over = threading.Event()

    def probe(name: str) -> None:
        while not over.wait(PROBE_SECONDS):
            start = time.perf_counter()
            with urllib.request.urlopen(f"{bases[name]}/health/live", timeout=60) as answer:
                answer.read()
            taken[name].append(time.perf_counter() - start)

    threads = [threading.Thread(target=probe, args=(name,)) for name in bases]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _probe_port(server: Server) -> int:
    for line in server.log.read_text().splitlines():
        if '"probes are answered"' in line:
            return int(json.loads(line)["port"])
    raise RuntimeError("the server has no port for probes")


def _crowd(url: str, count: int) -> dict[str, Any]:
    return load.measure(
        "closed",
        url,
        SOURCE,
        seconds=SECONDS,
        connections=count,
        form="raw",
        generator="own",
        timeout=60,
    )


def _flood(setup: Setup, folder: Path) -> Flood:
    with started(setup, folder) as server:
        url = f"{server.url}/predict"
        load.measure("closed", url, SOURCE, seconds=WARM_SECONDS, connections=FEW)
        with probed(server) as taken, watched(server) as memory:
            found = load.measure(
                "open", url, SOURCE, rate=FLOOD, seconds=FLOOD_SECONDS, form="raw", timeout=60
            )
        print(f"flood: {found['statuses']}, {found['latency_by_status']}", flush=True)
    return Flood(found, memory, taken)


def _others(found: dict[str, Any]) -> int:
    statuses = found["statuses"]
    wrong = sum(n for status, n in statuses.items() if status not in ("200", "503"))
    return int(wrong + sum(found["errors"].values()))


def _away(memory: list[float]) -> float:
    middle = median(memory)
    return 100 * max(abs(mib / middle - 1) for mib in memory)


def _remarks(
    rates: dict[int, list[float]], floods: dict[str, Flood], memory: list[float]
) -> list[str]:
    shown = "; ".join(
        f"{count} clients {', '.join(f'{rate:.1f}' for rate in found)}"
        for count, found in rates.items()
    )
    told = "; ".join(
        f"{name}: {flood.found['rate']:.1f} images/s, median of the 200s "
        f"{flood.found['latency']['p50'] / 1e3:.2f} s, slowest probes "
        f"{max(flood.probes['server']):.2f} and {max(flood.probes['probes']):.2f} s, memory "
        f"{min(flood.memory[SETTLING:]):.0f} to {max(flood.memory[SETTLING:]):.0f} MiB"
        for name, flood in floods.items()
    )
    return [
        f"128 photos of fashion_texture (up to 720 px), raw, one a request. Clients send again "
        f"as soon as they are told anything; from our own generator on the same cores, {SECONDS} s "
        f"each in turns, {ROUNDS} rounds, one server throughout. Images/s: {shown}. Memory with "
        f"{max(CROWDS)} clients {min(memory):.0f} to {max(memory):.0f} MiB.",
        f"Floods of {FLOOD:g} requests/s for {FLOOD_SECONDS} s (Poisson arrivals that wait for no "
        f"answer), on all cores and with the server on one. {told}.",
    ]
