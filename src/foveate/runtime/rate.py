"""How many images/s networks do, in turn, so that a busy moment hits all of them."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from foveate.runtime.cores import usable_cores
from foveate.runtime.interface import Network

ROUNDS = 5
SECONDS = 1.0


def measure_rates(
    networks: Sequence[Network],
    resolution: int,
    *,
    workers: int | None = None,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
) -> list[float]:
    """Images/s of each network, without reading and decoding: the median of several rounds.

    Args:
        networks: compiled for `workers` threads.
        resolution: pixels a side of the images.
        workers: threads that call a network at once; all usable cores by default.
        rounds: in each, every network has its turn.
        seconds: how long a turn is.
    """
    workers = workers or usable_cores()
    for network in networks:
        network.prepare()
    measured: list[list[float]] = [[] for _ in networks]
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(rounds):
            for network, rates in zip(networks, measured, strict=True):
                rates.append(_measure(pool, network, resolution, workers, seconds))
    return [statistics.median(rates) for rates in measured]


def _measure(
    pool: ThreadPoolExecutor, network: Network, resolution: int, workers: int, seconds: float
) -> float:
    shape = (network.batch, resolution, resolution, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ready = threading.Barrier(workers)

    def work(_: int) -> float:
        network.run(pixels)
        ready.wait()
        start = time.perf_counter()
        done = 0
        while time.perf_counter() - start < seconds:
            network.run(pixels)
            done += network.batch
        return done / (time.perf_counter() - start)

    return sum(pool.map(work, range(workers)))
